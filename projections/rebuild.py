"""The tables made anew from the log, and the proof that they say what the log says."""

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bus.log import Log, replay
from projections.store import Store, remove

WINDOW = 20_000

Progress = Callable[[int, int], None]


class Verdict(NamedTuple):
    """Up to where two stores were compared, and what they do not agree on."""

    seq: int
    differing: list[str]

    @property
    def same(self) -> bool:
        return not self.differing


async def fill(log: Log, store: Store, until: int | None = None, progress: Progress | None = None) -> int:
    """Take everything up to `until`, or to the head as it is now; the place that was reached."""
    last = await log.last("evt.>")
    head = last.seq if last else 0
    end = head if until is None else min(until, head)
    async for batch in replay(log, after=store.position, until=end, window=WINDOW):
        await asyncio.to_thread(store.take, batch)
        if progress is not None:
            progress(store.position, end)
    await asyncio.to_thread(store.fold)
    return store.position


async def rebuild(log: Log, path: Path | str, progress: Progress | None = None) -> int:
    """A new file from the first record on, put in the place of the old one when it has caught up.

    Nobody may have the old file open.
    """
    path = Path(path)
    Store(path).close()
    fresh = path.with_name(path.name + ".rebuild")
    remove(fresh)
    store = Store(fresh, bulk=True)
    try:
        seq = await fill(log, store, progress=progress)
        await asyncio.to_thread(store.checkpoint)
    finally:
        store.close()
    remove(path)
    os.replace(fresh, path)
    return seq


async def verify(log: Log, path: Path | str, progress: Progress | None = None) -> Verdict:
    """Whether a file, best a snapshot, says what the log says up to the same place."""
    live = Store(path, read_only=True)
    try:
        seq, said = live.position, await asyncio.to_thread(live.fingerprint)
    finally:
        live.close()
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder:
        store = Store(Path(folder) / "again.duckdb", bulk=True)
        try:
            await fill(log, store, seq, progress)
            again = await asyncio.to_thread(store.fingerprint)
        finally:
            store.close()
    return Verdict(seq, [name for name in said if said[name] != again[name]])
