"""A file of rules and the files laid over it: a later one changes what it names and leaves the rest as it was."""

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from bus.errors import Invalid

T = TypeVar("T")


def read_laid_over(
    paths: Iterable[Path], kind: type[T], model: str, complaints: Callable[[T], Iterable[str]] = lambda _: ()
) -> T:
    """The first file that exists says all; tables of later ones are merged into it, and anything else replaces."""
    hint = f"Mend the file; `{model}` is a good model."
    whole: dict[str, object] = {}
    found: T | None = None
    for path in (each for each in paths if each.is_file()):
        try:
            whole = _merged(whole, tomllib.loads(path.read_text(encoding="utf-8")))
            found = msgspec.convert(whole, kind)
        except (OSError, ValueError) as error:
            raise Invalid(f"{path}: {error}", hint) from error
        for complaint in complaints(found):
            raise Invalid(f"{path}: {complaint}", hint)
    if found is None:
        raise Invalid(f"there is no {model}", "Install Witan again; the file comes with it.")
    return found


def _merged(under: dict[str, object], over: dict[str, object]) -> dict[str, object]:
    merged = dict(under)
    for name, value in over.items():
        old = merged.get(name)
        merged[name] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
