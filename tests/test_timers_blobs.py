"""Timers fire at their newest moment, whatever happens to the server; blobs come back as they were or not at all."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import msgspec
import pytest

from bus import blobs
from bus.blobs import Blobs, note_in, noted, sha256
from bus.connection import Connection, headers
from bus.errors import Broken, Missing, Unavailable
from bus.follow import Letter, WorkQueue
from bus.messages.timers import StepDue
from bus.server import Server
from bus.subjects import ARTIFACTS, TIMERS
from bus.timers import Timer, arm
from tests.bus_ground import a_connection, a_proxy, told, until

STREAM = f"OBJ_{ARTIFACTS}"


class Alarms:
    """What has fired, in order, acknowledged."""

    def __init__(self, connection: Connection) -> None:
        self.letters: list[Letter] = []
        self.queue = WorkQueue(connection, TIMERS, "timers-test", ["fired.test.>"], self._take)

    def _take(self, batch: list[Letter], _: int) -> None:
        self.letters += batch
        for letter in batch:
            self.queue.ack(letter)

    @property
    def names(self) -> list[str]:
        return [letter.subject.rsplit(".", 1)[1] for letter in self.letters]


def timer(name: str, in_s: float, run: str = "r") -> Timer:
    return Timer("test", name, time.time() + in_s, StepDue(agent="a", run=run))


async def stored(connection: Connection, stream: str) -> int:
    reply = await connection.request(f"$JS.API.STREAM.INFO.{stream}")
    return int(msgspec.json.decode(reply.body)["state"]["messages"])


def test_timers_fire_in_the_order_of_their_moments_with_what_they_hold(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as connection:
            alarms = Alarms(connection)
            await alarms.queue.open()
            await arm(connection, [timer("late", 0.6, "l"), timer("soon", 0.2, "s")])
            await until(lambda: len(alarms.letters) == 2)
            assert alarms.names == ["soon", "late"]
            bodies = [msgspec.json.decode(letter.body, type=StepDue) for letter in alarms.letters]
            assert [body.run for body in bodies] == ["s", "l"]
            await arm(connection, [timer("overdue", -3600)])
            await until(lambda: alarms.names[2:] == ["overdue"])
            await until_empty(connection)

    told(tmp_path, story)


@pytest.mark.parametrize(("letter", "most"), [("x", 4079), ('"', 1019), ("\n", 1359), ("é", 2039)])
def test_a_json_object_stands_in_the_event_as_long_as_it_needs_no_more_than_4_kb_there(letter: str, most: int) -> None:
    short, long = (msgspec.json.encode({"text": letter * count}) for count in (most, most + 1))
    said, kept = noted(short)
    assert note_in(said) == short and len(msgspec.json.encode(said)) <= 4096 and not kept
    assert noted(long) == (sha256(long), (long,)) and note_in(sha256(long)) is None


async def until_empty(connection: Connection) -> None:
    """What has fired and was acknowledged is gone, and so are the timers themselves."""
    async with asyncio.timeout(20):
        while await stored(connection, TIMERS):
            await asyncio.sleep(0.005)


def test_a_timer_that_is_set_again_moves(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as connection:
            alarms = Alarms(connection)
            await alarms.queue.open()
            await arm(connection, [timer("pulled", 3600, "old"), timer("pushed", 0.5, "old"), timer("other", 1.2)])
            await arm(connection, [timer("pulled", 0.1, "new"), timer("pushed", 1.0, "new")])
            await until(lambda: "other" in alarms.names)
            assert alarms.names == ["pulled", "pushed", "other"]
            assert all(b'"new"' in letter.body for letter in alarms.letters[:2])

    told(tmp_path, story)


def test_timers_survive_a_killed_server(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as connection:
            alarms = Alarms(connection)
            await alarms.queue.open()
            await arm(connection, [timer(f"t{number}", 0.3 + number / 400) for number in range(200)])
            for kills in (1, 2):
                await until(lambda kills: len(alarms.letters) >= 40 * (kills - 1), kills)
                os.kill(server.pid, signal.SIGKILL)
                await until(lambda kills: server.restarts == kills, kills)
            await until(lambda: len(set(alarms.names)) == 200)
            await until_empty(connection)
            assert set(alarms.names) == {f"t{number}" for number in range(200)}

    told(tmp_path, story)


def test_a_timer_that_the_server_does_not_take_is_not_forgotten_in_silence(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as connection:
            await connection.request(f"$JS.API.STREAM.DELETE.{TIMERS}")
            with pytest.raises(Unavailable):
                await arm(connection, [timer("lost", 0.1)])

    told(tmp_path, story)


SIZES = [0, 1, blobs.CHUNK_BYTES - 1, blobs.CHUNK_BYTES, blobs.CHUNK_BYTES + 1, 3 * 1024 * 1024]


def test_a_blob_comes_back_as_it_was_and_is_kept_once(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        dice = random.Random(1)
        async with a_connection(server.url) as connection, a_connection(server.url) as other:
            for size in SIZES:
                content = dice.randbytes(size)
                digest = await Blobs(connection).put(content)
                assert digest == sha256(content) and await Blobs(other)._told(digest)
                kept = await stored(connection, STREAM)
                assert await Blobs(other).put(content) == digest
                assert await stored(connection, STREAM) == kept
                assert await Blobs(other).get(digest) == content
            with pytest.raises(Missing):
                await Blobs(other).get(sha256(b"never put"))

    told(tmp_path, story)


def test_many_puts_at_once_do_not_mix(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        dice = random.Random(2)
        async with a_connection(server.url) as connection:
            store = Blobs(connection)
            contents = [dice.randbytes(dice.randint(0, 400_000)) for _ in range(12)] * 2
            digests = await asyncio.gather(*(store.put(content) for content in contents))
            assert await asyncio.gather(*(store.get(digest) for digest in digests)) == contents

    told(tmp_path, story)


def test_a_torn_upload_does_no_harm(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        content = random.Random(3).randbytes(6 * blobs.CHUNK_BYTES + 5)
        async with a_connection(server.url) as connection, a_proxy(server) as (proxy, url), a_connection(url) as far:
            proxy.cut_after = content[2 * blobs.CHUNK_BYTES :][:64]
            with pytest.raises(Unavailable):
                await Blobs(far).put(content)
            assert proxy.cuts == 1 and await stored(connection, STREAM) >= 2
            assert not await Blobs(connection)._told(sha256(content))
            with pytest.raises(Missing):
                await Blobs(connection).get(sha256(content))
            await until(lambda: far.connected)
            digest = await Blobs(far).put(content)
            assert await Blobs(connection).get(digest) == content

    told(tmp_path, story)


def test_half_an_upload_of_a_short_text_is_made_whole_by_the_next(tmp_path: Path) -> None:
    """Its entry was taken and its one piece was not."""

    async def story(server: Server) -> None:
        content = b"short"
        async with a_connection(server.url) as connection:
            digest = await Blobs(connection).put(content)
            told = await Blobs(connection)._told(digest)
            meta = msgspec.json.encode({**(told or {}), "nuid": "nothing"})
            await connection.request(blobs._meta_subject(digest), meta, headers(Nats_Rollup="sub"))
            with pytest.raises(Broken):
                await Blobs(connection).get(digest)
            assert await Blobs(connection).put(content) == digest
            assert await Blobs(connection).get(digest) == content

    told(tmp_path, story)


def test_a_killed_server_keeps_what_was_put(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        content = random.Random(4).randbytes(1_000_000)
        async with a_connection(server.url) as connection:
            digest = await Blobs(connection).put(content)
            os.kill(server.pid, signal.SIGKILL)
            await until(lambda: server.restarts == 1 and not connection.connected)
            await until(lambda: connection.connected)
            assert await Blobs(connection).get(digest) == content

    told(tmp_path, story)


def test_damaged_content_is_told_apart(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        content = random.Random(5).randbytes(3 * blobs.CHUNK_BYTES)
        async with a_connection(server.url) as connection:
            store = Blobs(connection)
            digest = await store.put(content)
            seq = 2
            await connection.request(f"$JS.API.STREAM.MSG.DELETE.{STREAM}", b'{"seq":%d,"no_erase":true}' % seq)
            with pytest.raises((Broken, Unavailable)):
                await store.get(digest)
            told = await store._told(digest)
            assert told is not None
            for place in range(3):
                chunk = bytearray(content[place * blobs.CHUNK_BYTES :][: blobs.CHUNK_BYTES])
                chunk[place] ^= place == 1
                await connection.request(f"$O.{ARTIFACTS}.C.forged", bytes(chunk))
            meta = msgspec.json.encode({**told, "nuid": "forged"})
            await connection.request(blobs._meta_subject(digest), meta, headers(Nats_Rollup="sub"))
            with pytest.raises(Broken):
                await store.get(digest)

    told(tmp_path, story)
