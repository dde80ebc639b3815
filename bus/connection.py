"""One connection to a NATS server: five fast verbs grafted onto the plain client.

The client keeps what it does well: connect, TLS, authentication, reconnect, subscriptions. But it spends most of its
time on the hot path in regular expressions, a queue and a task for each subscription. Here a message goes from the
socket to a plain function, and the publishes of one turn of the loop leave in one write. A publish without a
connection is refused at once: nothing is sent later behind the caller's back.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

from bus import client
from bus.client import Client, NatsError
from bus.errors import Unavailable
from bus.parser import Basket, FastParser, Receive

MURMUR_S = 0.02
"""A write of its own costs 0.1 ms; so long what is only said for whoever listens waits for another one."""


class Reply(NamedTuple):
    headers: bytes | None
    body: bytes

    @property
    def status(self) -> str:
        """The status that the server put into the header block: `503` means that nobody listens."""
        return self.headers[9:12].decode() if self.headers and self.headers[8:9] == b" " else ""


def headers(**fields: str) -> bytes:
    """A header block; `_` in a name stands for `-`, and a field without text is left out."""
    lines = [f"{name.replace('_', '-')}: {text}\r\n" for name, text in fields.items() if text != ""]
    return ("NATS/1.0\r\n" + "".join(lines) + "\r\n").encode()


def header(block: bytes | None, name: bytes) -> str:
    """One field of a header block, or nothing."""
    if block is None:
        return ""
    start = block.find(b"\r\n" + name + b":")
    if start < 0:
        return ""
    start += len(name) + 3
    return block[start:].split(b"\r\n", 1)[0].decode(errors="replace").strip()


async def _never(_: Any) -> None:
    """The plain client wants a callback; the parser above never calls it."""


class Connection:
    """publish, murmur, request, subscribe, inbox. All of it belongs to the loop's thread."""

    def __init__(self, nc: Client, inbox: str) -> None:
        self.nc = nc
        self.on_reconnect: list[Callable[[], None]] = []
        self.on_disconnect: list[Callable[[], None]] = []
        self._loop = asyncio.get_running_loop()
        self._receivers: dict[bytes, Receive] = {}
        self._baskets: dict[bytes, Basket] = {}
        self._out: list[bytes] = []
        self._leaves = False
        self._later: asyncio.TimerHandle | None = None
        self._prefix = f"{inbox}.{secrets.token_hex(8)}.".encode()
        self._count = 0
        self._asked: dict[bytes, asyncio.Future[Reply]] = {}
        self._inboxes: dict[bytes, Receive] = {}

    @property
    def connected(self) -> bool:
        return bool(self.nc.is_connected)

    def publish(self, subject: bytes, body: bytes = b"", reply: bytes = b"", block: bytes | None = None) -> None:
        """Send, and do not wait. The order of publishes is the order on the wire."""
        self._write(subject, body, reply, block)
        if not self._leaves:
            self._leaves = True
            self._loop.call_soon(self._flush)

    def murmur(self, subject: bytes, body: bytes) -> None:
        """Send with whatever leaves next, or a little later: it waits for nothing, and nobody waits for it."""
        self._write(subject, body)
        if not self._leaves and self._later is None:
            self._later = self._loop.call_later(MURMUR_S, self._flush)

    def _write(self, subject: bytes, body: bytes, reply: bytes = b"", block: bytes | None = None) -> None:
        if not self.nc.is_connected:
            raise Unavailable("not connected to the NATS server")
        if block is None:
            self._out.append(b"PUB %b %b %d\r\n%b\r\n" % (subject, reply, len(body), body))
        else:
            size = len(block)
            self._out.append(b"HPUB %b %b %d %d\r\n%b%b\r\n" % (subject, reply, size, size + len(body), block, body))

    def ask(self, subject: bytes, body: bytes = b"", block: bytes | None = None) -> asyncio.Future[Reply]:
        """Send, and get a future of the reply; it fails when the connection does. It never times out by itself."""
        self._count += 1
        key = b"%d" % self._count
        self.publish(subject, body, self._prefix + key, block)
        future = self._asked[key] = self._loop.create_future()
        return future

    async def request(
        self, subject: str, body: bytes = b"", block: bytes | None = None, timeout_s: float = 5.0
    ) -> Reply:
        """Send, and wait for the reply."""
        key = b"%d" % (self._count + 1)
        future = self.ask(subject.encode(), body, block)
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise Unavailable(f"no answer on {subject} within {timeout_s:g} s") from None
        finally:
            self._asked.pop(key, None)

    def inbox(self, receive: Receive) -> bytes:
        """A reply subject of one's own, for requests that have many answers."""
        self._count += 1
        key = b"%d" % self._count
        self._inboxes[key] = receive
        return self._prefix + key

    def drop_inbox(self, inbox: bytes) -> None:
        self._inboxes.pop(inbox[len(self._prefix) :], None)

    async def subscribe(self, subject: str, receive: Receive, queue: str = "") -> Any:
        """Call `receive` for each message, from the loop; the answer has `unsubscribe()`."""
        subscription = await self.nc.subscribe(subject, queue=queue, cb=_never)
        self._receivers[b"%d" % subscription._id] = receive
        return subscription

    async def stream_inbox(self, receive: Receive, basket: Basket) -> tuple[bytes, Any]:
        """A reply subject for messages that keep their own subject, and the subscription behind it, in force.

        What can be replied to goes into the basket; the rest is what the stream itself has to say.
        """
        self._count += 1
        inbox = self._prefix[:-1] + b"-pull.%d" % self._count
        subscription = await self.subscribe(inbox.decode(), receive)
        self._baskets[b"%d" % subscription._id] = basket
        await self.nc.flush()
        return inbox, subscription

    async def unsubscribe(self, subscription: Any) -> None:
        """End a subscription, if the connection still stands."""
        self._receivers.pop(b"%d" % subscription._id, None)
        self._baskets.pop(b"%d" % subscription._id, None)
        with contextlib.suppress(NatsError):
            await subscription.unsubscribe()

    async def close(self) -> None:
        """Send what waits, and go."""
        self._flush()
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            await asyncio.wait_for(self.nc.close(), 5)

    def _flush(self) -> None:
        if self._later is not None:
            self._later.cancel()
        out, self._out, self._leaves, self._later = self._out, [], False, None
        if out and self.nc.is_connected and self.nc._transport is not None:
            self.nc._transport.write(b"".join(out))

    def _receive(self, subject: bytes, reply: bytes, block: bytes | None, body: bytes) -> None:
        key = subject[len(self._prefix) :]
        future = self._asked.pop(key, None)
        if future is not None:
            if not future.done():
                future.set_result(Reply(block, body))
            return
        receive = self._inboxes.get(key)
        if receive is not None:
            receive(subject, reply, block, body)

    async def _graft(self) -> None:
        rest = bytes(self.nc._ps.buf)
        self.nc._ps = FastParser(self.nc, self._receivers, self._baskets, rest)
        await self.subscribe((self._prefix + b">").decode(), self._receive)

    async def _lost(self) -> None:
        asked, self._asked = self._asked, {}
        self._out = []
        for future in asked.values():
            if not future.done():
                future.set_exception(Unavailable("the connection to the NATS server broke"))
                future.exception()
        for call in self.on_disconnect:
            call()

    async def _back(self) -> None:
        for call in self.on_reconnect:
            call()


async def _quiet(_: Exception) -> None:
    """Errors of single attempts are not news: the state of the connection is."""


async def connect(url: str, name: str = "witan", timeout_s: float = 5.0) -> Connection:
    """Connect, and stay connected for as long as it takes."""
    holder: list[Connection] = []

    async def lost() -> None:
        for connection in holder:
            await connection._lost()

    async def back() -> None:
        for connection in holder:
            await connection._back()

    try:
        async with asyncio.timeout(timeout_s):
            nc = await client.connect(
                url,
                name=name,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.1,
                ping_interval=5,
                max_outstanding_pings=2,
                pending_size=-1,
                error_cb=_quiet,
                disconnected_cb=lost,
                reconnected_cb=back,
            )
    except (NatsError, OSError, TimeoutError) as error:
        where, why = url.rsplit("@", 1)[-1], str(error) or f"nothing came within {timeout_s:g} s"
        raise Unavailable(
            f"no NATS server answers at {where}: {why}", "Start Witan with `witan up`, or check --nats."
        ) from error
    # Anybody may listen to `_INBOX.>` on our own server, so what is answered to Witan itself goes elsewhere.
    connection = Connection(nc, "_WITAN" if "@" in url else "_INBOX")
    holder.append(connection)
    await connection._graft()
    return connection
