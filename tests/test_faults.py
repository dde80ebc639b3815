"""Kills at random moments: of the daemon and of its server, while pipelines run. Everything ends, nothing twice."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bus.commands import request
from bus.connection import Connection, connect
from bus.envelope import Record
from bus.errors import Unavailable
from bus.jetstream import JetStreamLog
from bus.log import replay
from projections.rebuild import verify
from tests import checkers

ROOT = Path(__file__).parents[1]
SCRIPT = """
name = "brief"
about = "Short delays, one failure: there is something to interrupt."

[[replies]]
phase = "implement"
name = "code"
type = "code"
delay_s = 0.05
fails_first = 1
content = "x"

[[replies]]
phase = "any"
name = "notes"
type = "artifact"
delay_s = 0.05
content = "{phase} of {task}"
"""


class Daemon:
    """A real `witan up` in a folder, started, killed and started again."""

    def __init__(self, folder: Path, pipelines: int) -> None:
        self.folder, self.pipelines = folder, pipelines
        (folder / "brief.toml").write_text(SCRIPT)
        settings = f'script = "{folder / "brief.toml"}"\npipelines = {pipelines}\nagent_capacity = {pipelines}\n'
        (folder / "witan.toml").write_text(settings + 'lease_s = 5.0\nlog_level = "error"\n')
        self.said = open(folder / "said", "ab")  # noqa: SIM115  closed by stop()
        self.process: subprocess.Popen[bytes] | None = None
        self.card: dict[str, str] = {}

    def _launch(self) -> None:
        (self.folder / ".witan" / "daemon.json").unlink(missing_ok=True)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WITAN_")}
        environment = {**clean, "PYTHONPATH": str(ROOT), "HOME": str(self.folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "up"], cwd=self.folder, env=environment, stderr=self.said
        )

    async def start(self) -> None:
        self._launch()
        while True:
            try:
                self.card = json.loads((self.folder / ".witan" / "daemon.json").read_text())
                return
            except (FileNotFoundError, json.JSONDecodeError):
                assert self.process and self.process.poll() is None, (self.folder / "said").read_text()
                await asyncio.sleep(0.01)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def kill_server(self) -> None:
        os.kill(int((self.folder / ".witan" / "nats" / "nats.pid").read_text()), signal.SIGKILL)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        self.said.close()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        connection = await connect(self.card["url"])
        try:
            yield connection
        finally:
            await connection.close()

    async def grown_by(self, count: int) -> bool:
        """Wait until the log has so many more commits. False: it stands still, so there is nothing left to do."""
        async with self.connected() as connection:
            log = JetStreamLog(connection)
            start = await _head(log)
            for _ in range(400):
                if await _head(log) >= start + count:
                    return True
                await asyncio.sleep(0.01)
        return False


async def _head(log: JetStreamLog) -> int:
    try:
        return await log.head()
    except Unavailable:
        return 0


async def _submit(daemon: Daemon, number: int) -> None:
    body = json.dumps({"task": f"task {number}"}).encode()
    async with daemon.connected() as connection:
        answer = await request(connection, "orchestrator", "submit_task", body, f"submit-{number}", 20)
    assert answer["ok"], answer


async def _until_all_ended(daemon: Daemon, tasks: int) -> list[Record]:
    async with daemon.connected() as connection:
        log = JetStreamLog(connection)
        records: list[Record] = []
        for _ in range(600):
            async for batch in replay(log, after=records[-1].seq if records else 0):
                records += batch
            ended = sum(b'"TaskCompleted"' in record.body for record in records)
            if ended >= tasks:
                return records
            await asyncio.sleep(0.1)
    raise AssertionError(f"{ended} of {tasks} tasks ended: {checkers.unfinished(records)}")


async def _ordeal(folder: Path, tasks: int, kills: list[str], seed: int) -> None:
    daemon, dice = Daemon(folder, tasks), random.Random(seed)
    await daemon.start()
    try:
        for number in range(tasks):
            await _submit(daemon, number)
        hits = 0
        for victim in kills:
            busy = await daemon.grown_by(dice.randrange(1, 25))
            hits += busy
            if not busy:  # all is done: give it more to do, so that every kill interrupts something
                tasks += 1
                await _submit(daemon, tasks - 1)
            if victim == "daemon":
                daemon.kill()
                await daemon.start()
            else:
                daemon.kill_server()
        assert hits, "no kill came while there was work"
        records = await _until_all_ended(daemon, tasks)
        assert checkers.everything_wrong(records, limit=10_000) == []
        assert sum(b'"TaskSubmitted"' in record.body for record in records) == tasks
        await live_is_rebuilt(daemon)
    finally:
        daemon.stop()


async def live_is_rebuilt(daemon: Daemon) -> None:
    """P8: what the daemon's tables say is what the log says."""
    async with daemon.connected() as connection:
        log = JetStreamLog(connection)
        while True:
            reply = await connection.request("ask.log", b"", timeout_s=10)
            if json.loads(reply.body)["seq"] >= await log.head():
                break
        copy = json.loads((await connection.request("ask.snapshot", b"", timeout_s=30)).body)
        verdict = await verify(log, Path(copy["path"]))
    assert verdict.same, verdict


def test_a_few_kills_of_daemon_and_server_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    kills = ["daemon", "server", "daemon"]
    asyncio.run(asyncio.wait_for(_ordeal(tmp_path, 4, kills, seed=1), 100))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thirty_kills_of_the_daemon_and_ten_of_the_server_while_twenty_pipelines_run(tmp_path: Path) -> None:
    kills = ["daemon"] * 30 + ["server"] * 10
    random.Random(7).shuffle(kills)
    asyncio.run(asyncio.wait_for(_ordeal(tmp_path, 20, kills, seed=2), 800))
