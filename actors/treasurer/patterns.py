"""What the names of models say: which pattern means them, which is the newer, and how they are told."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

DATE_DIGITS, NUMBERS_MAX = 4, 4


def newest(name: str) -> tuple[int, ...]:
    """Higher versions and sizes first; longer numbers are dates."""
    numbers = [-int(number) for number in re.findall(r"\d+", name) if len(number) < DATE_DIGITS]
    return tuple([*numbers, *[0] * NUMBERS_MAX][:NUMBERS_MAX])


def place_of(name: str, prefer: Sequence[str]) -> int:
    return next((place for place, glob in enumerate(prefer) if matches(glob, name)), len(prefer))


@lru_cache(1000)
def matches(glob: str, name: str) -> bool:
    return fnmatchcase(name.lower(), glob.lower())


def meant(pin: str, name: str) -> bool:
    return not pin or any(matches(each if "/" in each else f"*/{each}", name) for each in pin.split(","))


def could_be(pin: str, provider: str) -> bool:
    """Whether a model of this provider can be meant."""
    return not pin or any("/" not in each or matches(each.split("/", 1)[0], provider) for each in pin.split(","))


def in_one_line(reason: str) -> str:
    """Whoever lists models may call them anything; a reason is one line, without marks that a terminal obeys."""
    if reason.isprintable():
        return reason
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in reason)
