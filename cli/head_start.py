"""What a start begins first: the server, the sandbox and the tables come up while the rest of Witan is imported."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from actors.executor.sandbox.attest import Sandbox, open_sandbox
from bus.bridge import Bridge
from bus.server import Server
from cli.config import Settings
from cli.tables import words
from projections.apart import Tables

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
        self._tables = self._soon(_tables(settings)) if projections else None

    async def served(self) -> None:
        """The server answers."""
        if self._served:
            await asyncio.wrap_future(self._served)

    async def sandbox(self) -> Sandbox:
        """What holds commands in. It is handed over: who has it closes it."""
        begun, self._sandbox = self._sandbox, None
        assert begun is not None
        return await asyncio.wrap_future(begun)

    async def tables(self) -> Tables:
        """The process of the tables, not told yet where the log is."""
        assert self._tables is not None
        return await asyncio.wrap_future(self._tables)

    @property
    def tables_pid(self) -> int:
        """Where the tables are kept; 0 when they are not."""
        return self._tables.result().pid if self._tables else 0

    def close(self) -> None:
        """Let go of everything that is still here, the bridge last."""
        self.bridge.run(self._close())
        self.bridge.close()

    async def _close(self) -> None:
        with suppress(Exception):
            if self._tables:
                await (await self.tables()).close()
        with suppress(Exception):
            if self._sandbox:
                await (await self.sandbox()).close()
        with suppress(Exception):
            await self.served()
        if self.server:
            await self.server.stop()

    def _soon(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self.bridge.loop)


async def _tables(settings: Settings) -> Tables:
    tables = Tables(words(settings))
    await tables.start()
    return tables
