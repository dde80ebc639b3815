"""Witan as a person runs it: `witan up` in a process of its own, and what /proc says about it and its server."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

READY_S = 120.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Daemon(NamedTuple):
    """A running one."""

    process: "subprocess.Popen[bytes]"
    server_pid: int
    tables_pid: int
    url: str
    public_url: str
    ready_s: float

    @property
    def pids(self) -> tuple[int, int, int]:
        return self.process.pid, self.server_pid, self.tables_pid


def command(*words: str) -> list[str]:
    """`witan` as it is installed beside this Python, or from the checkout."""
    installed = Path(sys.executable).with_name("witan")
    return [str(installed), *words] if installed.exists() else [sys.executable, "-m", "cli.main", *words]


def environment(state: Path) -> dict[str, str]:
    """The settings of a daemon that is measured: quiet, and its agents never sleep."""
    own = {"WITAN_STATE_DIR": str(state), "WITAN_LOG_LEVEL": "error", "WITAN_SCRIPT": "instant"}
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**compiled, **own}  # its second start finds its modules compiled, as a user's does


@contextmanager
def running(state: Path) -> Iterator[Daemon]:
    """`witan up` on this state folder for the length of a block."""
    card = state / "daemon.json"
    card.unlink(missing_ok=True)
    began = time.perf_counter()
    process = subprocess.Popen(command("up"), env=environment(state))
    try:
        while not card.exists():
            if process.poll() is not None or time.perf_counter() - began > READY_S:
                raise RuntimeError(f"witan up did not come up on {state}: {process.poll()}")
            time.sleep(0.005)
        ready_s = time.perf_counter() - began
        told = json.loads(card.read_bytes())
        server_pid = int((state / "nats" / "nats.pid").read_text())
        yield Daemon(process, server_pid, _tables_of(process.pid), told["url"], told["public_url"], ready_s)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _tables_of(pid: int) -> int:
    """The one of its children that keeps the tables."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    children = [child for thread in threads for child in (thread / "children").read_text().split()]
    return next(int(child) for child in children if b"cli.tables" in Path(f"/proc/{child}/cmdline").read_bytes())


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def cpu_s(pid: int) -> float:
    """The processor time of all its threads so far."""
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / _TICKS_PER_S
