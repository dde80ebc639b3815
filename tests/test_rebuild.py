"""The tables are made anew from the log, and held against it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bus.envelope import Draft
from bus.errors import Unavailable
from bus.log import MemoryLog
from projections.rebuild import fill, rebuild, verify
from projections.store import TAIL_BYTES, Store
from tests.projected_histories import History, facts_of


@pytest.mark.parametrize("most", [TAIL_BYTES, 5_000])
def test_a_rebuild_takes_the_place_of_the_file_and_verify_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("projections.store.TAIL_BYTES", most)
    monkeypatch.setattr("projections.batches.CHUNK_RECORDS", 20)

    async def scenario() -> None:
        path, history, log = tmp_path / "live.duckdb", History(5).grow(150), MemoryLog()
        log.append_now([Draft(record.subject, record.body, "", None) for record in history.records])
        wrong = History(6).grow(20)
        facts_of(path, wrong)
        steps: list[tuple[int, int]] = []
        assert await rebuild(log, path, lambda done, total: steps.append((done, total))) == len(history.records)
        assert steps[-1] == (len(history.records), len(history.records))
        assert (await verify(log, path)).same
        assert os.listdir(tmp_path) == ["live.duckdb"]

    asyncio.run(scenario())


def test_verify_names_what_differs(tmp_path: Path) -> None:
    async def scenario() -> None:
        path, history, log = tmp_path / "live.duckdb", History(5).grow(150), MemoryLog()
        log.append_now([Draft(record.subject, record.body, "", None) for record in history.records])
        store = Store(path)
        await fill(log, store)
        with store.reading(None) as (cursor, _):
            cursor.execute("UPDATE board SET text = 'something else' WHERE id = 'task-0'")
        store.close()
        differing = (await verify(log, path)).differing
        assert "tasks" in differing and "phases" not in differing

    asyncio.run(scenario())


def test_a_rebuild_of_a_file_in_use_is_refused(tmp_path: Path) -> None:
    program = (
        "import sys; from projections.store import Store; s = Store(sys.argv[1]); print('open', flush=True); input()"
    )
    path = tmp_path / "live.duckdb"
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        cwd=Path(__file__).parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None and holder.stdout.readline() == "open\n"
    with pytest.raises(Unavailable):
        asyncio.run(rebuild(MemoryLog(), path))
    holder.communicate("\n", timeout=30)
