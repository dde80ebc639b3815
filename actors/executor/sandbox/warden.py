"""The daemon's side of the warden: starts it, hands it orders, hears how they end, and knows when all is gone."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

from actors.executor.sandbox.orders import Ended, Level, Order
from bus.errors import Invalid, Refused, Unavailable

RUN, READY, GONE, FAILED = b"+", b"r", b"g", b"f"
SAID, SILENT, HEAD, TAIL, ENDED = b"o", b"s", b"h", b"t", b"e"
FRAME_BYTES = 64 * 1024
OPEN_S, CLOSE_S = 30.0, 10.0

_HOUSE = str(Path(__file__).parents[3])
_START = (
    "import sys; sys.path.append(sys.argv[1]); from actors.executor.sandbox.warden_process import main; "
    "main(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))"
)
_LOST = "Every process that it started is gone. Look at what it changed before it is run again."

Said = Callable[[bytes], None]
Silent = Callable[[float], None]


class _Line:
    """What one order is connected by, and when nothing of it is left."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.setblocking(False)
        self.gone: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()

    def is_gone(self) -> None:
        if not self.gone.done():
            self.gone.set_result(None)


class Warden:
    """Runs commands at one level of confinement; `level` may be set later, and without one nothing is run.

    `patience_s`: so long the keepers of an earlier life may take to end by themselves.
    `grace_s`: so long after an order's cap the warden ends a keeper that has not ended it.
    """

    def __init__(
        self, folder: Path, level: Level | None = None, patience_s: float = 5.0, grace_s: float = 60.0
    ) -> None:
        self.folder, self.level, self.patience_s, self.grace_s = folder, level, patience_s, grace_s
        self.bwrap = shutil.which("bwrap") or ""
        self.pid = 0
        self._lines: dict[str, _Line] = {}
        self._up = asyncio.Event()
        self._closing = False
        self._broken: Unavailable | None = None
        self._life: asyncio.Task[None] | None = None

    async def open(self) -> int:
        """Start; nothing of an earlier life runs afterwards. The answer is how many processes had to be killed."""
        if sys.platform != "linux":
            raise Refused("commands are only run on Linux", "Run the daemon on Linux, or in a container.")
        self.folder.mkdir(parents=True, exist_ok=True)
        killed = await self._start()
        self._life = asyncio.get_running_loop().create_task(self._live())
        return killed

    async def run(self, order: Order, said: Said, silent: Silent, level: Level | None = None) -> Ended:
        """Run a command to its end. Unavailable: nobody knows how it ended, and nothing of it is left."""
        level = level or self.level
        if level is None:
            raise Refused("nothing here can hold a command in", "Install bubblewrap, or waive the sandbox on record.")
        if order.id in self._lines:
            raise Refused(f"{order.id} is already running", "Wait for its end, or stop it.")
        if len(order.id) > 1000 or "\0" in order.command + order.cwd:
            raise Invalid("an order has a short id, and no NUL in its command")
        line = self._lines[order.id] = _Line(asyncio.get_running_loop())
        try:
            await self._up.wait()
            if self._broken is None:
                await self._hand_over(order, line, level)
                if ended := await _hear(line.ours, said, silent):
                    return ended
                await line.gone
            raise self._broken or Unavailable(f"the keeper of {order.id} ended without a word", _LOST)
        finally:
            del self._lines[order.id]
            line.done.set_result(None)
            line.ours.close()
            line.theirs.close()

    def stop(self, id: str, why: str) -> None:
        """End a command: `why` is `cancel` or `freeze`. Its run answers when nothing of it is left."""
        if line := self._lines.get(id):
            with contextlib.suppress(OSError):
                line.ours.send(why.encode())

    def running(self) -> set[str]:
        return set(self._lines)

    async def close(self) -> None:
        """End every command and the warden."""
        self._closing = True
        for id in self.running():
            self.stop(id, "cancel")
        if lines := [line.done for line in self._lines.values()]:
            await asyncio.wait(lines, timeout=CLOSE_S)
        if self._life:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
            self._control.close()
            await asyncio.wait_for(self._process.wait(), CLOSE_S)

    async def _start(self) -> int:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        words = [sys.executable, "-I", "-S", "-c", _START, _HOUSE, str(theirs.fileno()), str(self.folder)]
        env = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            *words, str(mark(self.folder)), str(self.patience_s), env=env, pass_fds=[theirs.fileno()],
            start_new_session=True, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        answer = b""
        try:
            with contextlib.suppress(TimeoutError):
                answer = await asyncio.wait_for(_receive(ours), OPEN_S)
        finally:
            if not answer.startswith(READY):
                ours.close()
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if not answer.startswith(READY):
            reason = answer[1:].decode(errors="replace") or "it does not answer"
            raise Unavailable(f"the warden did not start: {reason}", "End those processes, then start again.")
        self._control, self._process, self.pid = ours, process, process.pid
        self._up.set()
        return int(answer[1:])

    async def _live(self) -> None:
        """Hear what the warden says; when it dies, start another, which proves that nothing is left of the first."""
        while True:
            while words := await _receive(self._control):
                if words.startswith(GONE) and (line := self._lines.get(words[1:].decode())):
                    line.is_gone()
            self._up.clear()
            orphaned = list(self._lines.values())
            await self._process.wait()
            self._control.close()
            try:
                await self._start()
            except Unavailable as error:
                self._broken = error
                self._up.set()
            for line in orphaned:
                line.is_gone()
            if self._broken:
                return

    async def _hand_over(self, order: Order, line: _Line, level: Level) -> None:
        told = {"order": order._asdict(), "level": level, "bwrap": self.bwrap}
        text = os.memfd_create("order")
        try:
            with open(text, "wb", closefd=False) as file:
                file.write(json.dumps(told).encode())
            os.lseek(text, 0, os.SEEK_SET)
            await self._send(RUN + f"{order.cap_s + self.grace_s} {order.id}".encode(), [line.theirs.fileno(), text])
        finally:
            os.close(text)
            line.theirs.close()

    async def _send(self, words: bytes, files: list[int]) -> None:
        loop, control = asyncio.get_running_loop(), self._control
        while True:
            try:
                socket.send_fds(control, [words], files)
                return
            except BlockingIOError:
                room = asyncio.Event()
                loop.add_writer(control, room.set)
                try:
                    await room.wait()
                finally:
                    loop.remove_writer(control)
            except OSError:
                return  # The warden is dead; its successor says when nothing is left.


def mark(folder: Path) -> int:
    """What all processes of this folder's wardens carry, in this life and the next."""
    place = folder.resolve()
    found = place.stat()
    words = f"{place}:{found.st_dev}:{found.st_ino}".encode(errors="surrogateescape")
    return int.from_bytes(blake2b(words, digest_size=8).digest()) >> 2


async def _receive(line: socket.socket) -> bytes:
    """The next packet; nothing when there will be none."""
    while True:
        try:
            return await asyncio.get_running_loop().sock_recv(line, FRAME_BYTES)
        except ConnectionResetError:
            continue  # It ended with a word of ours unread. That is told first, and what it had said comes after it.


async def _hear(line: socket.socket, said: Said, silent: Silent) -> Ended | None:
    """What a keeper says until the end; None: it ended without a word."""
    parts: dict[bytes, bytearray] = {HEAD: bytearray(), TAIL: bytearray()}
    while frame := await _receive(line):
        kind, rest = frame[:1], frame[1:]
        if kind == SAID:
            said(rest)
        elif kind == SILENT:
            silent(float(rest))
        elif kind == ENDED:
            return Ended(**json.loads(rest), head=bytes(parts[HEAD]), tail=bytes(parts[TAIL]))
        else:
            parts[kind] += rest
    return None
