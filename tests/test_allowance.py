"""DuckDB may take little memory; whoever needs more gets it, and it goes back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from bus.envelope import Record
from bus.errors import Unavailable
from bus.messages.task import TaskSubmitted
from projections.allowance import MEMORY, Allowance
from projections.store import Store
from tests.projected_histories import History, facts_of

SMALL = "16MB"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a small store was allowed, one after the other."""
    sizes: list[str] = []
    change = Allowance._set

    def noted(self: Allowance, size: str) -> None:
        sizes.append(size)
        change(self, size)

    monkeypatch.setattr("projections.store.MEMORY", SMALL)
    monkeypatch.setattr(Allowance, "_set", noted)
    yield sizes


def long_texts() -> History:
    """18 MB in what the tasks are called."""
    history = History(3).grow(50)
    for number in range(300):
        history.commit(
            f"evt.task.long-{number}", TaskSubmitted(task=str(number) + "x" * 60_000, workflow="tiered", phases=["a"])
        )
    return history


def limit_of(store: Store) -> str:
    with store.reading(None) as (cursor, _):
        return str(cursor.execute("SELECT current_setting('memory_limit')").fetchall()[0][0])


def test_whoever_needs_more_gets_it_and_it_goes_back(tmp_path: Path, asked: list[str]) -> None:
    history = long_texts()
    store = Store(tmp_path / "small.duckdb")
    before = limit_of(store)

    def needs_more(work: Callable[[], object]) -> None:
        asked.clear()
        work()
        assert asked and asked[-1] == SMALL and limit_of(store) == before

    needs_more(lambda: store.take(history.records))
    needs_more(lambda: store.query("tasks", {"limit": 1000}))
    needs_more(store.fold)
    asked.clear()
    assert store.query("counts").rows and not asked
    said = store.fingerprint()
    store.close()
    assert said == facts_of(tmp_path / "plenty.duckdb", history)


def test_a_question_that_needs_still_more_is_refused(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "small.duckdb")
    store.take(long_texts().records)
    monkeypatch.setattr("projections.allowance.MEMORY_MORE", SMALL)
    with pytest.raises(Unavailable, match="needs too much memory"):
        store.query("tasks", {"limit": 1000})
    assert store.query("counts").rows
    store.close()


def test_what_somebody_holds_goes_back_when_he_is_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "some.duckdb")
    before = limit_of(store)
    change = Allowance._set

    def held(self: Allowance, size: str) -> None:
        if size == MEMORY:
            raise duckdb.OutOfMemoryException("could not free up enough memory for the new limit")
        change(self, size)

    with monkeypatch.context() as patch, store.reading(None):
        patch.setattr(Allowance, "_set", held)
        with store._allowance.raised():
            pass
    above = limit_of(store)
    assert above != before and limit_of(store) == before
    store.close()


def test_a_file_that_is_closed_meanwhile_asks_for_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "some.duckdb")
    allowance = store._allowance
    with allowance.raised():
        store.close()
    store.open()
    assert store.take([Record("evt.task.a", 1, b"{}")]) == 1
    store.close()
