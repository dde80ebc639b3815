"""Readers of a stream: pull consumers that are made anew where they stopped, so that nothing is missed.

A gap in the consumer's count, a lost connection and a lost consumer all have the same remedy: a new consumer.
Consumers live in the server's memory: a follower knows its own place, and a work queue keeps what is not done.
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from bus.client import NatsError
from bus.connection import Connection, header
from bus.envelope import Record
from bus.errors import Unavailable, WitanError
from bus.log import FETCH_BYTES, Sink
from bus.parser import Basket, Message

PULL_S = 60
"""How long a pull waits at the server; an idle reader sends one small message in that time."""
SILENCE_S = 15
"""The server's heartbeat for an open pull; after two missed ones the consumer is made anew."""

ALL, ENOUGH = b"409 Batch Completed", b"409 Message Size Exceeds MaxBytes"
"""How a fetch ends at the server that had more: with as many as were asked for, or as long as they may be."""

T = TypeVar("T")


class Puller(Generic[T]):
    """Hands batches to a sink on the loop; one batch is all that came in one turn of the loop."""

    def __init__(
        self, connection: Connection, stream: str, patterns: Sequence[str], sink: Callable[[list[T], int], None]
    ) -> None:
        self._connection, self._stream, self._patterns, self._sink = connection, stream, list(patterns), sink
        self._window = self._credit = 2000
        self._asked = self._count = 0
        self._fetching = 0
        """So much of what was asked for lapses when no more is there."""
        self._basket: Basket | None = None
        self._name = ""
        self._inbox = b""
        self._subscription: Any = None
        self._watch: asyncio.TimerHandle | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._closed = False
        self._loop = asyncio.get_running_loop()

    def _wanted(self) -> dict[str, Any]:
        """The consumer's name and settings."""
        raise NotImplementedError

    def _items(self, messages: list[Message]) -> list[T]:
        """What the sink gets for messages as they came, in order."""
        raise NotImplementedError

    async def open(self) -> None:
        """Make the consumer and ask for the first records."""
        self._connection.on_reconnect.append(self.renew)
        try:
            await self._make()
        except BaseException:
            await self.close()  # or it would begin by itself one day, beside the next one
            raise

    def done(self, count: int) -> None:
        """The reader has dealt with so many and has room for as many more."""
        self._credit += count
        self._ask()

    def fetch(self, count: int) -> None:
        """Ask for so many that are there already; the server says when fewer come."""
        self._credit += count
        self._fetching = count
        if self._name and not self._closed:
            self._pull(count, b'"no_wait":true,"max_bytes":%d' % FETCH_BYTES)

    async def close(self) -> None:
        self._closed = True
        if self.renew in self._connection.on_reconnect:
            self._connection.on_reconnect.remove(self.renew)
        if self._watch:
            self._watch.cancel()
        if self._renewal:
            self._renewal.cancel()
        if self._subscription is not None:
            await self._connection.unsubscribe(self._subscription)
        if self._connection.connected and self._name:
            self._connection.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}".encode())

    def renew(self) -> None:
        """Begin again behind the last record that was handed over."""
        if self._closed or (self._renewal and not self._renewal.done()):
            return
        self._name = ""
        self._renewal = self._loop.create_task(self._renew_until_it_works())

    async def _renew_until_it_works(self) -> None:
        while not self._closed:
            try:
                await self._make()
                return
            except WitanError:
                await asyncio.sleep(0.2)

    async def _make(self) -> None:
        if self._subscription is not None:
            await self._connection.unsubscribe(self._subscription)
        self._inbox, self._subscription = await self._open_inbox()
        self._count, self._asked = 0, self._fetching
        config = {
            "filter_subjects": self._patterns,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": 5 * PULL_S * 10**9,
            **self._wanted(),
        }
        name = str(config["name"])
        if config["ack_policy"] != "none":
            await self._connection.request(f"$JS.API.CONSUMER.DELETE.{self._stream}.{name}", timeout_s=10)
        wish = json.dumps({"stream_name": self._stream, "config": config}).encode()
        reply = await self._connection.request(f"$JS.API.CONSUMER.CREATE.{self._stream}.{name}", wish, timeout_s=10)
        error = {"description": f"status {reply.status}"} if reply.status else json.loads(reply.body).get("error")
        if error:
            raise Unavailable(f"no reader on {self._stream}: {error.get('description')}", "Run `witan doctor`.")
        self._name = name
        self._end_fetch()
        self._ask()

    async def _open_inbox(self) -> tuple[bytes, Any]:
        """A new one for each consumer, so that the last words of an old consumer are not heard."""
        try:
            self._basket = basket = Basket(lambda: self._loop.call_soon(self._came, basket))
            return await self._connection.stream_inbox(self._told, basket)
        except NatsError as error:
            raise Unavailable(f"no reader on {self._stream}: {error}") from error

    def _ask(self) -> None:
        """Keep the server's leave to send near the reader's room, but do not write for every record."""
        room = self._credit - self._asked
        if self._closed or not self._name or self._asked > self._window // 2 or room < max(1, self._window // 4):
            return
        self._pull(room, b'"expires":%d,"idle_heartbeat":%d' % (PULL_S * 10**9, SILENCE_S * 10**9))

    def _pull(self, count: int, how: bytes) -> None:
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}".encode()
        try:
            self._connection.publish(subject, b'{"batch":%d,%b}' % (count, how), self._inbox)
        except Unavailable:
            return
        self._asked += count
        self._listen()

    def _end_fetch(self) -> None:
        """No more is there, or it is enough, or nobody knows: the reader is told either way, and asks again."""
        left, self._fetching = self._fetching, 0
        if left and not self._closed:
            self._credit -= left
            self._asked -= left
            self._sink([], 0)
            self._ask()

    def _listen(self) -> None:
        """Expect a sign of life before long."""
        if self._watch:
            self._watch.cancel()
        self._watch = self._loop.call_later(2.5 * SILENCE_S, self.renew)

    def _came(self, basket: Basket) -> None:
        """Hand over what has come; if any of it is missing, begin again."""
        messages, basket.messages = basket.messages, []
        if self._closed or not self._name or basket is not self._basket:
            return
        try:
            # $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>
            *_, count, _, waiting = messages[-1][0][3].rsplit(b".", 3)
            behind = int(waiting)
            if int(count) != self._count + len(messages):
                raise ValueError("some are missing")
            batch = self._items(messages)
        except (ValueError, IndexError):
            self.renew()
            return
        self._count += len(messages)
        self._asked -= len(messages)
        self._fetching = max(0, self._fetching - len(messages))
        self._credit -= len(batch)
        if batch:
            self._sink(batch, behind)
        self._ask()

    def _told(self, _: bytes, __: bytes, block: bytes | None, ___: bytes) -> None:
        """A status: a heartbeat, the end of a pull with how much of it is left, or the end of the consumer."""
        said = block[9:].split(b"\r\n", 1)[0] if block else b""
        status = said[:3]
        if status == b"100":
            self._listen()
        elif status == b"408":
            self._asked = max(0, self._asked - int(header(block, b"Nats-Pending-Messages") or self._asked))
            self._ask()
        elif self._fetching and (status == b"404" or said == ENOUGH):
            self._loop.call_soon(self._end_fetch)  # behind what came before it
        elif status in (b"409", b"404", b"503") and said != ALL:
            self.renew()


class JetStreamFollower(Puller[Record]):
    """Every record behind a place, in order; nobody acknowledges, the reader knows its own place."""

    def __init__(
        self, connection: Connection, stream: str, patterns: Sequence[str], after: int, sink: Sink, window: int
    ) -> None:
        super().__init__(connection, stream, patterns, sink)
        self._window = self._credit = window
        self._at = after

    def _wanted(self) -> dict[str, Any]:
        return {
            "name": f"follow-{secrets.token_hex(6)}",
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._at + 1,
            "ack_policy": "none",
        }

    def _items(self, messages: list[Message]) -> list[Record]:
        first, last = _seq(messages[0]), _seq(messages[-1])
        in_a_row = last - first == len(messages) - 1  # they ascend, so then none lies between them
        places: Iterable[int] = range(first, last + 1) if in_a_row else map(_seq, messages)
        self._at = last
        return [
            Record(words[1].decode("utf-8", "replace"), seq, body)
            for (words, _, body), seq in zip(messages, places, strict=True)
        ]


def _seq(message: Message) -> int:
    return int(message[0][3].rsplit(b".", 4)[1])


class Letter(msgspec.Struct, frozen=True, gc=False):
    """One message of a work queue, to be acknowledged when its consequences are on the log."""

    subject: str
    seq: int
    body: bytes
    headers: bytes | None
    ack: bytes

    @property
    def stored_ns(self) -> int:
        """When the server stored it: with the place it makes an id that survives every redelivery."""
        return int(self.ack.split(b".")[7])


class WorkQueue(Puller[Letter]):
    """The letters of one actor; what was handed over and not acknowledged is not handed over again."""

    def __init__(
        self,
        connection: Connection,
        stream: str,
        name: str,
        patterns: Sequence[str],
        sink: Callable[[list[Letter], int], None],
    ) -> None:
        super().__init__(connection, stream, patterns, sink)
        self._consumer = name
        self._open: dict[int, bool] = {}
        self._seen = 0

    def _wanted(self) -> dict[str, Any]:
        return {
            "name": self._consumer,
            "durable_name": self._consumer,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": 3600 * 10**9,
            "max_ack_pending": 100_000,
        }

    def _items(self, messages: list[Message]) -> list[Letter]:
        letters: list[Letter] = []
        for message in messages:
            words, block, body = message
            seq, ack = _seq(message), words[3]
            if seq > self._seen:
                letters.append(Letter(words[1].decode("utf-8", "replace"), seq, body, block, ack))
            elif seq not in self._open:  # dealt with; the server has forgotten the acknowledgement
                self._connection.publish(ack, b"+ACK")
        if letters:
            self._seen = letters[-1].seq
            self._open.update((letter.seq, True) for letter in letters)
        return letters

    def forget(self) -> None:
        """Hand everything over again that is not acknowledged: its reader has lost it."""
        self._open.clear()
        self._seen = 0
        self._credit = self._window
        self.renew()

    def ack(self, letter: Letter, word: bytes = b"+ACK") -> None:
        """Done with it; `+TERM why` puts it among the dead."""
        self._open.pop(letter.seq, None)
        self._credit += 1
        try:
            self._connection.publish(letter.ack, word)
        except Unavailable:
            return  # it comes again after the reconnect and is acknowledged then
        self._ask()
