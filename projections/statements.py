"""The SQL of this floor, read from the `.sql` files beside this module; Python only names it."""

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from projections.said import spelling

HERE = Path(__file__).parent
AS_OF, NOW, STILL = "main", "now,main", "still,main"
"""Where a question finds its views: at any place, at the newest, and at the newest when there is no tail."""

POLLED = ("counts", "tasks", "pipelines")
"""Asked all the time, while there is a tail too."""

_model = re.compile(r"\b(board|step|run|trouble|house)_(now|rows)\b")
_source = re.compile(r"\b(?:FROM|JOIN) (\w+)")
_named = re.compile(r"^-- ([a-z_]+)(?::.*)?$", re.MULTILINE)
_header = re.compile(
    r"-- (?P<name>\w+): (?P<about>.+)\n-- filters: (?P<filters>.+)\n(?P<made>[^;]+;)\n+"
    r"-- ask(?::.*)?\n(?P<ask>[^;]+;)\s*\Z"
)


class View(NamedTuple):
    """One file of `views/`: what it is, how it is made, how it is asked."""

    name: str
    about: str
    filters: tuple[str, ...]
    made: str
    ask: str


def _statements() -> dict[str, str]:
    parts = _named.split((HERE / "statements.sql").read_text())
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _view(path: Path) -> View:
    found = _header.match(path.read_text())
    if found is None or found["name"] != path.stem:
        raise ValueError(f"{path.name} must be: name and sentence, filters, one CREATE VIEW, `-- ask`, one SELECT")
    return View(found["name"], found["about"], tuple(found["filters"].split(", ")), found["made"], found["ask"])


@cache
def making() -> str:
    """All that a new file needs: the tables once, and the views for each of the three ways to see them.

    What a way has no view for is seen as at any place, which costs more to plan. `still` has all that the tail changes.
    """
    models = [_text("board"), _text("work")]
    moving = _moving()
    polled = [VIEWS[name].made for name in POLLED]
    at_any_place = [_text("tables"), _text("as_of"), *models, *(view.made for view in _as_needed())]
    return "\n".join([*at_any_place, _text("now"), *models, *polled, _text("still"), *moving])


def _moving() -> list[str]:
    """The views that the tail can change: they look at a model, or at one of themselves."""
    found: dict[str, str] = {}
    for view in _as_needed():
        if _model.search(view.made) or _reads(view, found):
            found[view.name] = view.made
    return list(found.values())


def _as_needed() -> list[View]:
    """All views, each behind those that it reads."""
    placed: dict[str, View] = {}
    while waiting := [view for view in VIEWS.values() if view.name not in placed]:
        ready = [view for view in waiting if not _reads(view, (other.name for other in waiting))]
        placed |= {view.name: view for view in ready or waiting}
    return list(placed.values())


def _reads(view: View, names: Iterable[str]) -> bool:
    return not _read_by(view.made).isdisjoint(names)


@cache
def _read_by(made: str) -> frozenset[str]:
    return frozenset(_source.findall(made))


def _text(name: str) -> str:
    return (HERE / f"{name}.sql").read_text()


SAY = _statements()
VIEWS = {view.name: view for view in map(_view, sorted((HERE / "views").glob("*.sql")))}
SCHEMA = hashlib.sha256("\n".join([making(), spelling(), *SAY.values()]).encode()).hexdigest()
