"""Rebuild: the whole DuckDB file made anew from the log."""

import time
from collections.abc import Iterator
from pathlib import Path

import duckdb

from bus.log import replay
from ops.bench.ground import Ground, Lab, ground
from ops.bench.rows import Row, at_most
from projections.rebuild import rebuild

EVENTS = 1_000_000
GOAL_S = 20.0

_PARSE = """
CREATE TABLE events AS
SELECT id, "at", "by", cause, flow, v, unnest(events) AS event
FROM read_json('{path}', format = 'newline_delimited', columns = {{
    id: 'VARCHAR', "at": 'TIMESTAMP', "by": 'VARCHAR', cause: 'VARCHAR', flow: 'VARCHAR', v: 'UINTEGER',
    events: 'STRUCT(type VARCHAR, task VARCHAR, workflow VARCHAR, phases VARCHAR[], priority INTEGER, phase VARCHAR,
        role VARCHAR, agent VARCHAR, run VARCHAR, attempt INTEGER, epoch INTEGER, reason VARCHAR, "order" VARCHAR,
        pipeline VARCHAR, capacity INTEGER, mind VARCHAR, lease_s DOUBLE, actor VARCHAR, actors VARCHAR[],
        artifacts STRUCT(name VARCHAR, type VARCHAR, sha256 VARCHAR, bytes BIGINT, content VARCHAR)[])[]'
}})
"""


def rows(lab: Lab) -> Iterator[Row]:
    state = lab.grown(lab.scaled(EVENTS))
    events = lab.events
    with ground(state) as here:
        began = time.perf_counter()
        here.bridge.run(rebuild(here.log, lab.tables()), timeout_s=300)
        ours_s = time.perf_counter() - began
        texts = lab.folder / "commits.ndjson"
        here.bridge.run(_write_out(here, texts), timeout_s=120)
    alone_s = _alone(texts, lab.folder / "alone.duckdb")
    texts.unlink()
    goal = GOAL_S * events / EVENTS
    against = f"DuckDB alone, parsing the same {events:,} events from a file into one table"
    yield at_most("rebuild_s", ours_s, "s", alone_s, against, round(goal, 2))
    yield Row("rebuild_events_per_s", events / ours_s, "events/s", events / alone_s, "the same")


async def _write_out(here: Ground, path: Path) -> None:
    with open(path, "wb", buffering=1 << 20) as file:
        async for batch in replay(here.log):
            file.writelines(record.body + b"\n" for record in batch)


def _alone(texts: Path, file: Path) -> float:
    with duckdb.connect(str(file), config={"threads": "2"}) as db:
        began = time.perf_counter()
        db.execute(_PARSE.format(path=texts))
        db.execute("CHECKPOINT")
        took_s = time.perf_counter() - began
    file.unlink()
    return took_s
