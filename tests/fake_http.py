"""A small HTTP server in a thread: it says what a test lets it say, byte by byte, and can stall or break off."""

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

Piece = bytes | Literal["hang", "cut"]
"""`hang`: say nothing more until the other side has gone; `cut`: break the connection off."""
PATIENCE_S = 20.0


class Request(NamedTuple):
    """What was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Answer(NamedTuple):
    """What is said to it, in chunks; `before` is said before the head."""

    pieces: tuple[Piece, ...] = ()
    status: int = 200
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    before: tuple[Piece, ...] = ()


def in_json(what: object, status: int = 200, **headers: str) -> Answer:
    """One JSON text; `_` in a header's name stands for `-`."""
    told = tuple((name.replace("_", "-"), text) for name, text in headers.items())
    return Answer((json.dumps(what).encode(),), status, headers=told)


class FakeServer:
    """Answers with what is queued, then with what `usual` makes of the request."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.queue: deque[Answer] = deque()
        self.hanging, self.left = threading.Event(), threading.Event()
        """It says nothing more; the other side has gone while it said nothing, or before it had said all."""
        self.connections = 0
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def usual(self, request: Request) -> Answer:
        return in_json({"error": f"nothing is at {request.path}"}, 404)

    def _next(self, request: Request) -> Answer:
        return self.queue.popleft() if self.queue and request.method == "POST" else self.usual(request)

    def say(self, *answers: Answer) -> None:
        self.queue.extend(answers)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    async def _main(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = self._loop.create_task(self._serve(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(met, "127.0.0.1", 0, limit=64 * 1024 * 1024, backlog=1000)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (request := await _read(reader)) is not None:
                self.asked.append(request)
                if not await self._say(self._next(request), reader, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.transport.abort()

    async def _say(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection lasts."""
        if not await self._pieces(answer.before, reader, writer, bytes):
            return False
        head = [f"HTTP/1.1 {answer.status} Said", f"Content-Type: {answer.kind}", "Transfer-Encoding: chunked"]
        head += [f"{name}: {text}" for name, text in answer.headers]
        writer.write(("\r\n".join(head) + "\r\n\r\n").encode())
        if not await self._pieces(answer.pieces, reader, writer, _chunk):
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _pieces(
        self,
        pieces: tuple[Piece, ...],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        framed: Callable[[bytes], bytes],
    ) -> bool:
        for piece in pieces:
            if piece == "cut":
                await writer.drain()
                return False
            if piece == "hang":
                await writer.drain()
                self.hanging.set()
                await reader.read(1)
                self.left.set()
                return False
            assert isinstance(piece, bytes)
            writer.write(framed(piece))
            await writer.drain()
        return True


def _chunk(piece: bytes) -> bytes:
    return f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


async def _read(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)
