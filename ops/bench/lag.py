"""Lag: from the append of a commit until the views show it, at 1,500 events a second and with readers."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import partial

from bus.connection import connect
from ops.bench.asker import asking, told_by
from ops.bench.ground import Ground, Lab, ground
from ops.bench.rows import Row, at_most, percentile
from ops.bench.story import Story
from projections.asking import Asking
from projections.projector import Projection

EVENTS_PER_S = 1_500
TAKES_S = 20.0
READERS = 3
READER_PACE_S = 0.05
GOAL_MS = 100.0


class Watch:
    """When each place in the log was appended, and when the views showed it."""

    def __init__(self, projection: Projection) -> None:
        self._store = projection.store
        self._open: deque[tuple[int, float]] = deque()
        self._closed = False
        self._thread = threading.Thread(target=self._look, name="lag-watch", daemon=True)
        self.lags_s: list[float] = []

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._thread.join()

    def appended(self, at: float, done: asyncio.Future[list[int]]) -> None:
        """This append was handed in at that moment."""
        self._open.append((done.result()[0], at))

    def _look(self) -> None:
        now, seen = 0.0, self._store.position
        while not (self._closed and not self._open):
            if self._store.reached(seen + 1, 0.05):
                now, seen = time.perf_counter(), self._store.position
            while self._open and self._open[0][0] <= seen:
                self.lags_s.append(max(0.0, now - self._open.popleft()[1]))


def rows(lab: Lab) -> Iterator[Row]:
    takes_s = max(3.0, TAKES_S * min(1.0, lab.scale))
    with ground(lab.fresh("lag")) as here:
        projection = Projection(here.folder / "witan.duckdb", here.log, here.bridge)
        questions = Asking(projection.store, projection.snapshot, here.folder / "snapshots")
        here.bridge.run(questions.open(here.connection.nc), timeout_s=10)
        try:
            count = int(READERS * takes_s / READER_PACE_S / 3)
            readers = asking(here.server.public_url, "questions", count, READERS, READER_PACE_S)
            with Watch(projection) as watch:
                here.bridge.run(_write(here, watch, takes_s), timeout_s=120)
            told = told_by(readers)
            raw = here.bridge.run(_raw(here), timeout_s=60)
        finally:
            here.bridge.run(questions.close(), timeout_s=10)
            projection.close()
    p50, p99 = (percentile(watch.lags_s, part) * 1000 for part in (0.5, 0.99))
    against = "raw NATS from publish to subscriber"
    yield Row("lag_p50_ms", p50, "ms", percentile(raw, 0.5) * 1000, against + ", p50")
    yield at_most("lag_p99_ms", p99, "ms", percentile(raw, 0.99) * 1000, against + ", p99", GOAL_MS)
    yield Row(
        "lag_readers_p99_ms", told["p99_ms"], "ms", told["p50_ms"], f"the readers' own p50, {told['per_s']:.0f}/s"
    )


async def _write(here: Ground, watch: Watch, takes_s: float) -> None:
    """The story's commits at an even pace, a few each 10 ms, each timed from the moment it is handed in."""
    story = Story()
    drafts = (draft for wave in story.waves() for draft in wave)
    began = time.perf_counter()
    sent = 0
    waiting: list[asyncio.Future[list[int]]] = []
    while (elapsed := time.perf_counter() - began) < takes_s:
        due = int(elapsed * EVENTS_PER_S / 2) - sent  # two events a commit
        for _ in range(due):
            future = here.log.submit([next(drafts)])
            future.add_done_callback(partial(watch.appended, time.perf_counter()))
            waiting.append(future)
        sent += due
        await asyncio.sleep(0.01)
    await asyncio.gather(*waiting)


async def _raw(here: Ground) -> list[float]:
    """The same pace through the server alone."""
    took: list[float] = []
    other = await connect(here.server.url, "bench")
    await other.subscribe("live.bench", lambda _, __, ___, body: took.append(time.perf_counter() - float(body)))
    await other.nc.flush()
    for _ in range(150):
        for _ in range(EVENTS_PER_S // 200):
            here.connection.publish(b"live.bench", b"%.7f" % time.perf_counter())
        await asyncio.sleep(0.01)
    await other.close()
    return took
