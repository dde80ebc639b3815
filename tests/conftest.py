"""What all tests share."""

import pytest

pytest.register_assert_rewrite("tests.bus_contract", "tests.bus_ground")
