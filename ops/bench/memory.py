"""Memory and idleness: the daemon and its server after they have read a million events, in real processes."""

import asyncio
import time
from collections.abc import Iterator

from ops.bench.asker import asking, told_by
from ops.bench.board import caught_up
from ops.bench.daemon import cpu_s, resident_mb, running
from ops.bench.ground import Lab, ground
from ops.bench.rows import Row, at_most
from projections.projector import FOLD_S
from projections.store import remove

EVENTS = 1_000_000
SETTLE_S, IDLE_S = 2.5 * FOLD_S, 15.0
"""Two folds after the last event its tables have nothing left to tidy up."""
GOAL_MB, GOAL_PERCENT = 400.0, 1.0


def rows(lab: Lab) -> Iterator[Row]:
    state = lab.grown(lab.scaled(EVENTS))
    remove(lab.tables())  # so that the daemon itself reads the whole log
    with running(state) as daemon:
        began = time.perf_counter()
        asyncio.run(caught_up(daemon.url, lab.commits))
        took_s = time.perf_counter() - began
        told_by(asking(daemon.public_url, "questions", 60, 2))
        time.sleep(SETTLE_S)
        before = [cpu_s(pid) for pid in daemon.pids]
        time.sleep(IDLE_S)
        used = [cpu_s(pid) - spent for pid, spent in zip(daemon.pids, before, strict=True)]
        own_mb, server_mb, tables_mb = (resident_mb(pid) for pid in daemon.pids)
    with ground(lab.state()) as here:
        alone_mb = resident_mb(here.server.pid)
    total, against = own_mb + server_mb + tables_mb, "the server alone, just started on the same log"
    yield at_most("memory_mb", total, "MB", alone_mb, against, GOAL_MB)
    yield Row("memory_daemon_mb", own_mb, "MB", server_mb, "its server at that moment")
    yield Row("memory_tables_mb", tables_mb, "MB", server_mb, "the same")
    percent, of_server = (100 * spent / IDLE_S for spent in (sum(used), used[1]))
    yield at_most(
        "idle_cpu_percent", percent, "% of core", of_server, f"the server's part of it, {IDLE_S:g} s", GOAL_PERCENT
    )
    yield Row("up_with_log_s", daemon.ready_s, "s", took_s, "then, until its tables had caught up from nothing")
