"""The council's clock, on the loop's side: it goes off when a council's time is over, also after a restart."""

import asyncio
import time
from collections.abc import Callable

from actors.decider import Done, Effect, Progress


class Clock:
    """An effect's `what` is the moment, in seconds of the epoch, or None when nobody waits for it any more."""

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        self._tell: Callable[[Progress | Done], None] = lambda _: None
        self._set: dict[str, asyncio.TimerHandle] = {}

    async def open(self, tell: Callable[[Progress | Done], None]) -> None:
        self._tell = tell

    def perform(self, effect: Effect) -> None:
        key, at_s = effect.key, effect.what
        if before := self._set.pop(key, None):
            before.cancel()
        if at_s is not None:
            later = max(0.0, at_s - self._now_s())
            self._set[key] = asyncio.get_running_loop().call_later(later, self._go_off, key)

    def _go_off(self, key: str) -> None:
        self._set.pop(key, None)
        self._tell(Done(key, None))

    async def close(self) -> None:
        self._tell = lambda _: None
        for handle in self._set.values():
            handle.cancel()
        self._set.clear()
