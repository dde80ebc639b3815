"""A machine that goes down costs the tables, a process that is killed costs nothing, and neither costs the truth."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.errors import Unavailable
from projections import boot
from projections.store import Store
from tests.projected_histories import History
from tests.projected_stores import new_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = new_store(tmp_path / "live.duckdb")
    yield store
    store.close()


@pytest.fixture
def running() -> History:
    history = History()
    for number in range(3):
        history.submit(f"task-{number}")
    return history


def test_a_file_that_was_open_when_the_machine_went_down_is_made_anew(store: Store, running: History) -> None:
    store.take(running.records)
    said, mark = store.fingerprint(), store.path.with_name(store.path.name + ".boot")
    assert mark.read_text() == boot.boot_id() != ""
    store.close()
    assert not mark.exists()
    store.open()
    assert store.fingerprint() == said
    store.close()
    mark.write_text("another run of the machine")
    with pytest.raises(Unavailable, match="the machine went down"):
        Store(store.path, read_only=True)
    store.open()
    assert (store.position, mark.read_text()) == (0, boot.boot_id())


def test_a_file_that_a_killed_process_left_is_gone_on_with(store: Store, running: History) -> None:
    store.take(running.records)
    left = store.path.with_name("left.duckdb")
    for ending in ("", ".wal", ".boot"):
        shutil.copyfile(store.path.with_name(store.path.name + ending), left.with_name(left.name + ending))
    again = Store(left)
    assert (again.position, again.fingerprint()) == (store.position, store.fingerprint())
    again.close()


def test_where_nobody_names_the_runs_of_the_machine_everything_is_synced(
    store: Store, running: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    monkeypatch.setattr(boot, "boot_id", lambda: "")
    store.open()
    store.take(running.records)
    with store.reading(None) as (cursor, _):
        assert cursor.execute("SELECT current_setting('fsync_mode')").fetchone() == ("STANDARD",)
    assert not store.path.with_name(store.path.name + ".boot").exists()
