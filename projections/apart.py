"""The tables in a process of their own: started, told where the log is, started again when it dies, and ended.

Following the log costs as much processor time as deciding on it. In the daemon's process both would take turns at one
lock, and every decision would wait for it. See `ops/decisions/0009-the-tables-live-apart.md`.
"""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence

import msgspec
import structlog

from bus.errors import Unavailable

END = b"end\n"
READY_S = 120.0
CLOSE_S = 15.0
PAUSE_FIRST_S, PAUSE_MAX_S = 0.05, 5.0
CALM_S = 10.0
"""A process that lived this long begins with the shortest pause again."""


class Where(msgspec.Struct):
    """Where the log is, for one who reads it and for one who answers."""

    url: str
    teller_url: str


class Told(msgspec.Struct):
    """What the process says once: that it answers questions, or why it never will."""

    ok: bool
    message: str = ""
    hint: str = ""


class Tables:
    """One process at a time. It may start before there is a server: what it imports takes a while.

    `words` stand behind the name of our Python.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.restarts = 0
        self._words = words
        self._where: Where | None = None
        self._child: Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._note = structlog.get_logger().bind(actor="tables")

    @property
    def pid(self) -> int:
        """The process; 0 when there is none."""
        return self._child.pid if self._child and self._child.returncode is None else 0

    async def start(self) -> None:
        """Start the process. However we end, what it hears from us ends too, and that is its own end."""
        self._child = await asyncio.create_subprocess_exec(
            sys.executable, *self._words, stdin=PIPE, stdout=PIPE, start_new_session=True
        )

    async def open(self, where: Where) -> None:
        """Follow the log there; questions are answered when this returns."""
        self._where = where
        await self._until_ready()
        self._watch = asyncio.create_task(self._keep_up(), name="tables")

    async def close(self) -> None:
        """End the process and do not start it again."""
        if self._watch:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        try:
            if child.returncode is None and not child.stdin.is_closing():
                child.stdin.write(END)
            await asyncio.wait_for(child.wait(), CLOSE_S)
        except TimeoutError:
            child.kill()
            await child.wait()

    async def _until_ready(self) -> None:
        child = self._child
        assert child is not None and child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(msgspec.json.encode(self._where) + b"\n")
            said = await asyncio.wait_for(child.stdout.readline(), READY_S)
            told = msgspec.json.decode(said, type=Told)
        except (TimeoutError, msgspec.MsgspecError, RuntimeError):  # RuntimeError: it has ended, says uvloop
            if child.returncode is None:
                child.kill()
            raise Unavailable("the tables did not come up", "Read the daemon's log.") from None
        if not told.ok:
            raise Unavailable(told.message, told.hint)

    async def _keep_up(self) -> None:
        pause, begun = PAUSE_FIRST_S, time.monotonic()
        while self._child:
            code = await self._child.wait()
            if time.monotonic() - begun > CALM_S:
                pause = PAUSE_FIRST_S
            self._note.warning("the tables ended and will be started again", code=code, pause_s=pause)
            await asyncio.sleep(pause)
            pause, begun = min(2 * pause, PAUSE_MAX_S), time.monotonic()
            self.restarts += 1
            try:
                await self.start()
                await self._until_ready()
            except (Unavailable, OSError) as error:
                self._note.error("the tables did not come up", why=str(error))
