"""What the shell is told: one exit code for each kind of outcome."""

from typing import ClassVar

from bus.errors import WitanError

OK, FAILED, USAGE, ENVIRONMENT, BUDGET, PERSON, TIMEOUT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 124, 130

_OF_CODE = {"invalid": USAGE, "absent": ENVIRONMENT, "budget": BUDGET, "person": PERSON, "unavailable": TIMEOUT}


class Absent(WitanError):
    """Something that Witan needs is not there."""

    code: ClassVar[str] = "absent"
    hint: ClassVar[str] = "Find out what with `witan doctor`."


def exit_of(code: str) -> int:
    """The exit code of an error's public code."""
    return _OF_CODE.get(code, FAILED)
