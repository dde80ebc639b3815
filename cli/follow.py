"""The log as it grows, for verbs that stay and watch: no polling, from any place on."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import msgspec

from bus.envelope import Commit, Record
from bus.log import Log
from bus.messages.kinds import read_commit
from bus.subjects import route_of


async def following(log: Log, patterns: Sequence[str], after: int = 0) -> AsyncIterator[Record]:
    """Every record behind `after`, those to come too, until the caller has seen enough."""
    batches: asyncio.Queue[list[Record]] = asyncio.Queue()
    follower = await log.follow(patterns, after, lambda batch, waiting: batches.put_nowait(batch))
    try:
        while True:
            batch = await batches.get()
            for record in batch:
                yield record
            follower.done(len(batch))
    finally:
        await follower.close()


def lines_of(record: Record, commit: Commit[Any] | None = None) -> Iterator[dict[str, object]]:
    """A record as one flat row for each of its events."""
    commit = commit or read_commit(record)
    route = route_of(record.subject)
    for event in commit.events:
        fields: dict[str, object] = msgspec.to_builtins(event)
        yield {
            "seq": record.seq,
            "at": commit.at,
            "kind": route.kind,
            "id": f"{route.owner}.{route.id}" if route.owner else route.id,
            "type": fields.pop("type"),
            "by": commit.by,
            "flow": commit.flow,
            "v": commit.v,
            "cause": commit.cause,
            "event": fields,
        }
