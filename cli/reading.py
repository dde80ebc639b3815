"""What a view says: asked of the daemon, or read from its file when no daemon runs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from bus.errors import Missing
from cli.config import Settings
from cli.exits import Absent
from cli.output import Form, print_rows, talk
from cli.reach import ask, daemon_of, file_of

Value = str | int | None


class Answer(NamedTuple):
    """The rows of a view, and the place in the log that they stand for."""

    view: str
    seq: int
    at: str | None
    columns: list[str]
    rows: list[list[Any]]
    truncated: bool

    @property
    def dicts(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Views:
    """Everything that can be asked here and now; the words about where it came from are said once."""

    def __init__(self, settings: Settings, quiet: bool = False) -> None:
        self._settings, self._quiet = settings, quiet
        self.live = bool(settings.nats_url) or daemon_of(settings) is not None

    def ask(self, view: str, params: Mapping[str, Value] | None = None, as_of: int | str | None = None) -> Answer:
        """The rows of a view; `limit` and `offset` stand among the parameters."""
        given = dict(params or {})
        return self._over_the_bus(view, given, as_of) if self.live else self._from_file(view, given, as_of)

    def _over_the_bus(self, view: str, given: dict[str, Value], as_of: int | str | None) -> Answer:
        told = ask(self._settings, view, {"params": given, **({"as_of": as_of} if as_of is not None else {})})
        columns = [column["name"] for column in told["columns"]]
        return Answer(told["view"], told["seq"], told.get("at"), columns, told["rows"], told.get("truncated", False))

    def _from_file(self, view: str, given: dict[str, Value], as_of: int | str | None) -> Answer:
        from projections.store import Store

        path = file_of(self._settings)
        try:
            store = Store(path, read_only=True)
        except Missing as error:
            raise Absent(f"no Witan runs here, and there is no {path}", "Start it with `witan up --detach`.") from error
        try:
            told = store.query(view, given, as_of)
        finally:
            store.close()
        if not self._quiet:
            self._quiet = True
            talk(f"No Witan runs here; this is what {path} says, up to seq {told.seq}.")
        columns = [name for name, _ in told.columns]
        return Answer(told.view, told.seq, told.at, columns, [list(row) for row in told.rows], told.truncated)


def print_answer(answer: Answer, form: Form, shown: tuple[str, ...] = ()) -> None:
    """The rows; a table may leave columns out, and empty ones too; JSON and CSV never do."""
    columns, rows = answer.columns, answer.rows
    if form is Form.TABLE and shown:
        places = [columns.index(name) for name in shown if name in columns]
        places = [place for place in places if not rows or any(row[place] is not None for row in rows)]
        columns, rows = [columns[place] for place in places], [[row[place] for place in places] for row in rows]
    print_rows(columns, rows, form)
    more = "; there is more: say --limit" if answer.truncated else ""
    talk(f"{len(rows)} row{'' if len(rows) == 1 else 's'} at seq {answer.seq}, {answer.at or 'an empty log'}{more}")
