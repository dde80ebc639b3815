"""The DuckDB file: one connection writes it, every question opens a cursor of its own."""

import contextlib
import datetime
import os
import shutil
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import duckdb

from bus.envelope import Record
from bus.errors import Invalid, Missing, Unavailable
from projections import boot
from projections.allowance import CRAMPED, MEMORY, MEMORY_MORE, Allowance
from projections.batches import EMPTY, Tray, ascending, chunks, release_memory, table
from projections.parameters import Value, arguments
from projections.statements import AS_OF, NOW, POLLED, SAY, SCHEMA, STILL, VIEWS, View, making

QUERY_MS = 20_000
TAIL_BYTES = 32 * 1024 * 1024
"""So long a tail is folded at once: a fold has the texts of its tail in memory up to six times."""
LATE_ROWS = 1000
"""Of so few rows that are shown, only the columns that choose them are read of all the others."""
FOLDS = {
    "fold": {"task", "slots", "step", "exec"},
    "fold_steps": {"step", "exec"},
    "fold_runs": {"run", "step"},
    "fold_trouble": {"run", "call", "step", "task"},
    "fold_house": {"slots"},
}
"""Each for the tail's kinds that it reads: to plan a merge of nothing costs as much as any other."""
AsOf = int | str | None
T = TypeVar("T")


class Answer(NamedTuple):
    """The rows of a view as they were at one place in the log."""

    view: str
    seq: int
    at: str | None
    columns: list[tuple[str, str]]
    rows: list[tuple[Any, ...]]
    truncated: bool


class Place(NamedTuple):
    """How far the facts are, and how far the task board is."""

    facts: int
    board: int


class Closed(Unavailable):
    """The file is not open just now."""


class Store:
    """All that is known from the log. Only one thread may take, fold and snapshot; any thread may query."""

    def __init__(self, path: Path | str, read_only: bool = False, bulk: bool = False) -> None:
        self.path, self.read_only, self.bulk = Path(path), read_only, bulk
        self._readers = 0
        self._moved = threading.Condition()
        self._db: duckdb.DuckDBPyConnection | None = None
        self._place = Place(0, 0)
        self._tail_bytes = 0
        self._columns: dict[str, list[tuple[str, str]]] = {}
        self._moment: tuple[int, str | None] = (0, None)
        self._tray = Tray()
        self._folding: Generator[bool] | None = None
        self.open()

    def open(self) -> None:
        """Open the file; one that may be damaged or is made by other SQL is thrown away, for the log has it all."""
        if self._db is not None:
            return
        if self.read_only:
            self._open_to_read()
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not self.path.exists() or boot.went_down(self.path)
        try:
            if not fresh:
                self._db = self._connect()
                fresh = self._stamp() != SCHEMA
        except duckdb.Error as error:
            if "lock" in str(error):
                raise Unavailable(f"another process has {self.path} open", "Ask it, or stop it first.") from error
            fresh = True
        if fresh:
            self.clear()
        self._remember()

    def close(self) -> None:
        """Let go of the file when the last reader is through; new ones are sent away at once."""
        with self._moved:
            db, self._db = self._db, None
            self._moved.wait_for(lambda: self._readers == 0)
        if db is not None:
            if self._folding is not None:
                self._folding.close()
            self._folder.close()
            self._writer.close()
            db.close()
            if not self.read_only:
                boot.end(self.path)

    def clear(self) -> None:
        """Begin again with an empty file."""
        self.close()
        remove(self.path)
        self._place, self._moment, self._tail_bytes = Place(0, 0), (0, None), 0
        self._db = self._connect()
        with self._transaction(self._db) as cursor:
            cursor.execute(making())
            cursor.execute(SAY["see"], {"path": AS_OF})
            cursor.execute(SAY["start"], {"schema": SCHEMA})
        self._remember()

    @property
    def position(self) -> int:
        """The place in the log up to which all facts are here."""
        return self._place.facts

    @property
    def folded(self) -> int:
        """The place up to which the task board is merged."""
        return self._place.board

    def reached(self, seq: int, timeout_s: float) -> bool:
        """Wait until the facts are as far as a place; whether they are."""
        with self._moved:
            return self._moved.wait_for(lambda: self._place.facts >= seq, timeout_s)

    def take(self, batch: Sequence[Record]) -> int:
        """Insert what is new in the batch, and the position is where it ends; how many records were new.

        When the tail has become long, it is folded in between.
        """
        fresh = ascending(batch, self._place.facts)
        for chunk in chunks(fresh):
            self._tray.table = table(chunk)
            self._with_room(lambda: self._writer.execute(SAY["take"]))
            self._tray.table = EMPTY
            self._tail_bytes += sum(len(record.body) for record in chunk)
            with self._moved:
                self._place = Place(chunk[-1].seq, self._place.board)
                self._moved.notify_all()
            if self._tail_bytes >= TAIL_BYTES:
                self.fold()
        return len(fresh)

    def fold(self) -> bool:
        """Merge the tail of the facts into the task board; whether there was one."""
        before = self._place.board
        while self._place.board < self._place.facts:
            self.fold_on()
        return self._place.board > before

    def fold_on(self) -> bool:
        """A piece of that, for the whole takes long while questions come; whether there is more to do at once."""
        if self._folding is None and self._place.board < self._place.facts:
            self._folding = self._fold(self._place.facts)
        folding, self._folding = self._folding, None
        try:
            if folding is not None and next(folding, False):
                self._folding = folding
        except CRAMPED:
            with self._allowance.raised():
                for _ in self._fold(self._place.facts):
                    pass
        return self._folding is not None

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file, and give memory back; for a quiet moment."""
        self._writer.execute(SAY["checkpoint"])
        release_memory()

    def snapshot(self, folder: Path | str) -> tuple[Path, int]:
        """A copy of the file that nobody writes, and its place in the log; the one before it goes."""
        self.fold()
        seq, folder = self._place.facts, Path(folder)
        target = folder / f"{self.path.stem}-{SCHEMA[:8]}-{seq}.duckdb"
        if target.exists():
            return target, seq
        folder.mkdir(parents=True, exist_ok=True)
        for older in folder.glob(f"{self.path.stem}-*.duckdb*"):
            older.unlink(missing_ok=True)
        self.checkpoint()
        half = target.with_suffix(".half")
        shutil.copyfile(self.path, half)
        os.replace(half, target)
        return target, seq

    def query(self, view: str, params: Mapping[str, Value] | None = None, as_of: AsOf = None) -> Answer:
        """What a view says now, or said at a place or time. `limit` and `offset` stand among the parameters."""
        known = VIEWS.get(view)
        if known is None:
            raise Missing(f"there is no view {view!r}", f"Known: {', '.join(VIEWS)}.")
        try:
            return self._with_room(lambda: self._query(known, params or {}, as_of))
        except duckdb.InterruptException as error:
            raise Unavailable("the question took too long", "Ask for less: filter it.") from error
        except CRAMPED as error:
            raise Unavailable("the question needs too much memory", "Ask for less: filter it.") from error

    def _query(self, known: View, params: Mapping[str, Value], as_of: AsOf) -> Answer:
        with self.reading(as_of, NOW if known.name in POLLED else AS_OF) as (cursor, place):
            types = dict(self._columns_of(cursor, known.name))
            given = arguments(known, types, params)
            limit = given["limit"]
            rows = cursor.execute(known.ask, {**given, "limit": limit + 1}).fetchall()
            heads = [(str(name), str(kind)) for name, kind, *_ in cursor.description or []]
            at = self._moment_of(cursor, place.facts)
        return Answer(known.name, place.facts, at, heads, rows[:limit], len(rows) > limit)

    def columns(self, view: str) -> list[tuple[str, str]]:
        """The names and types of a view's columns."""
        with self.reading(None) as (cursor, _):
            return self._columns_of(cursor, view)

    def fingerprint(self, as_of: AsOf = None, names: Sequence[str] = ("events", *VIEWS)) -> dict[str, str]:
        """One line for the facts and one for each view; two stores that know the same say the same."""
        return self._with_room(lambda: self._fingerprint(as_of, names))

    def _fingerprint(self, as_of: AsOf, names: Sequence[str]) -> dict[str, str]:
        with self.reading(as_of) as (cursor, place):
            marks = {"position": str(place.facts)}
            for name in names:
                cursor.execute(SAY["fingerprint"], {"name": name})
                marks[name] = ":".join(map(str, cursor.fetchall()[0]))
        return marks

    def _fold(self, upto: int) -> Generator[bool]:
        """In one transaction of its own: what is taken in between is not seen by it."""
        length = self._tail_bytes
        with self._transaction(self._folder) as cursor:
            kinds = {*(cursor.execute(SAY["tail_kinds"]).fetchall()[0][0] or ())}
            for fold, read in FOLDS.items():
                if read & kinds:
                    cursor.execute(SAY[fold])
                    yield True
            cursor.execute(SAY["folded"], {"seq": upto})
        self._place = Place(self._place.facts, upto)
        self._tail_bytes -= length

    def _connect(self) -> duckdb.DuckDBPyConnection:
        usual = MEMORY_MORE if self.bulk else MEMORY
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": usual,
            "threads": "2",
            "late_materialization_max_rows": LATE_ROWS,
            "preserve_insertion_order": "false",
            "checkpoint_threshold": "256MB",
            "python_enable_replacements": "false",
            "enable_external_access": "true",
            "temp_directory": str(self.path.with_suffix(".tmp")),
        }
        if not self.read_only:
            settings["fsync_mode"] = boot.fsync_mode()
            boot.begin(self.path)
        db = duckdb.connect(str(self.path), read_only=self.read_only, config=settings)
        self._writer, self._folder = db.cursor(), db.cursor()
        self._allowance = Allowance(db, usual)
        self._folding = None
        return db

    def _open_to_read(self) -> None:
        if not self.path.exists():
            raise Missing(f"there is no {self.path}", "Start Witan once; it makes the file from the log.")
        if boot.went_down(self.path):
            why = f"the machine went down while {self.path} was written"
            raise Unavailable(why, "Start Witan once; it makes the file anew from the log.")
        try:
            self._db = self._connect()
            stamp = self._stamp()
        except duckdb.Error as error:
            raise Unavailable(f"{self.path} cannot be read now: {error}", "Ask the daemon that has it open.") from error
        if stamp != SCHEMA:
            self.close()
            raise Unavailable(f"{self.path} is of another version", "Start Witan once; it rebuilds the file.")
        self._remember()

    def _stamp(self) -> str | None:
        try:
            row = self._writer.execute(SAY["found"]).fetchone()
        except duckdb.CatalogException:
            return None
        return str(row[0]) if row else None

    def _remember(self) -> None:
        self._place = Place(*self._writer.execute(SAY["position"]).fetchall()[0])
        if not self.read_only:
            self._writer.register("batch", self._tray)
            self._writer.execute(SAY["prepare"])

    @contextlib.contextmanager
    def _transaction(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor.execute(SAY["begin"])
        try:
            yield cursor
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                cursor.execute(SAY["rollback"])
            raise
        cursor.execute(SAY["commit"])

    @contextlib.contextmanager
    def reading(self, as_of: AsOf, tail: str = NOW) -> Iterator[tuple[duckdb.DuckDBPyConnection, Place]]:
        """A cursor whose views see the log up to one place; `tail` is where it finds them when there is one."""
        with self._moved:
            if self._db is None:
                raise Closed(f"{self.path} is closed just now", "Ask again in a moment.")
            cursor = self._db.cursor()
            self._readers += 1
        try:
            with self._transaction(cursor):
                cursor.execute(SAY["limit_time"], {"ms": QUERY_MS})
                yield cursor, self._look(cursor, as_of, tail)
        finally:
            cursor.close()
            self._allowance.settle()
            with self._moved:
                self._readers -= 1
                self._moved.notify_all()

    def _look(self, cursor: duckdb.DuckDBPyConnection, as_of: AsOf, tail: str) -> Place:
        """Let the cursor see the views as they are, or were."""
        now = Place(*cursor.execute(SAY["position"]).fetchall()[0])
        if as_of is None and now.board == now.facts:
            cursor.execute(SAY["see"], {"path": STILL})
            return now
        then = now
        if as_of is None:
            cursor.execute(SAY["see"], {"path": tail})
        else:
            seq = self._seq_of(cursor, as_of)
            if not 0 <= seq <= now.facts:
                raise Missing(f"the log is at {now.facts}, not yet at {seq}", f"Ask for 0 to {now.facts}.")
            then = Place(seq, now.board if now.board <= seq else 0)
        cursor.execute(SAY["upto"], {"seq": then.facts})
        cursor.execute(SAY["folded_at"], {"seq": then.board})
        return then

    def _seq_of(self, cursor: duckdb.DuckDBPyConnection, as_of: int | str) -> int:
        if isinstance(as_of, int) and not isinstance(as_of, bool):
            return as_of
        text = str(as_of)
        if text.isdecimal() and len(text) < 19:
            return int(text)
        try:
            moment = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise Invalid(f"{text[:80]!r} is neither a place nor a time", "Say 1234 or 2026-11-20T12:00:00Z.") from None
        if moment.tzinfo is not None:
            moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
        return int(cursor.execute(SAY["place"], {"moment": moment}).fetchall()[0][0])

    def _columns_of(self, cursor: duckdb.DuckDBPyConnection, view: str) -> list[tuple[str, str]]:
        if view not in self._columns:
            found = cursor.execute(SAY["columns"], {"name": view}).fetchall()
            self._columns[view] = [(str(name), str(kind)) for name, kind in found]
        return self._columns[view]

    def _moment_of(self, cursor: duckdb.DuckDBPyConnection, seq: int) -> str | None:
        known = self._moment
        if known[0] != seq:
            moment = cursor.execute(SAY["moment"], {"seq": seq}).fetchall()[0][0]
            known = self._moment = seq, moment.isoformat(timespec="milliseconds") + "Z" if moment else None
        return known[1]

    def _with_room(self, work: Callable[[], T]) -> T:
        """What needs more memory than it may have begins again with more."""
        try:
            return work()
        except CRAMPED:
            with self._allowance.raised():
                return work()


def remove(path: Path) -> None:
    """Take a DuckDB file away with all that stands beside it."""
    for ending in ("", ".wal", ".wal.checkpoint", ".wal.recovery", ".boot"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
