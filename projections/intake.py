"""What comes from the log waits here for its transaction: few transactions are cheap, and nobody may miss anything."""

import asyncio
import contextlib
import math
from typing import Any, NamedTuple

import pykka

from bus.envelope import Record
from bus.log import Follower

SOON_S, LATE_S, MUCH = 0.02, 0.5, 1_000
"""A transaction costs 3 ms whatever it holds. While questions come, what waits is taken in soon; else late, or
when it is so many commits."""
ASKED_S = 1.0
"""So long after a question there may be another one."""
STALE_S, PATIENCE_S = 0.1, 0.5
"""A question waits for what came so long before it, but not for ever."""


class Taken(NamedTuple):
    """These records have come."""

    batch: list[Record]


class Intake:
    """Collects on the loop what comes, until somebody asks, or it is much, or late: few transactions are cheap."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[Record] = []
        self._since = self._busy_since = math.inf
        """Since when the oldest record waits, and the oldest of those that are taken in just now."""
        self._timer: asyncio.Handle | None = None
        self._due = math.inf
        self._asked = -math.inf
        self._over: asyncio.Future[None] = loop.create_future()
        """Done when the next transaction is."""
        self.projector: pykka.ActorRef[Any] | None = None
        self.follower: Follower | None = None

    def feed(self, batch: list[Record], _behind: int) -> None:
        """The log's sink."""
        self._since = min(self._since, self._loop.time())
        self._waiting += batch
        self._plan()

    def taken(self, count: int) -> None:
        """A transaction is over: the log may send as many more."""
        self._busy_since = math.inf
        self._over.set_result(None)
        self._over = self._loop.create_future()
        if self.follower is not None:
            self.follower.done(count)
        self._plan()

    async def fresh(self) -> None:
        """Wait until all is in the tables but what came just now."""
        self._asked = now = self._loop.time()
        self._plan()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while min(self._since, self._busy_since) < now - STALE_S:
                    self._hand_over()
                    await asyncio.shield(self._over)

    def _plan(self) -> None:
        if len(self._waiting) >= MUCH:
            self._hand_over()
        elif self._waiting:
            due = self._since + (SOON_S if self._loop.time() - self._asked < ASKED_S else LATE_S)
            if due < self._due:
                self._forget_timer()
                self._timer, self._due = self._loop.call_at(due, self._hand_over), due

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due = None, math.inf

    def _hand_over(self) -> None:
        self._forget_timer()
        if self._busy_since < math.inf or not self._waiting or self.projector is None:
            return
        batch, self._waiting = self._waiting, []
        self._busy_since, self._since = self._since, math.inf
        try:
            self.projector.tell(Taken(batch))
        except pykka.ActorDeadError:
            self.follower = self.projector = None
