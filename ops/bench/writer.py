"""A process of its own that writes the story's commits at an even pace; prints when it handed in what as JSON."""

import asyncio
import json
import subprocess
import sys
import time
from functools import partial

import uvloop

from bus.connection import connect
from bus.jetstream import JetStreamLog
from ops.bench.story import Story


def written(url: str, takes_s: float, events_per_s: int) -> list[tuple[int, float]]:
    """The place in the log of each commit and the moment at which it was handed in, by the clock of the machine."""
    words = [sys.executable, "-m", "ops.bench.writer", url, str(takes_s), str(events_per_s)]
    told = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=takes_s + 120).stdout
    return sorted((int(seq), float(at)) for seq, at in json.loads(told))


async def _write(url: str, takes_s: float, events_per_s: int) -> list[tuple[int, float]]:
    """A few commits each 10 ms, each timed from the moment it is handed in."""
    connection = await connect(url, "bench-writer")
    log = JetStreamLog(connection)
    drafts = (draft for wave in Story().waves() for draft in wave)
    began, sent = time.perf_counter(), 0
    waiting: list[asyncio.Future[list[int]]] = []
    places: list[tuple[int, float]] = []

    def keep(at: float, done: asyncio.Future[list[int]]) -> None:
        places.append((done.result()[0], at))

    while (elapsed := time.perf_counter() - began) < takes_s:
        due = int(elapsed * events_per_s / 2) - sent  # two events a commit
        for _ in range(due):
            future = log.submit([next(drafts)])
            future.add_done_callback(partial(keep, time.perf_counter()))
            waiting.append(future)
        sent += due
        await asyncio.sleep(0.01)
    await asyncio.gather(*waiting)
    await connection.close()
    return places


if __name__ == "__main__":
    told = uvloop.run(_write(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
    with open(1, "w", closefd=False) as out:  # where PYTHONUNBUFFERED is set, `print` loses what a pipe does not take
        json.dump(told, out)
