"""The SQL of this floor, read from the `.sql` files beside this module; Python only names it."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from projections.said import spelling

HERE = Path(__file__).parent

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


TABLES = "".join((HERE / name).read_text() for name in ("facts.sql", "board.sql", "work.sql"))
SAY = _statements()
VIEWS = {view.name: view for view in map(_view, sorted((HERE / "views").glob("*.sql")))}
_made = [TABLES, spelling(), *SAY.values(), *(view.made for view in VIEWS.values())]
SCHEMA = hashlib.sha256("\n".join(_made).encode()).hexdigest()
