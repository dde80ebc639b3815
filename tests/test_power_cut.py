"""What was acknowledged survives a power cut: a file system forgets all that it had not yet written to its disk."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template

import pytest

from bus import server_conf, topology
from bus.errors import WitanError
from bus.jetstream import JetStreamLog
from bus.server import Server
from tests.bus_ground import PATIENCE_S, a_connection, a_server, draft, everything, id_of, until

CUTS = 3
SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN."""
DROP_ALL = struct.pack("I", 2)
"""EXT4_GOING_FLAGS_NOLOGFLUSH: what is not on the disk now never will be."""


class Disk:
    """An ext4 in a file, on a loop device, whose power can be cut."""

    def __init__(self, folder: Path) -> None:
        self._image, self.mount = folder / "disk.img", folder / "disk"
        self.mount.mkdir()
        with open(self._image, "wb") as file:
            file.truncate(256 * 1024 * 1024)
        run("mkfs.ext4", "-q", "-F", str(self._image))

    def plug(self) -> None:
        run("mount", "-o", "loop", str(self._image), str(self.mount))

    def unplug(self) -> None:
        """It is gone when nobody holds it any more: a sandbox that began meanwhile has every mount of the machine."""
        if os.path.ismount(self.mount):
            run("umount", str(self.mount))
        until = time.monotonic() + PATIENCE_S
        while run("losetup", "-j", str(self._image)):
            if time.monotonic() > until:
                raise TimeoutError(f"somebody still has {self._image} mounted")
            time.sleep(0.05)

    def cut(self) -> None:
        descriptor = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, DROP_ALL)
        finally:
            os.close(descriptor)


def run(*words: str) -> bytes:
    return subprocess.run(words, check=True, timeout=60, capture_output=True).stdout


@contextmanager
def a_disk(folder: Path) -> Iterator[Disk]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("NOT SHOWN HERE: a power cut needs Linux, root and loop mounts")
    try:
        disk = Disk(folder)
        disk.plug()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"NOT SHOWN HERE: no loop-mounted ext4 in this place: {error}")
    try:
        yield disk
    finally:
        disk.unplug()


class Witness:
    """Writers, singles and batches, and what they were told before the power went."""

    def __init__(self, log: JetStreamLog) -> None:
        self.log, self.acknowledged, self.dark = log, list[str](), False

    async def write(self, name: str, crowd: int) -> None:
        subject, expect = f"evt.task.{name}", 0
        while not self.dark:
            drafts = [draft(subject, None if place else expect) for place in range(crowd)]
            try:
                expect = (await self.log.append(drafts))[-1]
            except WitanError:
                return
            if not self.dark:
                self.acknowledged += [each.id for each in drafts]


async def until_the_cut(server: Server, disk: Disk, name: str) -> list[str]:
    async with a_connection(server.url) as connection:
        witness = Witness(JetStreamLog(connection, staging=server.staging))
        writers = [asyncio.create_task(witness.write(f"{name}-{place}", (1, 5, 14)[place % 3])) for place in range(6)]
        await until(lambda: len(witness.acknowledged) > 500)
        disk.cut()
        witness.dark = True
        for writer in writers:
            writer.cancel()
        await asyncio.wait(writers)
        return witness.acknowledged


async def found(folder: Path) -> set[str]:
    """What a server finds that starts on the disk as the cut has left it."""
    async with a_server(folder) as server, a_connection(server.url) as connection:
        return {id_of(record) for record in await everything(JetStreamLog(connection))}


async def gone_with_the_power(server: Server) -> None:
    """Nothing of it is left, and nothing that it would have liked to tidy up is tidied up."""
    lock, pid = server._lock, server.pid
    if server._watch is not None:
        server._watch.cancel()
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        await server.stop()
    shutil.rmtree(server.staging.place, ignore_errors=True)  # memory forgets everything
    if lock is not None:
        lock.close()


async def one_cut(disk: Disk, number: int) -> list[str]:
    """The commits that were acknowledged and are gone."""
    server = Server(disk.mount / "nats")
    await server.start()
    try:
        async with a_connection(server.url) as connection:
            await topology.ensure(connection)
        run("sync")
        acknowledged = await until_the_cut(server, disk, f"cut{number}")
    finally:
        await gone_with_the_power(server)
    disk.unplug()
    disk.plug()
    there = await found(disk.mount / "nats")
    return [id for id in acknowledged if id not in there]


@pytest.mark.slow
def test_no_acknowledged_commit_is_lost_in_a_power_cut(tmp_path: Path) -> None:
    with a_disk(tmp_path) as disk:
        for number in range(CUTS):
            assert asyncio.run(one_cut(disk, number)) == []


@pytest.mark.slow
def test_a_server_that_syncs_later_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = server_conf._CONF.template.replace("sync_interval: always", 'sync_interval: "2m"')
    assert late != server_conf._CONF.template
    monkeypatch.setattr(server_conf, "_CONF", Template(late))
    with a_disk(tmp_path) as disk:
        assert asyncio.run(one_cut(disk, 0)) != []
