"""The nats-server that Witan brings with it: started, watched, started again when it dies, and stopped."""

import asyncio
import logging
import os
import secrets
import sys
import time
from pathlib import Path
from typing import TextIO

from bus.errors import Missing, Unavailable
from bus.server_conf import Ports, password_of, ports_of, write_conf, write_private
from bus.server_process import end, end_leftover, find_binary, last_words, only_one
from bus.staging import Staging

READY_S = 120.0
STEADY_S = 30.0
BACK_OFF_S = (0.05, 5.0)
MEMORY = {"GOGC": "100"}
"""How much rubbish the server lets lie. With each sweep it also lets go of what it has read: at 60 an entity took
twice as long to load, at 200 a million events came to a gigabyte. A GOMEMLIMIT is a cliff: behind it writing took
thrice as long."""

_log = logging.getLogger(__name__)

_DIE_WITH_PARENT = """
import os, sys
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, 15)
except (ImportError, OSError, AttributeError):
    pass
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""Linux tells the server to stop when the thread that started it ends, however it ends; it stays the same process."""


class Server:
    """One server on one folder. Start it in the loop that lives as long as the server should."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder.resolve()
        self.restarts = 0
        self.staging = Staging(self.folder)
        self._wanted = port
        self._ports = Ports(0, 0)
        self._name = ""
        self._lock: TextIO | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where the operator connects; holds the password."""
        return f"nats://operator:{password_of(self.folder)}@127.0.0.1:{self._ports.client}"

    @property
    def teller_url(self) -> str:
        """Where the one connects who answers questions; it can write nothing but answers."""
        return self.url.replace("//operator:", "//teller:")

    @property
    def public_url(self) -> str:
        """Where anybody connects."""
        return f"nats://127.0.0.1:{self._ports.client}"

    @property
    def monitor_url(self) -> str:
        """Where the server tells about itself."""
        return f"http://127.0.0.1:{self._ports.monitor}"

    @property
    def pid(self) -> int:
        """The server's process; 0 when there is none."""
        return self._child.pid if self._child and self._child.returncode is None else 0

    def hold(self) -> None:
        """Take the folder, or be refused: nobody else's server works on it from then on."""
        if self._lock is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = only_one(self.folder)

    async def start(self) -> None:
        """Come up with what the folder holds, on the ports it had before."""
        self.hold()
        try:
            await end_leftover(self.folder)
            self._ports = ports_of(self.folder, self._wanted)
            self._name = f"witan-{secrets.token_hex(4)}"
            write_conf(self.folder, self._name, self._ports)
            await self._launch()
        except BaseException:
            await self.stop()
            raise
        self._watch = asyncio.create_task(self._keep_up(), name="nats-server")

    async def stop(self) -> None:
        """End the server and do not start it again."""
        if self._watch:
            self._watch.cancel()
            await asyncio.wait([self._watch])
            self._watch = None
        if self._child:
            await end(self._child)
            (self.folder / "nats.pid").unlink(missing_ok=True)
            self.staging.end()
        if self._lock:
            self._lock.close()
            self._lock = None

    async def _launch(self) -> None:
        command = [str(find_binary()), "-c", str(self.folder / "nats.conf")]
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
        with open(self.folder / "nats.log", "ab") as said:
            self._child = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={**MEMORY, **os.environ},
                start_new_session=True,
            )
        write_private(self.folder / "nats.pid", str(self._child.pid))
        await self._until_ready(self._child)
        await self.staging.begin()

    async def _until_ready(self, child: asyncio.subprocess.Process) -> None:
        exit_code = asyncio.ensure_future(child.wait())
        until = time.monotonic() + READY_S
        while not exit_code.done() and time.monotonic() < until:
            if await _answers(self._ports.client, self._name):
                exit_code.cancel()
                return
            await asyncio.wait([exit_code], timeout=0.005)
        how = f"ended with {exit_code.result()}" if exit_code.done() else f"did not answer in {READY_S:.0f} s"
        exit_code.cancel()
        await end(child)
        raise Unavailable(f"nats-server {how}: {last_words(self.folder)}", f"Read {self.folder / 'nats.log'}.")

    async def _keep_up(self) -> None:
        pause, begun = BACK_OFF_S[0], time.monotonic()
        while self._child:
            code = await self._child.wait()
            if time.monotonic() - begun > STEADY_S:
                pause = BACK_OFF_S[0]
            _log.warning("nats-server ended with %s, starting it again in %.2f s", code, pause)
            await asyncio.sleep(pause)
            pause, begun = min(2 * pause, BACK_OFF_S[1]), time.monotonic()
            self.restarts += 1
            try:
                await self._launch()
            except (Unavailable, Missing, OSError) as error:
                _log.error("%s", error)


async def _answers(port: int, name: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        return f'"server_name":"{name}"'.encode() in await asyncio.wait_for(reader.readline(), 1)
    except (OSError, TimeoutError, ValueError):
        return False
    finally:
        writer.close()
