"""All of Witan in this process on a folder of its own, and a member of the public who talks to it."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client

from bus.envelope import Record
from bus.log import replay
from bus.messages.kinds import read_commit
from cli.app import App
from cli.config import Settings


@contextmanager
def an_app(folder: Path, make: type[App] = App) -> Iterator[App]:
    app = make(Settings(state_dir=folder, script="instant", pipelines=1000), projections=False).open()
    try:
        yield app
    finally:
        app.close()


def in_public(app: App, story: Callable[[Client], Awaitable[None]]) -> None:
    """Let somebody without a password, with the plain client, do what the story says."""

    async def telling() -> None:
        client = await nats.connect(app.public_url, error_cb=_quiet, max_reconnect_attempts=-1)
        try:
            async with asyncio.timeout(1500):
                await story(client)
        finally:
            await client.close()

    asyncio.run(telling())


async def _quiet(_: Exception) -> None:
    """What the server forbids, it tells the client."""


async def ask(client: Client, subject: str, body: object = None, id: str = "", timeout_s: float = 15) -> dict[str, Any]:
    """Send bare JSON, get the business answer."""
    text = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    reply = await client.request(subject, text, timeout_s, headers={"Nats-Msg-Id": id} if id else None)
    answer: dict[str, Any] = json.loads(reply.data)
    return answer


def on_the_log(app: App, *patterns: str) -> list[Record]:
    async def read() -> list[Record]:
        return [record async for batch in replay(app.log, patterns or ("evt.>",)) for record in batch]

    return app.bridge.run(read())


def events(app: App, *patterns: str) -> list[tuple[str, Any]]:
    """Every event on the log with the subject that it happened to."""
    return [(record.subject, event) for record in on_the_log(app, *patterns) for event in read_commit(record).events]


def restarts(app: App) -> int:
    assert app.supervisor is not None
    return int(app.supervisor.proxy().restarts.get(timeout=10))


def resident_bytes() -> int:
    with open("/proc/self/statm") as told:
        return int(told.read().split()[1]) * os.sysconf("SC_PAGESIZE")
