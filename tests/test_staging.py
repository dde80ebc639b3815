"""Batches are laid down in memory: nothing of it is missed when it is gone, and nobody else's place is used."""

import asyncio
import os
import signal
import struct
from pathlib import Path

import pytest

from bus import staging
from bus.jetstream import BATCH_FROM, STAGED_FROM, JetStreamLog
from bus.server import Server
from tests.bus_ground import a_connection, a_server, draft, everything, until

CROWD = 8


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of the test's own, so that what is left in it is ours."""
    place = tmp_path / "memory"
    place.mkdir()
    monkeypatch.setattr(staging, "MEMORY", place)
    monkeypatch.setattr(staging, "ROOM", 0)
    return place


def batches_of(folder: Path) -> Path:
    return folder.resolve() / "jetstream" / "$G" / "streams" / "EVENTS" / "batches"


def left_in(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.name != staging.OWNER]


async def a_batch(server: Server, name: str) -> list[int]:
    async with a_connection(server.url) as connection:
        log = JetStreamLog(connection, staging=server.staging)
        return await log.append([draft(f"evt.task.{name}-{number}", 0) for number in range(CROWD)])


async def on_the_log(server: Server) -> list[str]:
    async with a_connection(server.url) as connection:
        return [record.subject for record in await everything(JetStreamLog(connection))]


def test_batches_go_through_memory_and_leave_nothing_there(tmp_path: Path, memory: Path) -> None:
    folder = tmp_path / "nats"

    async def story() -> None:
        async with a_server(folder) as server:
            assert server.staging.in_memory
            (place,) = memory.iterdir()
            assert batches_of(folder).readlink() == place
            looked_at = place.stat().st_mtime_ns
            assert await a_batch(server, "one") == list(range(1, CROWD + 1))
            assert place.stat().st_mtime_ns > looked_at, "the batch was not laid down here"
            await until(lambda: left_in(place) == [])
        assert not list(memory.iterdir())
        assert not batches_of(folder).is_symlink()

    asyncio.run(story())


def test_a_server_that_is_killed_finds_its_place_again(tmp_path: Path, memory: Path) -> None:
    folder = tmp_path / "nats"

    async def story() -> None:
        async with a_server(folder) as server:
            for deaths in (1, 2):
                await a_batch(server, f"before-{deaths}")
                os.kill(server.pid, signal.SIGKILL)
                await until(lambda deaths: server.restarts == deaths and server.pid, deaths)
                await until(batches_of(folder).is_symlink)
            await a_batch(server, "behind")
            assert len(await on_the_log(server)) == 3 * CROWD
            assert len(list(memory.iterdir())) == 1

    asyncio.run(story())


def test_what_a_killed_witan_left_in_memory_is_used_again(tmp_path: Path, memory: Path) -> None:
    folder = tmp_path / "nats"

    async def story() -> None:
        async with a_server(folder):
            (place,) = memory.iterdir()
        (place / "left" / "msgs").mkdir(parents=True)
        place.chmod(0o700)
        async with a_server(folder) as server:
            assert server.staging.in_memory
            assert left_in(place) == []

    asyncio.run(story())


def test_the_place_of_a_killed_witan_goes_when_its_folder_is_gone(tmp_path: Path, memory: Path) -> None:
    gone, there, strange = (memory / f"witan-{name}" for name in ("gone", "there", "strange"))
    for place in (gone, there, strange):
        (place / "left").mkdir(parents=True)
    (gone / staging.OWNER).write_text(str(tmp_path / "gone"))
    (there / staging.OWNER).write_text(str(tmp_path))

    async def story() -> None:
        async with a_server(tmp_path / "nats"):
            assert not gone.exists() and there.exists() and strange.exists()

    asyncio.run(story())


@pytest.mark.parametrize("squat", ["open", "file", "elsewhere"])
def test_a_place_that_somebody_else_has_prepared_is_not_used(tmp_path: Path, memory: Path, squat: str) -> None:
    folder = tmp_path / "nats"

    async def place_of() -> Path:
        async with a_server(folder):
            (place,) = memory.iterdir()
        return place

    async def story(place: Path) -> None:
        async with a_server(folder) as server:
            assert not server.staging.in_memory
            assert len(await a_batch(server, "one")) == CROWD
            assert not batches_of(folder).is_symlink()
        assert place.exists(), "what is not ours is not taken away"

    place = asyncio.run(place_of())
    if squat == "open":
        place.mkdir()
        place.chmod(0o777)
    elif squat == "file":
        place.touch()
    else:
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "elsewhere")
    asyncio.run(story(place))


@pytest.mark.parametrize("lacking", ["folder", "room"])
def test_without_memory_batches_stay_on_the_disk(
    tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    if lacking == "folder":
        memory.rmdir()
    else:
        monkeypatch.setattr(staging, "ROOM", 2**62)

    async def story() -> None:
        async with a_server(tmp_path / "nats") as server:
            assert not server.staging.in_memory
            assert len(await a_batch(server, "one")) == CROWD

    asyncio.run(story())


def test_a_log_hears_that_its_server_has_come_back_to_the_disk(
    tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with a_server(tmp_path / "nats") as server, a_connection(server.url) as connection:
            log = JetStreamLog(connection, staging=server.staging)
            assert log._batch_from == STAGED_FROM
            monkeypatch.setattr(staging, "ROOM", 2**62)
            os.kill(server.pid, signal.SIGKILL)
            await until(lambda: server.restarts == 1 and not server.staging.in_memory)
            assert log._batch_from == BATCH_FROM

    asyncio.run(story())


@pytest.mark.parametrize("kept", [1, CROWD - 1])
def test_a_batch_that_a_power_cut_has_split_leaves_its_first_part(tmp_path: Path, memory: Path, kept: int) -> None:
    """The stream ends in the middle of a batch, and what was laid down in memory is gone."""
    folder = tmp_path / "nats"

    async def before() -> None:
        async with a_server(folder) as server:
            await a_batch(server, "whole")
            await a_batch(server, "split")

    async def behind() -> list[str]:
        async with a_server(folder) as server:
            await a_batch(server, "next")
            return await on_the_log(server)

    asyncio.run(before())
    cut_behind(folder, CROWD + kept)
    names = [("whole", CROWD), ("split", kept), ("next", CROWD)]
    assert asyncio.run(behind()) == [f"evt.task.{name}-{number}" for name, count in names for number in range(count)]


def cut_behind(folder: Path, messages: int) -> None:
    """Each message in the server's file begins with its length; the highest bit says that it has headers."""
    store = batches_of(folder).parent / "msgs"
    (store / "index.db").unlink(missing_ok=True)
    (block,) = store.glob("*.blk")
    data, end = block.read_bytes(), 0
    for _ in range(messages):
        end += struct.unpack_from("<I", data, end)[0] & 0x7FFFFFFF
    assert end < len(data)
    os.truncate(block, end)
