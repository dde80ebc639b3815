"""From the socket to plain functions: messages are read by hand, everything else is left to the plain client.

The client reads by way of a stream, a task that wakes up for it, and a parser that waits between messages. What nobody
has to wait for is taken here out of the bytes as they come; the stream gets the rest, and what comes behind it.
"""

import asyncio
from collections.abc import Callable

from bus.client import Client, Parser

Receive = Callable[[bytes, bytes, bytes | None, bytes], None]
"""subject, reply subject, header block or None, body."""
Message = tuple[list[bytes], bytes | None, bytes]


class Basket:
    """What comes for one who looks once for many: a first line's words, the header block or None, the body.

    `MSG subject sid reply size`, or `HMSG subject sid reply headers size`. `wake` is called for the first of them.
    """

    __slots__ = ("messages", "wake")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.messages: list[Message] = []
        self.wake = wake


class FastParser(Parser):
    """Messages by hand; PING, PONG, INFO, +OK, -ERR and the plain client's own subscriptions by the original."""

    def __init__(self, nc: Client, receivers: dict[bytes, Receive], baskets: dict[bytes, Basket], rest: bytes) -> None:
        self._receivers, self._baskets = receivers, baskets
        self._reader: asyncio.StreamReader | None = None
        self._feed: Callable[[bytes], object] | None = None
        self._busy = False
        super().__init__(nc)
        self._rest = rest

    def reset(self) -> None:
        self._rest = b""
        super().reset()

    async def parse(self, data: bytes = b"") -> None:
        """What has gone through the stream."""
        self._busy = True
        try:
            self._rest += data
            while self._take():
                await self._take_slowly()
        finally:
            self._busy = False
        self._step_in()

    def _step_in(self) -> None:
        """Get the bytes of this connection before its stream does."""
        reader = getattr(self.nc._transport, "_io_reader", None)
        if isinstance(reader, asyncio.StreamReader) and reader is not self._reader:
            self._reader, self._feed = reader, reader.feed_data
            reader.feed_data = self._fed  # type: ignore[method-assign, assignment]

    def _fed(self, data: bytes) -> None:
        assert self._reader is not None and self._feed is not None
        if self._busy or self._reader._buffer:  # type: ignore[attr-defined]
            self._feed(data)
            return
        self._rest = self._rest + data if self._rest else data
        if self._take():
            rest, self._rest = self._rest, b""
            self._feed(rest)

    def _take(self) -> bool:
        """Hand over all whole messages up to one that is not for us; whether there is one."""
        data, place = self._rest, 0
        size, find, receivers, baskets = len(data), data.find, self._receivers, self._baskets
        while place < size:
            begin = find(b"\n", place) + 1
            if not begin:
                break
            words = data[place : begin - 2].split(b" ")
            with_headers = words[0] == b"HMSG"
            if not with_headers and words[0] != b"MSG":
                self._rest = data[place:]
                return True
            end = begin + int(words[-1])
            if end + 2 > size:
                break
            body = begin + int(words[-2]) if with_headers else begin
            block = data[begin:body] if with_headers else None
            replied = len(words) == (6 if with_headers else 5)
            basket, receive = baskets.get(words[2]), receivers.get(words[2])
            if basket is not None and replied:
                if not basket.messages:
                    basket.wake()
                basket.messages.append((words, block, data[body:end]))
            elif receive is None:
                self._rest = data[place:]
                return True
            else:
                try:
                    receive(words[1], words[3] if replied else b"", block, data[body:end])
                except Exception as error:  # the client would stop reading for good, and say nothing
                    told = {"message": f"a receiver of {words[1]!r} failed", "exception": error}
                    asyncio.get_running_loop().call_exception_handler(told)
            place = end + 2
        self._rest = data[place:] if place < size else b""
        return False

    async def _take_slowly(self) -> None:
        """The first of what has come, by the original."""
        data = self._rest
        end = data.find(b"\r\n") + 2
        if data[0] in (77, 72):
            end += int(data[: end - 2].rsplit(b" ", 1)[1]) + 2
        self.buf, self._rest = bytearray(data[:end]), data[end:]
        await Parser.parse(self, b"")
