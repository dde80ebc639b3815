"""The log: the only thing that is written. This is its port, and the log in memory that tests run on."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol

from bus.envelope import Draft, Record
from bus.errors import Conflict

FETCH_BYTES = 16 * 1024 * 1024
"""So much comes with one fetch, however many were asked for. It is more than any record holds."""
Sink = Callable[[list[Record], int], None]
"""Takes what has come, and how many more are waiting behind it."""


class Loaded(NamedTuple):
    """An entity as it stands."""

    bodies: list[bytes]
    seq: int


class Follower(Protocol):
    """A reader that is being fed. It gets more when it says how much it has dealt with, or when it fetches."""

    def done(self, count: int) -> None:
        """So many are dealt with: as many more may come, each as soon as it is there."""
        ...

    def fetch(self, count: int) -> None:
        """Have so many more that are there already; an empty batch says that fewer have come.

        No more were there then, or those would have been too large together (`FETCH_BYTES`). It is for a reader with
        a small window, when all that it was sent is dealt with.
        """
        ...

    async def close(self) -> None: ...


class Log(Protocol):
    """Append with a guard, read one entity, follow many. The sequence number of a record is its place."""

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        """Put all drafts on the log in order and say where. On Conflict the refused draft is not on the log."""
        ...

    def submit(self, drafts: Sequence[Draft]) -> asyncio.Future[list[int]]:
        """The same, in the order of the calls, without waiting here."""
        ...

    async def read(self, subject: str, after: int = 0) -> list[Record]:
        """The records of one entity, or of all whose subjects fit a pattern, oldest first."""
        ...

    async def load(self, subject: str) -> Loaded:
        """All bodies of one entity, oldest first, and the place of the newest: what it takes to fold it."""
        ...

    async def last(self, pattern: str) -> Record | None:
        """The newest record on any subject that fits the pattern."""
        ...

    async def head(self) -> int:
        """The place of the newest record of all; 0 on an empty log."""
        ...

    async def follow(self, patterns: Sequence[str], after: int, sink: Sink, window: int = 2000) -> Follower:
        """Feed the sink with every record behind `after`, in order, without gap or repeat, until closed."""
        ...


async def replay(
    log: Log, patterns: Sequence[str] = ("evt.>",), after: int = 0, until: int | None = None, window: int = 20_000
) -> AsyncIterator[list[Record]]:
    """All records behind `after` up to `until` (by default, up to the head as it is now), in batches."""
    end = await log.head() if until is None else until
    newest = [record.seq for pattern in patterns if (record := await log.last(pattern))]
    end = min(end, max(newest, default=0))  # behind the newest that fits nothing would ever come
    if after >= end:
        return
    batches: asyncio.Queue[tuple[list[Record], int]] = asyncio.Queue()
    follower = await log.follow(patterns, after, lambda batch, waiting: batches.put_nowait((batch, waiting)), window)
    try:
        while True:
            batch, waiting = await batches.get()
            while not batches.empty():  # a busy reader gets few large batches, not many small ones
                more, waiting = batches.get_nowait()
                batch = batch + more
            follower.done(len(batch))
            inside = batch if batch[-1].seq <= end else [record for record in batch if record.seq <= end]
            if inside:
                yield inside
            if batch[-1].seq >= end or waiting == 0:
                return
    finally:
        await follower.close()


def fits(pattern: str, subject: str) -> bool:
    """Whether a subject is one of those that a pattern with `*` and `>` means."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, part in enumerate(wanted):
        if part == ">":
            return len(given) > place
        if place >= len(given) or part not in ("*", given[place]):
            return False
    return len(wanted) == len(given)


def is_pattern(subject: str) -> bool:
    return "*" in subject or ">" in subject


class MemoryLog:
    """The same log in memory: what tests and simulations run on, held to the same contract."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._last: dict[str, int] = {}
        self._followers: list[_MemoryFollower] = []

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        return self.append_now(drafts)

    def submit(self, drafts: Sequence[Draft]) -> asyncio.Future[list[int]]:
        future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(self.append_now(drafts))
        except Conflict as error:
            future.set_exception(error)
        return future

    def append_now(self, drafts: Sequence[Draft]) -> list[int]:
        """The same without waiting, for a simulation that has no loop."""
        places: list[int] = []
        for draft in drafts:
            last = self._last.get(draft.subject, 0)
            if draft.expect is not None and draft.expect != last:
                raise Conflict(f"{draft.subject} is at {last}, not at {draft.expect}")
            self._last[draft.subject] = len(self.records) + 1
            self.records.append(Record(draft.subject, len(self.records) + 1, draft.body))
            places.append(len(self.records))
        for follower in self._followers:
            follower.feed()
        return places

    async def read(self, subject: str, after: int = 0) -> list[Record]:
        return self.read_now(subject, after)

    def read_now(self, subject: str, after: int = 0) -> list[Record]:
        """The same without waiting."""
        if is_pattern(subject):
            return [record for record in self.records[after:] if fits(subject, record.subject)]
        return [record for record in self.records[after:] if record.subject == subject]

    async def load(self, subject: str) -> Loaded:
        return self.load_now(subject)

    def load_now(self, subject: str) -> Loaded:
        """The same without waiting."""
        records = self.read_now(subject)
        return Loaded([record.body for record in records], records[-1].seq if records else 0)

    async def last(self, pattern: str) -> Record | None:
        return next((record for record in reversed(self.records) if fits(pattern, record.subject)), None)

    async def head(self) -> int:
        return len(self.records)

    async def follow(self, patterns: Sequence[str], after: int, sink: Sink, window: int = 2000) -> "_MemoryFollower":
        follower = _MemoryFollower(self, patterns, after, sink, window)
        self._followers.append(follower)
        follower.feed()
        return follower

    def forget(self, follower: "_MemoryFollower") -> None:
        self._followers.remove(follower)


class _MemoryFollower:
    def __init__(self, log: MemoryLog, patterns: Sequence[str], after: int, sink: Sink, window: int) -> None:
        self._log, self._patterns, self._at, self._sink, self._credit = log, patterns, after, sink, window
        self._closed = False

    def feed(self) -> None:
        """Hand over what is there and what the reader has room for."""
        self._credit -= self._hand_out(self._credit)

    def fetch(self, count: int) -> None:
        if self._hand_out(count, FETCH_BYTES) < count:
            asyncio.get_running_loop().call_soon(self._hand_over, [], 0)

    def _hand_out(self, room: int, most_bytes: float = math.inf) -> int:
        fitting: list[Record] = []
        for record in self._log.records[self._at :]:
            if any(fits(pattern, record.subject) for pattern in self._patterns):
                fitting.append(record)
        sizes = accumulate(len(record.body) for record in fitting[:room])
        batch = fitting[: sum(size <= most_bytes for size in sizes)]
        waiting = len(fitting) - len(batch)
        if batch:
            self._at = batch[-1].seq
            asyncio.get_running_loop().call_soon(self._hand_over, batch, waiting)
        return len(batch)

    def _hand_over(self, batch: list[Record], waiting: int) -> None:
        if not self._closed:
            self._sink(batch, waiting)

    def done(self, count: int) -> None:
        self._credit += count
        self.feed()

    async def close(self) -> None:
        self._closed = True
        self._log.forget(self)
