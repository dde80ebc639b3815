"""The seeded problems are what they say: each answer of each sort does to their tests what it is meant to do."""

import contextlib
import io
import sys
import types
import unittest
from collections import Counter
from pathlib import Path

import pytest

from tests.council_problems import BUGS, KINDS, Seeded, planted, problem, problems
from tests.repositories import person


def passes(seeded: Seeded, text: str, checks: str) -> bool:
    """Whether these checks are green when the file has this text."""
    name = seeded.path.removesuffix(".py")
    module, tests = types.ModuleType(name), types.ModuleType("checks")
    sys.modules[name] = module
    try:
        exec(compile(text, seeded.path, "exec"), module.__dict__)
        exec(checks, tests.__dict__)
        suite = unittest.defaultTestLoader.loadTestsFromModule(tests)
        with contextlib.redirect_stderr(io.StringIO()):
            return unittest.TextTestRunner(stream=io.StringIO()).run(suite).wasSuccessful()
    except (SyntaxError, ImportError):
        return False
    finally:
        del sys.modules[name]


@pytest.mark.parametrize("number", range(3 * len(BUGS)))
def test_the_right_answer_is_green_the_wrong_ones_are_red_and_sneaky_ones_fail_where_nobody_looks(number: int) -> None:
    seeded = problem(number)
    seen = next(text for path, text in seeded.files.items() if path in ("checks.py", "test_code.py"))
    assert not passes(seeded, seeded.broken, seen)
    (right,) = seeded.texts["right"]
    assert passes(seeded, right, seen) and passes(seeded, right, seeded.hidden)
    assert len(seeded.texts["wrong"]) == 2 and not any(passes(seeded, each, seen) for each in seeded.texts["wrong"])
    for sneaky in seeded.texts["sneaky"]:
        assert passes(seeded, sneaky, seen) and not passes(seeded, sneaky, seeded.hidden)
    assert seeded.new_lines()


def test_two_hundred_problems_are_the_same_for_the_same_seed_and_all_sorts_are_among_them(tmp_path: Path) -> None:
    made = problems(200)
    assert made == problems(200) and made != problems(200, seed=1)
    assert len({seeded.broken for seeded in made}) == 200
    assert set(Counter(seeded.kind for seeded in made).values()) <= {14, 15} and len(KINDS) == 14
    assert sum(bool(seeded.texts["sneaky"]) for seeded in made) >= 80
    assert person(planted(tmp_path / "one", made[0]), "log", "--format=%s") == "by hand"
