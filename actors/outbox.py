"""An actor's outbox, on the loop's side: what was decided goes to the log, and only then is anything answered."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import msgspec

from actors.decider import Answer, Effect, Effects, Sending
from actors.kept import Keep
from bus import commands
from bus.blobs import Blobs
from bus.bridge import Bridge
from bus.commands import CommandDesk
from bus.connection import Connection
from bus.envelope import Draft
from bus.errors import Unavailable
from bus.follow import Letter, WorkQueue
from bus.jetstream import JetStreamLog
from bus.log import Follower
from bus.timers import Timer, arm


class Wires(NamedTuple):
    """What connects an actor with the bus."""

    bridge: Bridge
    connection: Connection
    log: JetStreamLog
    blobs: Blobs
    clock: Callable[[], float]
    keep: Keep | None = None


class Settled(msgspec.Struct, frozen=True):
    """A letter that can be acknowledged, and what its sender is told."""

    queue: WorkQueue
    letter: Letter
    word: bytes = b"+ACK"
    desk: CommandDesk | None = None
    answer: bytes = b""


class Parcel(msgspec.Struct, frozen=True):
    """What one turn of an actor's mailbox came to."""

    drafts: list[Draft]
    blobs: list[bytes]
    timers: list[Timer]
    sendings: list[Sending]
    settled: list[Settled]
    effects: list[Effect]
    records: int
    upto: int


class Outbox:
    """Parcels leave in the order in which they came; several can be under way, the log keeps them in order."""

    def __init__(self, wires: Wires, failed: Callable[[Exception], None], answered: Callable[[Answer], None]) -> None:
        self.failed = failed
        self._wires, self._answered = wires, answered
        self._queue: asyncio.Queue[Parcel] = asyncio.Queue()
        self._line: deque[tuple[Parcel, asyncio.Future[list[int]] | None]] = deque()
        self._under_way: set[asyncio.Future[list[int]]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._storing: asyncio.Task[None] | None = None
        self.follower: Follower | None = None
        self.effects: Effects | None = None
        self.upto = 0
        """The place in the log up to which everything has been dealt with for good."""

    def post(self, parcel: Parcel) -> None:
        """Take a parcel; on the loop."""
        if self._closed:
            return
        if parcel.blobs or self._storing:
            self._queue.put_nowait(parcel)
            if not self._storing:
                self._storing = asyncio.create_task(self._store_first())
        else:
            self._append(parcel)

    async def close(self) -> None:
        """Send nothing more, and wait until what is under way has come to its end."""
        self._closed = True
        for task in [*self._tasks, *([self._storing] if self._storing else [])]:
            task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _store_first(self) -> None:
        """Blobs are stored before the events that name them; parcels behind them wait."""
        try:
            while not self._queue.empty():
                parcel = self._queue.get_nowait()
                await asyncio.gather(*map(self._wires.blobs.put, dict.fromkeys(parcel.blobs)))
                self._append(parcel)
        except Unavailable as error:
            self._fail(error)
        finally:
            self._storing = None

    def _append(self, parcel: Parcel) -> None:
        future = self._wires.log.submit(parcel.drafts) if parcel.drafts else None
        self._line.append((parcel, future))
        if future is None:
            self._finish_stored()
        else:
            self._under_way.add(future)
            future.add_done_callback(self._stored)

    def _stored(self, future: asyncio.Future[list[int]]) -> None:
        self._under_way.discard(future)
        error = future.exception()
        if error is not None:
            self._line.clear()  # nothing behind it counts; the actor begins again and finds out
            self._fail(error if isinstance(error, Exception) else RuntimeError(str(error)))
        self._finish_stored()

    def _finish_stored(self) -> None:
        """In their order: what one parcel does outside or says, like a stop, is about those before it."""
        while self._line:
            parcel, future = self._line[0]
            if future is not None and (not future.done() or future.exception() is not None):
                return
            self._line.popleft()
            if parcel.timers or parcel.sendings:
                self._later(self._finish_slowly(parcel))
            else:
                self._finish(parcel)

    async def _finish_slowly(self, parcel: Parcel) -> None:
        try:
            await arm(self._wires.connection, parcel.timers)
        except Unavailable as error:
            self._fail(error)
            return
        for sending in parcel.sendings:
            self._later(self._send(sending))
        self._finish(parcel)

    def _finish(self, parcel: Parcel) -> None:
        self.upto = max(self.upto, parcel.upto)
        if self.effects is not None:
            for effect in parcel.effects:
                self.effects.perform(effect)
        for settled in parcel.settled:
            if settled.letter.ack:
                settled.queue.ack(settled.letter, settled.word)
            if settled.desk is not None:
                settled.desk.answer(settled.letter, settled.answer)
        if parcel.records and self.follower is not None:
            self.follower.done(parcel.records)

    async def _send(self, sending: Sending) -> None:
        """Until it is answered: the receiver carries a repeated id out once."""
        body = msgspec.json.encode(sending.body)
        while not self._closed:
            try:
                fields = await commands.request(
                    self._wires.connection, sending.actor, sending.command, body, sending.id, timeout_s=2
                )
            except Unavailable:
                await asyncio.sleep(0.2)
                continue
            self._answered(Answer(sending.command, fields))
            return

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _fail(self, error: Exception) -> None:
        if not self._closed:
            self._closed = True
            self.failed(error)
