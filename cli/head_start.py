"""What a start begins first: the server, the sandbox and the tables come up while the rest of Witan is imported."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from actors.executor.sandbox.attest import Sandbox, open_sandbox
from bus.bridge import Bridge
from bus.server import Server
from cli.config import Settings

if TYPE_CHECKING:
    from projections.store import Store

T = TypeVar("T")


class HeadStart:
    """Takes nothing but the settings. What is never asked for here is let go of by `close`."""

    def __init__(self, settings: Settings, projections: bool = True) -> None:
        self.server = None if settings.nats_url else Server(settings.state_dir / "nats")
        if self.server:
            self.server.hold()  # Nothing else may begin in a folder that is not ours.
        self.bridge = Bridge()
        self._served = self._soon(self.server.start()) if self.server else None
        self._sandbox: Future[Sandbox] | None = self._soon(open_sandbox(settings.state_dir / "execs"))
        self._store: Future[Store] | None = _aside(_tables(settings)) if projections else None

    async def served(self) -> None:
        """The server answers."""
        if self._served:
            await asyncio.wrap_future(self._served)

    async def sandbox(self) -> Sandbox:
        """What holds commands in. It is handed over: who has it closes it."""
        begun, self._sandbox = self._sandbox, None
        assert begun is not None
        return await asyncio.wrap_future(begun)

    def store(self) -> "Store":
        """The tables. They are handed over: who has them closes them."""
        begun, self._store = self._store, None
        assert begun is not None
        return begun.result()

    def close(self) -> None:
        """Let go of everything that is still here, the bridge last."""
        with suppress(Exception):
            if self._store:
                self._store.result().close()
        self.bridge.run(self._close())
        self.bridge.close()

    async def _close(self) -> None:
        with suppress(Exception):
            if self._sandbox:
                await (await self.sandbox()).close()
        with suppress(Exception):
            await self.served()
        if self.server:
            await self.server.stop()

    def _soon(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self.bridge.loop)


def _tables(settings: Settings) -> Callable[[], "Store"]:
    """Imported here and now, while the server comes up; to open them is the work of another thread."""
    from projections.store import Store

    return lambda: Store(settings.state_dir / "witan.duckdb")


def _aside(call: Callable[[], T]) -> "Future[T]":
    """On a thread of its own."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=work, name="head-start", daemon=True).start()
    return future
