"""What comes from the log waits at the server until it is worth a transaction, and nobody may miss anything.

Each message that is sent by itself costs the server, the network and this process a turn of their own, and nobody wants
it yet. So the log only rings: it sends one record and no more. When what waits is due, it is fetched.
"""

import asyncio
import contextlib
import math
from typing import Any, NamedTuple

import pykka

from bus.envelope import Record
from bus.log import Follower, Log

SOON_S, LATE_S, MUCH = 0.02, 0.5, 2_500
"""A transaction costs 3 ms whatever it holds. While questions come, what waits is taken in soon; else late, or
when it is so many commits."""
ASKED_S = 1.0
"""So long after a question there may be another one."""
STALE_S, PATIENCE_S = 0.1, 0.5
"""A question waits for what came so long before it, but not for ever."""
RING = 1


class Taken(NamedTuple):
    """These records have come."""

    batch: list[Record]


class Intake:
    """On the loop: fetches when somebody asks, or it is much, or late; then it goes to the projector as one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[Record] = []
        self._fetching = self._fetched = False
        self._since = self._busy_since = math.inf
        """Since when the oldest record waits, and the oldest of those that are taken in just now."""
        self._late_s = LATE_S
        """In so long it is much, to go by the last time."""
        self._timer: asyncio.Handle | None = None
        self._due = math.inf
        self._asked = -math.inf
        self._over: asyncio.Future[None] = loop.create_future()
        """Done when the next transaction is."""
        self._follower: Follower | None = None
        self.projector: pykka.ActorRef[Any] | None = None

    async def open(self, log: Log, after: int) -> None:
        """Follow the log from behind a place."""
        self._follower = await log.follow(["evt.>"], after, self._feed, RING)

    async def close(self) -> None:
        self._forget_timer()
        follower, self._follower = self._follower, None
        if follower is not None:
            await follower.close()

    def taken(self) -> None:
        """A transaction is over."""
        self._busy_since = math.inf
        self._over.set_result(None)
        self._over = self._loop.create_future()
        if self._fetched:
            self._hand_over()

    async def fresh(self) -> None:
        """Wait until all is in the tables but what came just now."""
        self._asked = now = self._loop.time()
        self._plan()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while min(self._since, self._busy_since) < now - STALE_S:
                    self._fetch()
                    await asyncio.shield(self._over)

    def _feed(self, batch: list[Record], behind: int) -> None:
        """The log's sink: it has rung, or this is of what was fetched."""
        self._waiting += batch
        if self._fetching:
            if not batch or len(self._waiting) >= MUCH:
                self._fetching, self._fetched = False, True
                self._pace(len(self._waiting) + behind)
                self._hand_over()
        elif batch:
            self._since = self._loop.time()
            if behind >= MUCH:
                self._fetch()
            else:
                self._plan()

    def _pace(self, found: int) -> None:
        took_s = self._loop.time() - self._since
        self._late_s = min(LATE_S, took_s * MUCH / found)

    @property
    def _rung(self) -> bool:
        """Whether something waits and is not fetched yet."""
        return bool(self._waiting) and not self._fetching and not self._fetched

    def _plan(self) -> None:
        if self._rung:
            due = self._since + (SOON_S if self._loop.time() - self._asked < ASKED_S else self._late_s)
            if due < self._due:
                self._forget_timer()
                self._timer, self._due = self._loop.call_at(due, self._fetch), due

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due = None, math.inf

    def _fetch(self) -> None:
        self._forget_timer()
        if self._rung and self._follower is not None:
            self._fetching = True
            self._follower.fetch(MUCH - len(self._waiting))

    def _hand_over(self) -> None:
        if self._busy_since < math.inf or self.projector is None or self._follower is None:
            return
        batch, self._waiting, self._fetched = self._waiting, [], False
        self._busy_since, self._since = self._since, math.inf
        try:
            self.projector.tell(Taken(batch))
        except pykka.ActorDeadError:
            self.projector = None
            return
        self._follower.done(RING)
