"""Where the figures are measured: one folder on the checkout's disk, a server in it, and a shared log that grows."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bus import topology
from bus.bridge import Bridge
from bus.connection import Connection, Reply, connect
from bus.envelope import Draft
from bus.jetstream import JetStreamLog
from bus.server import Server
from ops.bench.story import Story

BENCH = Path(__file__).parents[2] / ".bench"
BATCH = 1000
BATCHES_AT_ONCE = 3


class Ground:
    """A server and a log, and no actors. All of it belongs to the bridge's loop."""

    bridge: Bridge
    server: Server
    connection: Connection
    log: JetStreamLog

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bridge = Bridge()
        self.server = Server(folder / "nats")

    async def open(self) -> None:
        await self.server.start()
        self.connection = await connect(self.server.url, "bench")
        await topology.ensure(self.connection)
        self.log = JetStreamLog(self.connection, staging=self.server.staging)

    async def close(self) -> None:
        if hasattr(self, "connection"):
            await self.connection.close()
        await self.server.stop()


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """A server on this folder for the length of a block; the log in it stays."""
    here = Ground(folder)
    try:
        here.bridge.run(here.open(), timeout_s=120)
        yield here
    finally:
        here.bridge.run(here.close(), timeout_s=30)
        here.bridge.close()


class Lab:
    """What the figures of one run share."""

    def __init__(self, folder: Path, scale: float, json_lines: bool = False) -> None:
        self.folder, self.scale, self.json_lines = folder, scale, json_lines
        self._story = Story()
        self._waves = self._story.waves()

    def scaled(self, count: int, least: int = 1) -> int:
        return max(least, round(count * self.scale))

    def fresh(self, name: str) -> Path:
        """A folder of one's own."""
        folder = self.folder / name
        folder.mkdir()
        return folder

    def state(self) -> Path:
        """The state folder of a Witan that has worked a lot; figures share it, so that it is made once."""
        return self.folder / "state"

    def tables(self) -> Path:
        return self.state() / "witan.duckdb"

    def grown(self, events: int) -> Path:
        """The shared state folder, its log at least so many events long."""
        if self._story.events < events:
            with ground(self.state()) as here:
                here.bridge.run(append_fast(here.connection, self._more(events)), timeout_s=600)
        return self.state()

    @property
    def commits(self) -> int:
        return self._story.seq

    @property
    def events(self) -> int:
        return self._story.events

    def _more(self, events: int) -> Iterator[Draft]:
        while self._story.events < events:
            yield from next(self._waves)


async def append_fast(connection: Connection, drafts: Iterator[Draft]) -> None:
    """The drafts in atomic batches, some of them under way at once, without guards."""
    under_way: deque[asyncio.Future[Reply]] = deque()
    batch: list[Draft] = []
    number = 0
    for draft in drafts:
        batch.append(draft)
        if len(batch) == BATCH:
            number += 1
            under_way.append(send_batch(connection, f"bench-{number}", batch))
            batch = []
            if len(under_way) >= BATCHES_AT_ONCE:
                await taken(under_way.popleft())
    if batch:
        under_way.append(send_batch(connection, f"bench-{number + 1}", batch))
    for future in under_way:
        await taken(future)


def send_batch(connection: Connection, id: str, drafts: list[Draft]) -> asyncio.Future[Reply]:
    """One atomic batch; the future is that of its last message."""
    last = len(drafts)
    for place, draft in enumerate(drafts, 1):
        block = b"NATS/1.0\r\nNats-Batch-Id: %b\r\nNats-Batch-Sequence: %d\r\n" % (id.encode(), place)
        if draft.expect is not None:
            block += b"Nats-Expected-Last-Subject-Sequence: %d\r\n" % draft.expect
        if place == last:
            break
        connection.publish(draft.subject.encode(), draft.body, b"", block + b"\r\n")
    return connection.ask(draft.subject.encode(), draft.body, block + b"Nats-Batch-Commit: 1\r\n\r\n")


async def taken(future: asyncio.Future[Reply]) -> bytes:
    """The acknowledgement; an append that the server refused ends the run."""
    reply = await asyncio.wait_for(future, 60)
    if b'"error"' in reply.body or reply.status:
        raise RuntimeError(f"the server refused an append: {reply.status} {reply.body.decode()}")
    return reply.body
