"""Packages of providers are imported, and clients made, in a thread of their own: the loop has others to hear."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

_THREAD = ThreadPoolExecutor(1, "loading")
"""Only one: two threads can meet in a package that is imported by half."""


async def aside(work: Callable[[], Any]) -> None:
    """Wait for what takes its time over imports and certificates; whoever needs it meets what is wrong with it."""
    with suppress(Exception):
        await asyncio.get_running_loop().run_in_executor(_THREAD, work)


def load_sockets() -> None:
    """What the clients stand on is imported in parts, some of them with the first request; now they are here."""
    import anyio

    _ = anyio.connect_tcp
    anyio.run(anyio.sleep, 0)
