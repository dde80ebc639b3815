"""The ground that tests of the bus stand on: a real server, a proxy that does harm, drafts, and patience."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from bus import topology
from bus.connection import Connection, connect
from bus.envelope import Draft, Record
from bus.ids import fresh_id
from bus.log import Log, Sink, replay
from bus.server import Server

PATIENCE_S = 30.0


def draft(subject: str, expect: int | None, **fields: Any) -> Draft:
    """A commit in little: its id stands where the id of a commit stands."""
    id = fresh_id()
    return Draft(subject, json.dumps({"id": id, **fields}, separators=(",", ":")).encode(), id, expect)


def id_of(record: Record) -> str:
    return str(json.loads(record.body)["id"])


async def until(true: Callable[..., object], *given: object) -> None:
    """Wait for a condition; the limit is only there to end a test that hangs."""
    async with asyncio.timeout(PATIENCE_S):
        while not true(*given):
            await asyncio.sleep(0.002)


def into(heap: list[Record]) -> Sink:
    """A sink that keeps what it gets."""
    return lambda batch, _: heap.extend(batch)


class Ringing:
    """A reader who is sent one record, and fetches those behind it, so many at a time."""

    def __init__(self, much: int) -> None:
        self.seqs: list[int] = []
        self._much, self._left = much, 0

    async def follow(self, log: Log) -> "Ringing":
        self._follower = await log.follow(["evt.>"], 0, self._take, 1)
        return self

    async def close(self) -> None:
        await self._follower.close()

    def _take(self, batch: list[Record], _: int) -> None:
        self.seqs += [record.seq for record in batch]
        if not self._left:
            self._left = self._much
            self._follower.fetch(self._much)
            return
        self._left -= len(batch)
        if not batch or not self._left:
            self._left = 0
            self._follower.done(1)


async def everything(log: Log, *patterns: str) -> list[Record]:
    """All that is on the log now."""
    return [record for batch in [b async for b in replay(log, patterns or ("evt.>",))] for record in batch]


async def in_force(client: Client) -> None:
    """Until the server knows what a plain client has subscribed to: its first PING may overtake that."""
    await client.flush()
    await client.flush()


@asynccontextmanager
async def a_server(folder: Path) -> AsyncIterator[Server]:
    """An embedded server with all of Witan's streams."""
    server = Server(folder)
    await server.start()
    try:
        async with a_connection(server.url) as connection:
            await topology.ensure(connection)
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def a_connection(url: str) -> AsyncIterator[Connection]:
    connection = await connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def told(folder: Path, story: Callable[[Server], Awaitable[None]]) -> None:
    """Let a story happen on a server of its own."""

    async def telling() -> None:
        async with a_server(folder) as server, asyncio.timeout(100):
            await story(server)

    asyncio.run(telling())


class Proxy:
    """Stands between a client and its server and does what networks do; it never alters or drops a byte in between."""

    def __init__(self, port: int) -> None:
        self.upstream = port
        self.crumbs = False
        """Answers arrive byte by byte."""
        self.cut_after = b""
        """Once these bytes have gone up, the client's connection is cut before any answer comes down."""
        self.cuts = 0
        self._up, self._down = asyncio.Event(), asyncio.Event()
        self._port = 0
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.release()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pair, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Cut everybody off and let nobody in until it is opened again, on the same port."""
        assert self._server is not None
        self._server.close()
        self.reset()

    async def close(self) -> None:
        await self.shut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold(self, up: bool = False) -> None:
        """Let no answer through; with `up` no question either: a black hole."""
        self._down.clear()
        if up:
            self._up.clear()

    def release(self) -> None:
        """What was held arrives now, late."""
        self._up.set()
        self._down.set()

    def reset(self) -> None:
        """Cut every connection at once; what was on the way down is lost."""
        for writer in list(self._clients):
            raw = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self._clients.clear()

    async def _pair(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._clients.add(writer)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.close()
            return
        pumps = [
            asyncio.create_task(self._pump(reader, up_writer, writer, self._up, False)),
            asyncio.create_task(self._pump(up_reader, writer, writer, self._down, True)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            up_writer.close()
            writer.close()
            self._clients.discard(writer)

    async def _pump(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
        gate: asyncio.Event,
        down: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(65536):
                await gate.wait()
                if down and self.crumbs:
                    for place in range(len(piece)):
                        target.write(piece[place : place + 1])
                        await target.drain()
                        await asyncio.sleep(0)
                else:
                    target.write(piece)
                    await target.drain()
                if self.cut_after and not down and self.cut_after in piece:
                    self.cut_after = b""
                    self.cuts += 1
                    self._down.clear()
                    await asyncio.sleep(0.02)  # the server takes it in; nothing of what it says comes through
                    self.reset()
                    self.release()
                    return


@asynccontextmanager
async def a_proxy(server: Server) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before a server, and the operator's address that leads through it."""
    port = int(server.url.rsplit(":", 1)[1])
    proxy = Proxy(port)
    await proxy.open()
    try:
        yield proxy, server.url.replace(f":{port}", ":" + proxy.url.rsplit(":", 1)[1])
    finally:
        await proxy.close()
