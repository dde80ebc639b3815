"""The execution log after a million events of runs led turn by turn: asked over NATS of a real daemon."""

import asyncio
from collections.abc import Iterator

from ops.bench.asker import asking, told_by
from ops.bench.board import caught_up
from ops.bench.daemon import running
from ops.bench.ground import Lab, append_fast, ground
from ops.bench.rows import Row, at_most
from ops.bench.story import Story
from projections.rebuild import rebuild

EVENTS = 1_000_000
TURNS = 4
QUESTIONS = 300
PINGS = 600
GOAL_MS = 100.0


def rows(lab: Lab) -> Iterator[Row]:
    state, story = lab.fresh("history"), Story(turns=TURNS)
    events = lab.scaled(EVENTS)
    with ground(state) as here:
        for wave in story.waves():
            here.bridge.run(append_fast(here.connection, iter(wave)), timeout_s=600)
            if story.events >= events:
                break
        here.bridge.run(rebuild(here.log, state / "witan.duckdb"), timeout_s=300)
    with running(state) as daemon:
        asyncio.run(caught_up(daemon.url, story.seq))
        told_by(asking(daemon.public_url, "history", 12, 1))
        told = told_by(asking(daemon.public_url, "history", lab.scaled(QUESTIONS, 90), 1, 0.01))
        pings = told_by(asking(daemon.public_url, "pings", lab.scaled(PINGS, 300), 1, 0.002))
    against = f"an empty micro-service request ($SRV.PING), p99; {story.events:,} events of runs in {TURNS} turns each"
    for view in ("history", "history_stats", "history_errors"):
        yield at_most(f"{view}_p99_ms", told[f"{view}_p99_ms"], "ms", pings["p99_ms"], against, GOAL_MS)
