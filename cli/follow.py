"""The log as it grows, for verbs that stay and watch: no polling, from any place on."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import msgspec

from bus.envelope import Commit, Record
from bus.log import Log
from bus.messages.kinds import read_commit
from bus.subjects import route_of
from cli.output import Form
from cli.progress import Progress
from cli.ticker import Ticker

COUNCILS = "evt.council."


class Picture(Protocol):
    """Shows a task while it goes on."""

    def show(self, record: Record, progress: Progress) -> None: ...


class Lines:
    """Every event on a line of its own."""

    def __init__(self, form: Form) -> None:
        self._ticker = Ticker(form)

    def show(self, record: Record, progress: Progress) -> None:
        """Take the record in and print it."""
        commit = taken(record, progress)
        for line in lines_of(record, commit):
            self._ticker.show(line)


def taken(record: Record, progress: Progress) -> Commit[Any]:
    """Let the progress know of the record; what its commit says."""
    commit = read_commit(record)
    if record.subject == f"evt.task.{progress.id}":
        progress.take(commit, record.seq)
    elif record.subject.startswith(COUNCILS):
        progress.take_council(commit)
    else:
        progress.take_step(commit)
    return commit


def picture_of(form: Form) -> AbstractContextManager[Picture]:
    """What suits the form: a drawing for a person, lines for everybody else."""
    if form is not Form.TABLE:
        return nullcontext(Lines(form))
    from cli.screen import Screen

    return Screen()


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
