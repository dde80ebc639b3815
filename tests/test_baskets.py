"""What comes for a follower lies in a basket until it is looked at: nothing falls out, and nothing strange stays in."""

from pathlib import Path

import pytest

from bus import parser
from bus.connection import headers
from bus.envelope import Record
from bus.jetstream import JetStreamLog
from bus.parser import Basket, Message
from bus.server import Server
from tests.bus_ground import a_connection, a_proxy, draft, told, until

BODIES = [b"", b"x", b"\r\n", b"MSG live.a 1 5\r\nhello\r\n", b"HMSG live.a 1 12 12\r\n", b"\n", bytes(range(256)) * 40]
BLOCKS = [None, headers(A="1"), headers(A="1", Some_Thing="b c: d")]


@pytest.mark.parametrize("crumbs", [False, True])
def test_a_basket_gets_what_can_be_replied_to_and_the_receiver_the_rest(tmp_path: Path, crumbs: bool) -> None:
    async def story(server: Server) -> None:
        async with a_proxy(server) as (proxy, url), a_connection(url) as there, a_connection(server.url) as here:
            seen: list[Message] = []
            heard: list[tuple[bytes | None, bytes]] = []
            woken: list[int] = []
            basket = Basket(lambda: woken.append(len(basket.messages)))
            inbox, subscription = await there.stream_inbox(
                lambda _, __, block, body: heard.append((block, body)), basket
            )
            proxy.crumbs = crumbs
            bodies = [body for body in BODIES if len(body) < 1000 or not crumbs]
            sent = [(block, body) for block in BLOCKS for body in bodies]
            for block, body in sent:
                here.publish(inbox, body, b"", block)
                here.publish(inbox, body, b"some.where", block)
            await until(lambda: len(heard) == len(basket.messages) == len(sent))
            seen, basket.messages = basket.messages, []
            assert heard == sent == [(block, body) for _, block, body in seen]
            assert {(words[1], words[3]) for words, _, _ in seen} == {(inbox, b"some.where")} and woken == [0]
            here.publish(inbox, b"again", b"some.where")
            await until(lambda: woken == [0, 0])
            await there.unsubscribe(subscription)
            assert there._baskets == {}

    told(tmp_path, story)


class Leaking(list[Message]):
    """What lies in a basket that loses one of its messages."""

    def __init__(self, hole: "Hole") -> None:
        self._hole = hole

    def append(self, message: Message) -> None:
        self._hole.left -= 1
        if self._hole.left != -1:
            super().append(message)


class Hole:
    """The first basket of a story has it: what comes behind so many is lost."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.basket: Basket | None = None


@pytest.mark.parametrize("place", [0, 1, 5])
def test_a_follower_that_misses_a_message_begins_again_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    hole = Hole(place)

    class WithAHole(parser.Basket):
        @property
        def messages(self) -> list[Message]:
            return self._messages

        @messages.setter
        def messages(self, messages: list[Message]) -> None:
            hole.basket = hole.basket or self
            self._messages = Leaking(hole) if hole.basket is self else messages

    monkeypatch.setattr("bus.follow.Basket", WithAHole)

    async def story(server: Server) -> None:
        followed: list[int] = []
        async with a_connection(server.url) as connection:
            log = JetStreamLog(connection)
            await log.append([draft(f"evt.task.{number}", 0) for number in range(50)])
            follower = await log.follow(["evt.>"], 0, lambda batch, _: take(batch), 300)

            def take(batch: list[Record]) -> None:
                followed.extend(record.seq for record in batch)
                follower.done(len(batch))

            await until(lambda: len(followed) >= 50)
            assert followed == list(range(1, 51)) and hole.left < 0
            await follower.close()

    told(tmp_path, story)


@pytest.mark.parametrize("reply", [b"x", b"$JS.ACK.a.b.c", b"$JS.ACK.EVENTS.c.1.one.two.3.four"])
def test_a_follower_is_not_led_astray_by_what_nobody_should_have_sent(tmp_path: Path, reply: bytes) -> None:
    async def story(server: Server) -> None:
        followed: list[int] = []
        async with a_connection(server.url) as connection, a_connection(server.url) as stranger:
            log = JetStreamLog(connection)
            follower = await log.follow(["evt.>"], 0, lambda batch, _: take(batch), 300)

            def take(batch: list[Record]) -> None:
                followed.extend(record.seq for record in batch)
                follower.done(len(batch))

            for turn in range(5):
                stranger.publish(follower._inbox, b'{"id":"forged"}', reply)
                await log.append([draft(f"evt.task.{turn}-{number}", 0) for number in range(20)])
                await until(lambda turn: len(followed) >= 20 * (turn + 1), turn)
            assert followed == list(range(1, 101))
            await follower.close()

    told(tmp_path, story)
