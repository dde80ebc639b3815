"""Whoever stays to watch goes on when the connection is back, wherever it was lost; what was wrong before is told."""

import asyncio
from pathlib import Path

import pytest

from bus.errors import Unavailable
from bus.jetstream import JetStreamLog
from bus.log import replay
from bus.server import Server
from cli.patience import PatientLog
from tests.bus_ground import a_connection, a_proxy, draft, into, told, until

SUBJECT = "evt.task.t"


def test_what_is_asked_while_the_connection_is_lost_is_answered_when_it_is_back(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_proxy(server) as (proxy, url), a_connection(url) as connection, a_connection(server.url) as other:
            (place,) = await JetStreamLog(other).append([draft(SUBJECT, 0)])
            log = PatientLog(connection)
            await proxy.shut()
            await until(lambda: not connection.connected)
            with pytest.raises(Unavailable):
                await JetStreamLog(connection).head()
            asked = asyncio.gather(log.head(), log.last(SUBJECT), log.read(SUBJECT), log.load(SUBJECT))
            await asyncio.sleep(0)
            await proxy.open()
            head, last, records, loaded = await asked
            assert head == loaded.seq == place and [last] == records

    told(tmp_path, story)


def test_a_replay_that_loses_its_connection_before_it_follows_hands_every_record_over_once(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_proxy(server) as (proxy, url), a_connection(url) as connection, a_connection(server.url) as other:
            writer, log = JetStreamLog(other), PatientLog(connection)
            await writer.append([draft(SUBJECT, None if place else 0) for place in range(5)])
            await proxy.shut()
            await until(lambda: not connection.connected)

            async def walk() -> list[int]:
                return [record.seq async for batch in replay(log, [SUBJECT]) for record in batch]

            walking = asyncio.create_task(walk())
            await asyncio.sleep(0)
            await proxy.open()
            assert await walking == [1, 2, 3, 4, 5]

    told(tmp_path, story)


def test_a_reader_that_could_not_begin_never_begins_by_itself(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_proxy(server) as (proxy, url), a_connection(url) as connection, a_connection(server.url) as other:
            log = JetStreamLog(connection)
            await proxy.shut()
            await until(lambda: not connection.connected)
            heap: list[object] = []
            with pytest.raises(Unavailable):
                await log.follow([SUBJECT], 0, into(heap))  # type: ignore[arg-type]
            assert connection.on_reconnect == []
            await proxy.open()
            await until(lambda: connection.connected)
            await JetStreamLog(other).append([draft(SUBJECT, 0)])
            assert await log.last(SUBJECT) is not None
            assert heap == []

    told(tmp_path, story)


def test_a_log_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async with a_connection(server.url) as connection:
            log = PatientLog(connection)
            log.stream = "NOWHERE"
            async with asyncio.timeout(5):
                with pytest.raises(Unavailable):
                    await log.head()

    told(tmp_path, story)
