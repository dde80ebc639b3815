"""A log for somebody who stays: what a lost connection takes away is asked for again when it is back."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from bus.connection import Connection
from bus.envelope import Record
from bus.errors import Unavailable
from bus.follow import JetStreamFollower
from bus.jetstream import JetStreamLog
from bus.log import Loaded, Sink

SETTLE_S = 15.0
"""So long after it came back a server may still be reading its streams."""
PAUSE_S = 0.1

T = TypeVar("T")


class PatientLog(JetStreamLog):
    """It reads; a reader that asks twice changes nothing. What fails on a connection that stands is told as ever."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._loop = asyncio.get_running_loop()
        self._lost_at = -SETTLE_S
        connection.on_disconnect.append(self._lost)
        connection.on_reconnect.append(self._lost)

    async def again(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer, and be it the next server's. For what may be asked twice."""
        while True:
            try:
                return await ask()
            except Unavailable:
                if self.connection.connected and self._loop.time() - self._lost_at > SETTLE_S:
                    raise
                await asyncio.sleep(PAUSE_S)

    async def read(self, subject: str, after: int = 0) -> list[Record]:
        return await self.again(partial(super().read, subject, after))

    async def load(self, subject: str) -> Loaded:
        return await self.again(partial(super().load, subject))

    async def last(self, pattern: str) -> Record | None:
        return await self.again(partial(super().last, pattern))

    async def head(self) -> int:
        return await self.again(super().head)

    async def follow(self, patterns: Sequence[str], after: int, sink: Sink, window: int = 2000) -> JetStreamFollower:
        return await self.again(partial(super().follow, patterns, after, sink, window))

    def _lost(self) -> None:
        self._lost_at = self._loop.time()
