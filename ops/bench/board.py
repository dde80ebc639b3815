"""Questions to the board over NATS, after a million events: asked of a real daemon by another process."""

import asyncio
import json
from collections.abc import Iterator

from bus.connection import Connection, connect
from ops.bench.asker import asking, told_by
from ops.bench.daemon import running
from ops.bench.ground import Lab, ground
from ops.bench.rows import Row, at_most
from projections.rebuild import rebuild

EVENTS = 1_000_000
QUESTIONS = 900
PINGS = 2_000
GOAL_MS = 50.0
CAUGHT_UP_S = 300.0


def rows(lab: Lab) -> Iterator[Row]:
    state = lab.grown(lab.scaled(EVENTS))
    if not lab.tables().exists():
        with ground(state) as here:
            here.bridge.run(rebuild(here.log, lab.tables()), timeout_s=300)
    with running(state) as daemon:
        asyncio.run(caught_up(daemon.url, lab.commits))
        told_by(asking(daemon.public_url, "questions", 30, 1))
        told = told_by(asking(daemon.public_url, "questions", lab.scaled(QUESTIONS, 300), 1, 0.002))
        pings = told_by(asking(daemon.public_url, "pings", lab.scaled(PINGS, 300), 1, 0.002))
    against = "an empty micro-service request ($SRV.PING)"
    yield at_most("board_p99_ms", told["p99_ms"], "ms", pings["p99_ms"], f"{against}, p99", GOAL_MS)
    yield Row("board_p50_ms", told["p50_ms"], "ms", pings["p50_ms"], f"{against}, p50")
    for view in ("counts", "tasks", "pipelines"):
        yield Row(f"board_{view}_p99_ms", told[f"{view}_p99_ms"], "ms", pings["p99_ms"], f"{against}, p99")


async def caught_up(url: str, seq: int) -> None:
    """Wait until the daemon's tables are as far as the log was."""
    connection = await connect(url, "bench")
    try:
        async with asyncio.timeout(CAUGHT_UP_S):
            while await _place(connection) < seq:
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def _place(connection: Connection) -> int:
    reply = await connection.request("ask.counts", timeout_s=60)
    if reply.status:
        raise RuntimeError(f"the daemon does not answer questions: {reply.status}")
    return int(json.loads(reply.body)["seq"])
