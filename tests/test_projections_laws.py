"""Laws of the tables: live is rebuilt at every prefix and after every kill, and the past is what it was."""

import datetime
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections import statements
from projections.statements import SAY, VIEWS
from projections.store import Store
from tests.projected_histories import START, History, rows
from tests.projected_stores import new_store

ROOT = Path(__file__).parent.parent


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = new_store(tmp_path / "live.duckdb")
    yield store
    store.close()


@given(st.integers(0, 10**9))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_board_is_what_the_orchestrator_remembers(tmp_path: Path, seed: int) -> None:
    store = new_store(tmp_path / "live.duckdb")
    history = History(seed).grow(60)
    store.take(history.records)
    found = {row["id"]: row for row in rows(store, "tasks", limit=1000)}
    store.close()
    for id, state in history.tasks.items():
        row, assigned = (
            found[id],
            state.assignment if state.status not in ("completed", "failed", "cancelled") else None,
        )
        assert (row["status"], row["done"], row["text"]) == (state.status, len(state.done), state.text)
        assert (row["agent"], row["run"]) == ((assigned.agent, assigned.run) if assigned else (None, None))
        assert state.phase in ("", row["phase"])


def prefixes_that_differ(
    live: Store, whole: Store, history: History, dice: random.Random, compared: list[int]
) -> Iterator[int]:
    """Feed in pieces, fold all or a piece of it now and then, and compare with the whole log as of the same place."""
    reached = 0
    while reached < len(history.records):
        upto = min(len(history.records), reached + dice.choice((1, 1, 1, 2)))
        live.take(history.records[max(0, reached - dice.randrange(3)) : upto])
        reached = upto
        if dice.random() < 0.5:
            dice.choice((live.fold, live.fold_on, live.fold_on, live.fold_on))()
        names = EVERYTHING if reached % 50 < 2 else KEPT
        if live.fingerprint(names=names) != whole.fingerprint(reached, names):
            yield reached
        compared.append(reached)


KEPT = ("board_rows", "step_now", "run_now", "trouble_now", "house_now")
"""What the views are made of; they themselves are compared now and then."""
EVERYTHING = ("events", *KEPT, "board_now", *VIEWS)
ENOUGH = 70
"""Too few places prove nothing; all seeds together must have 400."""
LATER = [pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 4, 7, 9, 10)]


@pytest.mark.parametrize("seed", [0, *LATER])
def test_live_is_rebuilt_at_every_prefix(store: Store, tmp_path: Path, seed: int) -> None:
    history, compared = History(seed).grow(110), list[int]()
    whole = new_store(tmp_path / "whole.duckdb")
    whole.take(history.records)
    assert list(prefixes_that_differ(store, whole, history, random.Random(seed), compared)) == []
    assert len({*compared}) >= ENOUGH
    whole.close()


def test_the_comparison_catches_a_fold_that_forgets(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = SAY["fold"].replace("now.board_fresh", "(FROM now.board_fresh WHERE status <> 'paused')")
    assert planted != SAY["fold"]
    monkeypatch.setitem(statements.SAY, "fold", planted)
    whole = new_store(tmp_path / "whole.duckdb")
    history = History(3).grow(150)
    whole.take(history.records)
    assert next(prefixes_that_differ(store, whole, history, random.Random(1), []))
    whole.close()


def test_any_past_place_equals_a_store_that_has_seen_no_more(store: Store, tmp_path: Path) -> None:
    history = History(11).grow(60)
    store.take(history.records[:40])
    store.fold()
    store.take(history.records[40:])
    for place in (0, 1, 13, 39, 40, 41, len(history.records)):
        fresh = new_store(tmp_path / "fresh.duckdb")
        fresh.take(history.records[:place])
        names = EVERYTHING if place in (13, 41) else KEPT
        assert store.fingerprint(place, names) == fresh.fingerprint(names=names)
        then = (START + datetime.timedelta(seconds=place)).isoformat() + "Z"
        if b'"at"' in (history.records[place - 1].body if place else b""):
            assert rows(store, "tasks", as_of=then) == rows(fresh, "tasks")
        fresh.close()


def test_a_batch_that_comes_again_or_out_of_order_changes_nothing(store: Store, tmp_path: Path) -> None:
    history = History(5).grow(30)
    store.take(history.records)
    before = store.fingerprint()
    assert store.take(history.records[5:]) == 0
    store.clear()
    store.take([*history.records[::-1], *history.records])
    assert store.fingerprint() == before


CHILD = """
import sys
from projections.store import Store
from tests.projected_histories import History

store = Store(sys.argv[1])
records = History(int(sys.argv[2])).grow(500).records
print("start", store.position, flush=True)
while store.position < len(records):
    store.take(records[store.position : store.position + 7])
    if store.position % 3 == 0:
        store.fold()
    if store.position % 11 == 0:
        store.checkpoint()
    print(store.position, flush=True)
print("end", flush=True)
"""


def test_a_kill_anywhere_leaves_a_store_that_goes_on(tmp_path: Path) -> None:
    path, dice, kills, ended = tmp_path / "killed.duckdb", random.Random(4), 0, False
    while not ended:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), "21"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for _ in range(dice.randrange(2, 30)):
            ended = child.stdout.readline().strip() == "end"
            if ended:
                break
        else:
            child.send_signal(signal.SIGKILL)
            kills += 1
        child.communicate(timeout=60)
    history = History(21).grow(500)
    live, again = Store(path), Store(tmp_path / "again.duckdb")
    again.take(history.records)
    assert live.fingerprint() == again.fingerprint() and kills >= 5
    live.close()
    again.close()
