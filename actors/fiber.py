"""A pykka actor without a thread: it runs in a fiber on the loop's thread and gives way while it waits for mail.

Python runs one thread at a time, so threads let no two actors decide at once; they only made each message wait twice
for a processor, on its way from the loop and back (decision 14).
"""

from collections import deque
from typing import Any

import pykka
from greenlet import getcurrent, greenlet

from bus.bridge import Bridge


class Inbox:
    """What has been told and is not heard yet. Mail comes from any thread and is taken by one fiber."""

    bridge: Bridge

    def __init__(self) -> None:
        self._mail: deque[Any] = deque()
        self._waiting: greenlet | None = None

    def put(self, envelope: Any) -> None:
        self._mail.append(envelope)
        if self._waiting is not None:
            self.bridge.post(self._wake)

    def get(self) -> Any:
        """The oldest mail; without any the fiber gives way until there is some."""
        while not self._mail:
            self._waiting = fiber = getcurrent()
            if self._mail:  # it came between the look and the word that somebody waits
                break
            assert fiber.parent is not None
            fiber.parent.switch()
        self._waiting = None
        return self._mail.popleft()

    def empty(self) -> bool:
        return not self._mail

    def _wake(self) -> None:
        waiting = self._waiting
        if waiting is not None and self._mail:
            self._waiting = None
            waiting.switch()


class FiberActor(pykka.Actor):
    """Whoever derives from it says on which loop it lives."""

    bridge: Bridge
    actor_inbox: Inbox

    @staticmethod
    def _create_actor_inbox() -> Any:
        return Inbox()

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return pykka.ThreadingFuture()

    def _start_actor_loop(self) -> None:
        self.actor_inbox.bridge = self.bridge
        self.bridge.spawn(self._actor_loop)
