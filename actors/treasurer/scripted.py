"""The minds themselves, on the loop's side: a script thinks as long as its file says."""

import asyncio
from collections.abc import Callable

from actors.decider import Done, Effect, Progress
from actors.treasurer.decide import Asked


class ScriptedMinds:
    """Replies after a pause."""

    def __init__(self) -> None:
        self._tell: Callable[[Progress | Done], None] | None = None
        self._waiting: set[asyncio.TimerHandle] = set()

    async def open(self, tell: Callable[[Progress | Done], None]) -> None:
        self._tell = tell

    def perform(self, effect: Effect) -> None:
        asked: Asked = effect.what

        def reply() -> None:
            self._waiting.discard(handle)
            if self._tell is not None:
                self._tell(Done(effect.key, asked))

        handle = asyncio.get_running_loop().call_later(asked.said.delay_s, reply)
        self._waiting.add(handle)

    async def close(self) -> None:
        for handle in self._waiting:
            handle.cancel()
        self._waiting.clear()
        self._tell = None
