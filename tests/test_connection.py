"""The five verbs of the graft against the plain client: the same messages in, the same out."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError

from bus.connection import Connection, header, headers
from bus.errors import Unavailable
from bus.server import Server
from tests.bus_ground import a_connection, a_proxy, in_force, told, until

Message = tuple[str, str, dict[str, str] | None, bytes]
"""Subject, reply subject, headers, body: what both clients can say."""

LARGE = 1024 * 1024 - 1000


@asynccontextmanager
async def a_plain_client(url: str) -> AsyncIterator[Client]:
    client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.02, error_cb=_quiet)
    try:
        yield client
    finally:
        await client.close()


async def _quiet(_: Exception) -> None:
    pass


def messages() -> list[Message]:
    """Every shape that a message can have."""
    dice = random.Random(1)
    bodies = [
        b"",
        b"x",
        b"\r\n",
        b"a\r\nb\r\n",
        b"MSG live.a 1 5\r\nhello\r\n",
        b"HMSG live.a 1 12 12\r\nNATS/1.0\r\n\r\n\r\n",
        b"PING\r\n",
        b"-ERR 'no'\r\n",
        bytes(range(256)),
        dice.randbytes(5000),
    ]
    blocks: list[dict[str, str] | None] = [None, {"A": "1"}, {"Nats-Msg-Id": "x-1", "Other": "b c: d"}]
    replies = ["", "_INBOX.there.1"]
    return [
        (f"live.{place}.{reply_place}.{block_place}", reply, block, body)
        for place, body in enumerate(bodies)
        for reply_place, reply in enumerate(replies)
        for block_place, block in enumerate(blocks)
    ]


def block_of(fields: dict[str, str] | None) -> bytes | None:
    return None if fields is None else headers(**{name.replace("-", "_"): text for name, text in fields.items()})


def fields_of(block: bytes | None) -> dict[str, str] | None:
    if block is None:
        return None
    lines = block.decode().removeprefix("NATS/1.0\r\n").rstrip("\r\n").split("\r\n")
    return {name: text.strip() for name, _, text in (line.partition(":") for line in lines)}


class Ears:
    """Hears everything under `live.` as the graft does, and as the plain client does."""

    def __init__(self) -> None:
        self.fast: list[Message] = []
        self.plain: list[Message] = []

    async def open(self, connection: Connection, client: Client) -> "Ears":
        await connection.subscribe("live.>", self._fast)
        await in_force(connection.nc)
        await client.subscribe("live.>", cb=self._plain)
        await in_force(client)
        return self

    def _fast(self, subject: bytes, reply: bytes, block: bytes | None, body: bytes) -> None:
        self.fast.append((subject.decode(), reply.decode(), fields_of(block), body))

    async def _plain(self, message: Any) -> None:
        self.plain.append((message.subject, message.reply, message.headers, message.data))

    async def heard(self, sent: list[Message]) -> None:
        await until(lambda: len(self.fast) >= len(sent) and len(self.plain) >= len(sent))
        assert self.fast == sent
        assert self.plain == sent


def test_what_the_graft_says_and_hears_is_what_the_plain_client_says_and_hears(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as connection, a_plain_client(server.url) as client:
            ears = await Ears().open(connection, client)
            for subject, reply, fields, body in messages():
                connection.publish(subject.encode(), body, reply.encode(), block_of(fields))
            await ears.heard(messages())
            for subject, reply, fields, body in messages():
                await client.publish(subject, body, reply, fields)
            await ears.heard(messages() * 2)

    told(tmp_path, story)


def test_messages_that_arrive_byte_by_byte_are_the_same(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with (
            a_proxy(server) as (proxy, url),
            a_connection(url) as connection,
            a_plain_client(server.url) as client,
        ):
            ears = await Ears().open(connection, client)
            proxy.crumbs = True
            sent = [message for message in messages() if len(message[3]) < 1000]
            for subject, reply, fields, body in sent:
                await client.publish(subject, body, reply, fields)
            await ears.heard(sent)

    told(tmp_path, story)


@pytest.mark.parametrize("crumbs", [False, True])
def test_our_receivers_and_the_plain_clients_own_each_hear_all_in_order(tmp_path: Path, crumbs: bool) -> None:
    """On one connection they take turns: what one of them is told stands between what the other is told."""

    async def story(server: Server) -> None:
        async with (
            a_proxy(server) as (proxy, url),
            a_connection(url) as connection,
            a_plain_client(server.url) as client,
        ):
            fast: list[bytes] = []
            plain: list[bytes] = []

            async def hear(message: Any) -> None:
                plain.append(message.data)

            await connection.subscribe("live.fast", lambda _, __, ___, body: fast.append(body))
            await connection.nc.subscribe("live.plain", cb=hear)
            await in_force(connection.nc)
            proxy.crumbs = crumbs
            dice, count = random.Random(3), 60 if crumbs else 3000
            for number in range(count):
                subject = dice.choice(["live.fast", "live.plain"])
                body = b"%d %b" % (number, b"x" * dice.choice([0, 3, 500, 40 if crumbs else 9000]))
                await client.publish(subject, body, headers={"A": "1"} if number % 5 == 0 else None)
            await until(lambda: len(fast) + len(plain) == count)
            numbers = [[int(body.split(b" ")[0]) for body in heard] for heard in (fast, plain)]
            assert numbers == [sorted(each) for each in numbers] and sorted([*numbers[0], *numbers[1]]) == list(
                range(count)
            )

    told(tmp_path, story)


def test_large_messages_and_many_at_once_keep_their_order(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        dice = random.Random(2)
        async with a_connection(server.url) as connection, a_plain_client(server.url) as client:
            ears = await Ears().open(connection, client)
            sizes = [LARGE, 0, 65535, 65536, 65537, LARGE, *(dice.randint(0, 300) for _ in range(5000))]
            sent: list[Message] = []
            for place, size in enumerate(sizes):
                fields = {"N": str(place)} if place % 3 == 0 else None
                sent.append((f"live.{place}", "", fields, dice.randbytes(size)))
            for subject, _, fields, body in sent:
                connection.publish(subject.encode(), body, b"", block_of(fields))
            await ears.heard(sent)

    told(tmp_path, story)


def test_a_murmur_leaves_with_the_next_publish_or_alone_and_keeps_its_place(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        heard: list[bytes] = []
        async with a_connection(server.url) as connection:
            await connection.subscribe("live.>", lambda subject, reply, block, body: heard.append(body))
            await in_force(connection.nc)
            connection.murmur(b"live.a", b"1")
            connection.publish(b"live.a", b"2")
            connection.murmur(b"live.a", b"3")
            await until(lambda: len(heard) == 3)
            connection.murmur(b"live.a", b"4")
            connection.murmur(b"live.a", b"5")
            assert heard == [b"1", b"2", b"3"]
            await until(lambda: heard == [b"1", b"2", b"3", b"4", b"5"])

    told(tmp_path, story)


def test_each_of_many_requests_gets_its_own_answer(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as connection, a_plain_client(server.url) as client:

            async def echo(message: Any) -> None:
                await client.publish(message.reply, b"re: " + message.data, headers=message.headers)

            await client.subscribe("live.echo", cb=echo)
            await in_force(client)
            replies = await asyncio.gather(
                *(connection.request("live.echo", b"%d" % number, headers(N=str(number))) for number in range(2000))
            )
            for number, reply in enumerate(replies):
                assert (reply.body, header(reply.headers, b"N"), reply.status) == (b"re: %d" % number, str(number), "")

    told(tmp_path, story)


def test_the_plain_client_gets_its_answer_from_the_graft(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as connection, a_plain_client(server.url) as client:
            await connection.subscribe(
                "live.echo", lambda _, reply, block, body: connection.publish(reply, body[::-1], b"", block)
            )
            while (await connection.request("live.echo", b"x")).status:  # until it is in force
                pass
            answer = await client.request("live.echo", b"abc", headers={"A": "b"})
            assert (answer.data, answer.headers) == (b"cba", {"A": "b"})

    told(tmp_path, story)


def test_a_request_to_nobody_is_told_so(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as connection, a_plain_client(server.url) as client:
            assert (await connection.request("live.nobody", b"x")).status == "503"
            with pytest.raises(NoRespondersError):
                await client.request("live.nobody", b"x")

    told(tmp_path, story)


def test_a_queue_group_shares_the_messages_out(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as one, a_connection(server.url) as two:
            heard: list[bytes] = []
            for connection in (one, two, two):
                await connection.subscribe("live.q", lambda _, __, ___, body: heard.append(body), "group")
                await in_force(connection.nc)
            for number in range(300):
                one.publish(b"live.q", b"%d" % number)
            await until(lambda: len(heard) >= 300)
            assert (await one.request("live.nobody")).status == (await two.request("live.nobody")).status == "503"
            assert sorted(map(int, heard)) == list(range(300))

    told(tmp_path, story)


def test_an_ended_subscription_is_silent(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as connection:
            ended: list[bytes] = []
            lasting: list[bytes] = []
            subscription = await connection.subscribe("live.a", lambda *words: ended.append(words[3]))
            await connection.subscribe("live.a", lambda *words: lasting.append(words[3]))
            await in_force(connection.nc)
            connection.publish(b"live.a", b"1")
            await until(lambda: ended and lasting)
            await connection.unsubscribe(subscription)
            connection.publish(b"live.a", b"2")
            await until(lambda: len(lasting) == 2)
            assert ended == [b"1"]

    told(tmp_path, story)


def test_a_receiver_that_fails_does_not_make_the_connection_deaf(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        async with a_connection(server.url) as connection:
            heard: list[int] = []
            await connection.subscribe("live.a", lambda *words: heard.append(1 // int(words[3])))
            await in_force(connection.nc)
            for body in (b"1", b"0", b"1"):
                connection.publish(b"live.a", body)
            await until(lambda: len(heard) == 2)
            assert [type(told["exception"]) for told in complaints] == [ZeroDivisionError]

    told(tmp_path, story)


def test_what_waits_for_an_answer_fails_when_the_connection_does(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_proxy(server) as (proxy, url), a_connection(url) as connection, a_plain_client(server.url) as mute:
            asked: list[bytes] = []

            async def hear(message: Any) -> None:
                asked.append(message.data)

            await mute.subscribe("live.mute", cb=hear)
            await in_force(mute)
            waiting = [asyncio.create_task(connection.request("live.mute", timeout_s=60)) for _ in range(50)]
            future = connection.ask(b"live.mute")
            await until(lambda: len(asked) == 51)
            proxy.reset()
            for each in (*waiting, future):
                with pytest.raises(Unavailable):
                    await each
            await until(lambda: connection.connected)
            assert (await connection.request("live.nobody")).status == "503"

    told(tmp_path, story)


def test_no_answer_in_time_is_unavailable_and_a_late_one_is_let_go(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as connection, a_connection(server.url) as slow:
            replies: list[bytes] = []
            await slow.subscribe("live.slow", lambda _, reply, __, ___: replies.append(reply))
            await in_force(slow.nc)
            with pytest.raises(Unavailable):
                await connection.request("live.slow", timeout_s=0.05)
            await until(lambda: replies)
            slow.publish(replies[0], b"late")
            assert (await connection.request("live.nobody")).status == "503"
            assert not connection._asked

    told(tmp_path, story)


def test_subscriptions_survive_a_restart_of_the_server(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as connection, a_connection(server.url) as other:
            heard: list[bytes] = []
            for pattern in ("live.a", "live.*"):
                await connection.subscribe(pattern, lambda *words: heard.append(words[3]))
            await in_force(connection.nc)
            for turn in range(1, 3):
                lost: list[int] = []
                connection.on_disconnect.append(partial(lost.append, 1))
                os.kill(server.pid, signal.SIGKILL)
                await until(lambda turn: server.restarts == turn and server.pid, turn)
                await until(lambda lost: lost and connection.connected and other.connected, lost)
                heard.clear()
                assert (await connection.request("ask.nobody")).status == "503"
                other.publish(b"live.a", b"%d" % turn)
                await until(lambda: len(heard) == 2)
                assert heard == [b"%d" % turn] * 2

    told(tmp_path, story)


def test_nothing_is_sent_later_behind_the_callers_back(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_proxy(server) as (proxy, url), a_connection(url) as connection, a_connection(server.url) as other:
            heard: list[bytes] = []
            await other.subscribe("live.a", lambda *words: heard.append(words[3]))
            await in_force(other.nc)
            await proxy.shut()
            await until(lambda: not connection.connected)
            with pytest.raises(Unavailable):
                connection.publish(b"live.a", b"never")
            with pytest.raises(Unavailable):
                await connection.request("live.a", b"never")
            await proxy.open()
            await until(lambda: connection.connected)
            connection.publish(b"live.a", b"after")
            await until(lambda: heard)
            assert heard == [b"after"]

    told(tmp_path, story)


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (None, ""),
        (b"", ""),
        (b"NATS/1.0\r\n\r\n", ""),
        (b"NATS/1.0\r\nA: b\r\n\r\n", "b"),
        (b"NATS/1.0\r\nA:b\r\n\r\n", "b"),
        (b"NATS/1.0\r\nAA: c\r\nA:  b \r\n\r\n", "b"),
        (b"NATS/1.0\r\nA: b", "b"),
        (b"NATS/1.0\r\nA:", ""),
        (b"\xff\r\nA: \xff\r\n", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_header_is_read_from_any_block_whatever_its_shape(block: bytes | None, text: str) -> None:
    assert header(block, b"A") == text
