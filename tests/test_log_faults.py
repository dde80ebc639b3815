"""The log on JetStream when the network and the server fail: each commit once, and the answer says so."""

import asyncio
import json
import os
import random
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from bus import jetstream
from bus.connection import Connection
from bus.envelope import Draft, Record
from bus.errors import Conflict, Unavailable, WitanError
from bus.jetstream import JetStreamLog
from bus.server import Server
from tests.bus_ground import Proxy, Ringing, a_connection, a_proxy, draft, everything, id_of, told, until

Harm = Callable[[Proxy], Awaitable[None]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A black hole is given up after a tenth of a second instead of ten."""
    monkeypatch.setattr(jetstream, "ANSWER_S", 0.1)


class Writing:
    """Writers of one entity each, that append and remember what they were told."""

    def __init__(self, log: JetStreamLog) -> None:
        self.log = log
        self.acknowledged: dict[str, int] = {}
        self.unknown: set[str] = set()
        self.refused: set[str] = set()
        self.stop = False

    async def one_entity(self, name: str, crowd: int) -> None:
        subject, expect = f"evt.task.{name}", 0
        while not self.stop:
            drafts = [draft(subject, None if place else expect) for place in range(crowd)]
            try:
                expect = (await self.log.append(drafts))[-1]
                self.acknowledged.update({each.id: 0 for each in drafts})
            except Unavailable:
                self.unknown.update(each.id for each in drafts)
                expect = await self._look(subject)
            except Conflict as error:  # this writer is alone: only what an unknown outcome left behind can be newer
                assert self.unknown, error
                self.refused.update(each.id for each in drafts[:1])
                expect = await self._look(subject)

    async def _look(self, subject: str) -> int:
        while True:
            try:
                newest = await self.log.last(subject)
                return newest.seq if newest else 0
            except Unavailable:
                await asyncio.sleep(0.01)

    def wrong(self, records: list[Record]) -> list[str]:
        """What the log says against the answers."""
        ids = [id_of(record) for record in records]
        wrong = [] if len(set(ids)) == len(ids) else ["something is on the log twice"]
        wrong += [f"{id} was acknowledged and is not there" for id in self.acknowledged.keys() - set(ids)]
        wrong += [f"{id} was refused and is there" for id in self.refused & set(ids)]
        return wrong + [f"nobody wrote {id}" for id in set(ids) - self.acknowledged.keys() - self.unknown]


async def lose_the_answers(proxy: Proxy) -> None:
    proxy.hold()
    await asyncio.sleep(0.03)
    proxy.reset()
    proxy.release()


async def delay_the_answers(proxy: Proxy) -> None:
    proxy.hold()
    await asyncio.sleep(0.25)
    proxy.release()


async def swallow_everything_for_a_while(proxy: Proxy) -> None:
    proxy.hold(up=True)
    await asyncio.sleep(0.25)
    proxy.release()


async def swallow_everything_and_cut(proxy: Proxy) -> None:
    proxy.hold(up=True)
    await asyncio.sleep(0.15)
    proxy.reset()
    proxy.release()


async def cut_after_a_write(proxy: Proxy) -> None:
    before = proxy.cuts
    proxy.cut_after = b"PUB evt.task"
    await until(lambda: proxy.cuts > before)


async def reset(proxy: Proxy) -> None:
    proxy.reset()


HARMS: list[Harm] = [
    lose_the_answers,
    delay_the_answers,
    swallow_everything_for_a_while,
    swallow_everything_and_cut,
    cut_after_a_write,
    reset,
]


@pytest.mark.parametrize("crowd", [1, 15], ids=["singles", "batches"])
@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_each_commit_is_on_the_log_once_and_the_answer_says_so(harm: Harm, crowd: int, tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_proxy(server) as (proxy, url), a_connection(url) as connection:
            writing = Writing(JetStreamLog(connection))
            writers = [asyncio.create_task(writing.one_entity(f"w{number}", crowd)) for number in range(4)]
            for _ in range(4):
                known = len(writing.acknowledged)
                await until(lambda known: len(writing.acknowledged) > known + 8 * crowd, known)
                await harm(proxy)
            known = len(writing.acknowledged)
            await until(lambda: len(writing.acknowledged) > known + 8 * crowd)
            writing.stop = True
            await asyncio.gather(*writers)
            async with a_connection(server.url) as direct:
                jetstream.ANSWER_S = 10.0  # what is read to be checked may take its time
                records = await everything(JetStreamLog(direct))
            assert writing.wrong(records) == []

    told(tmp_path, story)


@pytest.mark.parametrize("crowd", [1, 15], ids=["single", "batch"])
def test_a_lost_answer_is_found_on_the_log(crowd: int, tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_proxy(server) as (proxy, url), a_connection(url) as connection:
            log = JetStreamLog(connection)
            drafts = [draft("evt.task.a", None if place else 0) for place in range(crowd)]
            proxy.cut_after = drafts[-1].body
            assert await log.append(drafts) == list(range(1, crowd + 1))
            assert proxy.cuts == 1
            assert [id_of(record) for record in await log.read("evt.task.a")] == [each.id for each in drafts]

    told(tmp_path, story)


def test_of_few_that_touch_one_entity_the_first_hears_of_its_place_before_the_next_is_written(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as connection:
            log = JetStreamLog(connection)
            ended: list[tuple[int, int]] = []

            def placed(place: int, _: object) -> None:
                ended.append((place, len(log._places)))

            wishes = [[draft("evt.task.a", None if place else 0), draft(f"evt.task.b{place}", 0)] for place in range(3)]
            futures = [log.submit(drafts) for drafts in wishes]
            for place, future in enumerate(futures):
                future.add_done_callback(partial(placed, place))
            assert [await future for future in futures] == [[1, 2], [3, 4], [5, 6]]
            await asyncio.sleep(0)
            assert ended == [(0, 2), (1, 3), (2, 4)]

    told(tmp_path, story)


def test_nothing_is_chained_to_a_commit_that_is_not_there(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as connection:
            log = JetStreamLog(connection)
            assert await log.append([draft("evt.task.a", 0)]) == [1]
            unknown = log.submit([draft("evt.task.a", 5)])
            chained = log.submit([draft("evt.task.a", None)])
            for future in (unknown, chained):
                with pytest.raises(WitanError):
                    await future
            assert await log.head() == 1

    told(tmp_path, story)


def test_the_checker_of_answers_can_fail() -> None:
    def record(each: Draft, seq: int) -> Record:
        return Record(each.subject, seq, each.body)

    drafts = [draft("evt.task.a", None) for _ in range(3)]
    writing = Writing.__new__(Writing)
    writing.acknowledged, writing.unknown, writing.refused = {drafts[0].id: 1}, set(), {drafts[1].id}
    first = record(drafts[0], 1)
    assert writing.wrong([first]) == []
    assert writing.wrong([first, record(drafts[0], 2)])
    assert writing.wrong([])
    assert writing.wrong([first, record(drafts[1], 2)])
    assert writing.wrong([first, record(drafts[2], 2)])


def test_a_killed_server_loses_nothing_and_the_follower_goes_on_without_a_gap(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        dice = random.Random(7)
        followed: list[int] = []

        async with a_connection(server.url) as connection, a_connection(server.url) as reading:
            writing = Writing(JetStreamLog(connection))
            follower = await JetStreamLog(reading).follow(["evt.>"], 0, lambda batch, _: take(batch), 300)

            def take(batch: list[Record]) -> None:
                followed.extend(record.seq for record in batch)
                follower.done(len(batch))

            writers = [asyncio.create_task(writing.one_entity(f"w{place}", 1 + 13 * (place % 2))) for place in range(6)]
            for kills in range(1, 5):
                known = len(writing.acknowledged)
                await until(lambda known: len(writing.acknowledged) > known + dice.randint(50, 300), known)
                os.kill(server.pid, signal.SIGKILL)
                await until(lambda kills: server.restarts == kills, kills)
            known = len(writing.acknowledged)
            await until(lambda: len(writing.acknowledged) > known + 100)
            writing.stop = True
            await asyncio.gather(*writers)
            records = await everything(writing.log)
            assert writing.wrong(records) == []
            await until(lambda: followed and followed[-1] == records[-1].seq)
            assert followed == [record.seq for record in records]
            await follower.close()

    told(tmp_path, story)


def test_a_follower_survives_the_loss_of_its_consumer_and_of_its_connection(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        followed: list[int] = []
        async with a_connection(server.url) as connection, a_proxy(server) as (proxy, url), a_connection(url) as far:
            log = JetStreamLog(connection)
            follower = await JetStreamLog(far).follow(["evt.>"], 0, lambda batch, _: take(batch), 10)

            def take(batch: list[Record]) -> None:
                followed.extend(record.seq for record in batch)
                follower.done(len(batch))

            for turn in range(6):
                wishes = [log.append([draft(f"evt.task.{turn}-{number}", 0)]) for number in range(40)]
                if turn % 2:
                    proxy.reset()
                else:
                    await connection.request(f"$JS.API.CONSUMER.DELETE.EVENTS.{await only_consumer(connection)}")
                await asyncio.gather(*wishes)
                await until(lambda turn: len(followed) >= 40 * (turn + 1), turn)
            assert followed == list(range(1, 241))
            await follower.close()

    told(tmp_path, story)


async def only_consumer(connection: Connection) -> str:
    while True:
        told = json.loads((await connection.request("$JS.API.CONSUMER.NAMES.EVENTS", b"{}")).body)
        if told["consumers"]:
            return str(told["consumers"][-1])


def test_a_reader_who_fetches_survives_the_loss_of_its_consumer_and_of_its_connection(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as connection, a_proxy(server) as (proxy, url), a_connection(url) as far:
            log = JetStreamLog(connection)
            reader = await Ringing(9).follow(JetStreamLog(far))
            for turn in range(8):
                wishes = [log.append([draft(f"evt.task.{turn}-{number}", 0)]) for number in range(40)]
                appending = asyncio.gather(*wishes)
                await asyncio.sleep(0.003 * (turn % 3))  # before a fetch, and in the middle of one
                if turn % 2:
                    proxy.reset()
                else:
                    await connection.request(f"$JS.API.CONSUMER.DELETE.EVENTS.{await only_consumer(connection)}")
                await appending
                await until(lambda turn: len(reader.seqs) >= 40 * (turn + 1), turn)
            assert reader.seqs == list(range(1, 321))
            await reader.close()

    told(tmp_path, story)
