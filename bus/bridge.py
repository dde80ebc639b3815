"""The bridge to the one thread on which the loop runs: for threads beside it, and for fibers on it.

A fiber is work that may wait for the loop although it runs on the loop's own thread: it gives way until what it waits
for is there. So an actor reads its entities in one line and needs no thread (decision 14).
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

from bus.errors import Unavailable

T = TypeVar("T")
ROUNDS_MAX = 10


class Bridge:
    """An asyncio loop on a thread of its own."""

    def __init__(self, name: str = "witan-loop") -> None:
        self.loop = _loop()
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._armed = False
        self._thread = threading.Thread(target=self._turn, name=name, daemon=True)
        self._thread.start()

    def post(self, call: Callable[..., object], *args: Any) -> None:
        """Run `call` on the loop soon; in order, from any thread. The loop is woken once for all calls that wait."""
        self._calls.append((call, args))
        if not self._armed:
            self._armed = True
            here = threading.get_ident() == self._thread.ident
            (self.loop.call_soon if here else self.loop.call_soon_threadsafe)(self._drain)

    def spawn(self, work: Callable[[], None]) -> None:
        """Run `work` in a fiber, from any thread."""
        self.post(lambda: greenlet(work).switch())

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Run `work` on the loop and wait for it here: in another thread, or in a fiber."""
        if threading.get_ident() == self._thread.ident:
            return self._give_way(work, timeout_s)
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout_s)

    def close(self) -> None:
        """Stop the loop; what still runs on it is cancelled."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()

    def _give_way(self, work: Coroutine[Any, Any, T], timeout_s: float | None) -> T:
        fiber = getcurrent()
        if fiber.parent is None:
            work.close()
            raise RuntimeError("the loop would wait for itself")
        task = self.loop.create_task(asyncio.wait_for(work, timeout_s))
        task.add_done_callback(lambda _: fiber.switch())
        fiber.parent.switch()
        if task.cancelled():
            raise Unavailable("the loop ends")
        return task.result()

    def _drain(self) -> None:
        self._armed = False
        calls = self._calls
        while calls:
            call, args = calls.popleft()
            try:
                call(*args)
            except Exception as error:
                self.loop.call_exception_handler({"message": f"{call} failed", "exception": error})

    def _turn(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            for _ in range(ROUNDS_MAX):  # a thread may have handed something over just now
                self.loop.run_until_complete(asyncio.sleep(0))
                tasks = asyncio.all_tasks(self.loop)
                if not tasks:
                    break
                for task in tasks:
                    task.cancel()
                self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()


def _loop() -> asyncio.AbstractEventLoop:
    """uvloop where there is one: a fifth less processor time for each hop between the bus and an actor."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
