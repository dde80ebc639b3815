"""The tables live in a process of their own: it answers, comes back when it dies, and never outlives its daemon."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest

from cli.app import App
from cli.config import Settings

PATIENCE_S = 60.0


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = App(Settings(state_dir=tmp_path, script="instant", log_level="error")).open()
    yield app
    app.close()


def asked(app: App, view: str) -> dict[str, Any]:
    """The answer, as soon as somebody answers."""

    async def asking() -> dict[str, Any]:
        client = await nats.connect(app.public_url)
        try:
            until = time.monotonic() + PATIENCE_S
            while True:
                try:
                    told: dict[str, Any] = json.loads((await client.request(f"ask.{view}", b"", timeout=5)).data)
                    return told
                except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
                    assert time.monotonic() < until
        finally:
            await client.close()

    return asyncio.run(asking())


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_another_process_answers(app: App) -> None:
    assert asked(app, "counts")["ok"]
    assert app.tables_pid not in (0, os.getpid())


def test_tables_that_are_killed_come_back_and_know_what_they_knew(app: App) -> None:
    first, before = app.tables_pid, asked(app, "agents")
    os.kill(first, signal.SIGKILL)
    after = asked(app, "agents")
    assert (after["ok"], after["rows"][: len(before["rows"])]) == (True, before["rows"])
    assert app.tables_pid not in (0, first) and not is_there(first)


def test_closing_ends_the_process(tmp_path: Path) -> None:
    app = App(Settings(state_dir=tmp_path, script="instant", log_level="error")).open()
    pid = app.tables_pid
    app.close()
    assert not is_there(pid)


def test_a_daemon_that_is_killed_takes_its_tables_along_and_the_next_one_comes_up(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cli.main", "up"]
    environment = {**os.environ, "WITAN_STATE_DIR": str(tmp_path), "WITAN_SCRIPT": "instant"}
    for _ in range(2):
        daemon = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE_S
        while not (tmp_path / "daemon.json").exists():
            assert daemon.poll() is None and time.monotonic() < until
            time.sleep(0.01)
        mine = [pid for pid in all_pids() if "cli.tables" in (words := words_of(pid)) and str(tmp_path) in words]
        daemon.kill()
        daemon.wait()
        (tmp_path / "daemon.json").unlink()
        assert len(mine) == 1
        while is_there(mine[0]):
            assert time.monotonic() < until
            time.sleep(0.01)


def all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def words_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
