"""Lag: from the append of a commit until the views show it, at 1,500 events a second and with readers.

Who writes and who reads are processes of their own, as the daemon and the CLI are beside the tables.
"""

import asyncio
import threading
import time
from collections.abc import Iterator

from bus.connection import connect
from ops.bench.asker import asking, told_by
from ops.bench.ground import Ground, Lab, ground
from ops.bench.rows import Row, at_most, percentile
from ops.bench.writer import written
from projections.asking import Asking
from projections.projector import Projection

EVENTS_PER_S = 1_500
TAKES_S = 20.0
READERS = 3
READER_PACE_S = 0.05
READ_ON_S = 2.0
"""So much longer than the writer they ask, which has to start first."""
GOAL_MS = 100.0


class Watch:
    """When the views showed which place in the log."""

    def __init__(self, projection: Projection) -> None:
        self._store = projection.store
        self._closed = False
        self._thread = threading.Thread(target=self._look, name="lag-watch", daemon=True)
        self._shown: list[tuple[int, float]] = []

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._thread.join()

    def lags_s(self, appended: list[tuple[int, float]]) -> list[float]:
        """For each place in the log and the moment at which its append was handed in."""
        shown = iter(self._shown)
        upto, at = next(shown)
        lags = []
        for seq, began in appended:
            while upto < seq:
                upto, at = next(shown)
            lags.append(max(0.0, at - began))
        return lags

    def _look(self) -> None:
        seen = self._store.position
        while not self._closed:
            if self._store.reached(seen + 1, 0.05):
                seen = self._store.position
                self._shown.append((seen, time.perf_counter()))
        self._shown.append((self._store.position, time.perf_counter()))


def rows(lab: Lab) -> Iterator[Row]:
    takes_s = max(3.0, TAKES_S * min(1.0, lab.scale))
    with ground(lab.fresh("lag")) as here:
        projection = Projection(here.folder / "witan.duckdb", here.log, here.bridge)
        questions = Asking(projection, here.folder / "snapshots")
        here.bridge.run(questions.open(here.connection.nc), timeout_s=10)
        try:
            readers = asking(here.server.public_url, "questions", 0, READERS, READER_PACE_S, takes_s + READ_ON_S)
            with Watch(projection) as watch:
                appended = written(here.server.url, takes_s, EVENTS_PER_S)
                projection.store.reached(appended[-1][0], 60)
            told = told_by(readers)
            raw = here.bridge.run(_raw(here), timeout_s=60)
        finally:
            here.bridge.run(questions.close(), timeout_s=10)
            projection.close()
    lags = watch.lags_s(appended)
    p50, p99 = (percentile(lags, part) * 1000 for part in (0.5, 0.99))
    against = "raw NATS from publish to subscriber"
    yield Row("lag_p50_ms", p50, "ms", percentile(raw, 0.5) * 1000, against + ", p50")
    yield at_most("lag_p99_ms", p99, "ms", percentile(raw, 0.99) * 1000, against + ", p99", GOAL_MS)
    yield Row(
        "lag_readers_p99_ms", told["p99_ms"], "ms", told["p50_ms"], f"the readers' own p50, {told['per_s']:.0f}/s"
    )


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
