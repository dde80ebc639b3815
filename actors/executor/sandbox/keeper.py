"""A keeper: the process that starts one command, hears it out, and outlives everything that it started."""

import json
import os
import select
import signal
import socket
import time
from contextlib import suppress

from actors.executor.sandbox import confine, kernel, sweep
from actors.executor.sandbox.attributes import Asked
from actors.executor.sandbox.orders import Order
from actors.executor.sandbox.output import Kept

PIECE_BYTES = 32 * 1024
"""Small enough that some of them fit between a keeper and a daemon that is busy."""
SAID, SILENT, HEAD, TAIL, ENDED = b"o", b"s", b"h", b"t", b"e"
GONE = "gone"
LOST = 1
LOST_SANDBOX = "lost sandbox"


class Keeper:
    """One order from its start to its end."""

    def __init__(self, order: Order, walls: confine.Walls, line: socket.socket, warden: int) -> None:
        self.order, self.walls, self.line, self.warden = order, walls, line, warden
        self.rooms = confine.rooms(walls)
        self.kept, self.sent = Kept(order.output_max_bytes), 0
        self.main, self.why = 0, ""
        self.exit: int | None = None
        self.started_s = self.heard_s = time.monotonic()
        self.warned = False
        self.out = self.listener = self.status = -1
        self.told = b""

    def run(self, wake: int) -> int:
        """The keeper's whole life; the answer is its exit status."""
        self.wake = wake
        kernel.prctl(kernel.SUBREAPER, 1)
        self.line.setblocking(False)
        self.out, ending = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(ending, True)
        begun = self._start(ending)
        os.close(ending)
        if begun:
            self._watch()
        else:
            self.why = LOST_SANDBOX
        swept = sweep.sweep(self._reap, self.wake, {self.main, *self._inner()})
        if self.why == GONE:
            return LOST
        self._hear_all()
        return self._tell(len(swept))

    def _start(self, ending: int) -> bool:
        """Whether the command was reached; if not, its output says why."""
        told, tells = socket.socketpair()
        self.status, status = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        keeper = os.getpid()
        self.main = os.fork()
        if self.main == 0:
            _begin(self, keeper, ending, tells, status)
        tells.close()
        os.close(status)
        words, listeners, _, _ = socket.recv_fds(told, 16, 1)
        if listeners:
            self.listener = listeners[0]
            os.set_inheritable(self.listener, False)
            words += told.recv(16)
        told.close()
        return b"!" not in words

    def _watch(self) -> None:
        """Until the command has ended, or has to."""
        poll = select.poll()
        for each in (self.line.fileno(), self.warden, self.out, self.wake, self.listener):
            if each >= 0:
                poll.register(each, select.POLLIN)
        while not self.why:
            for file, event in poll.poll(max(0.0, self._next_s() - time.monotonic()) * 1000 + 1):
                if file == self.out:
                    if not self._hear():
                        poll.unregister(file)
                elif file == self.listener:
                    if not event & select.POLLIN:
                        poll.unregister(file)
                    else:
                        self._answer()
                else:
                    self._heed(file)
            self._look_at_the_clock()

    def _heed(self, file: int) -> None:
        if file == self.wake:
            os.read(self.wake, 4096)
            self._reap()
        elif file == self.warden:
            self.why = self.why or GONE
        else:
            try:
                self.why = self.why or self.line.recv(64).decode() or GONE
            except ConnectionError:
                self.why = GONE

    def _answer(self) -> None:
        try:
            asked = Asked(self.listener)
        except OSError:
            return  # Who asked was killed meanwhile.
        asked.answer(self.rooms)

    def _next_s(self) -> float:
        silence = self.order.kill_s if self.warned else min(self.order.warn_s, self.order.kill_s)
        return min(self.heard_s + silence, self.started_s + self.order.cap_s)

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        silent_s = now - self.heard_s
        if self.why:
            return
        if now - self.started_s >= self.order.cap_s:
            self.why = "cap"
        elif silent_s >= self.order.kill_s:
            self.why = "silence"
        elif silent_s >= self.order.warn_s and not self.warned:
            self.warned = True
            self._send(SILENT + b"%.3f" % silent_s)

    def _hear(self) -> bool:
        """Take what the command said; whether more can come."""
        try:
            piece = os.read(self.out, PIECE_BYTES)
        except BlockingIOError:
            return True
        self.heard_s, self.warned = time.monotonic(), False
        self.kept.add(piece)
        if piece and self.sent < self.order.output_max_bytes and self._send(SAID + piece):
            self.sent += len(piece)
        return bool(piece)

    def _hear_all(self) -> None:
        """What still stands in the pipe. Who wrote it is dead, so this ends; a stranger's writing does not keep us."""
        size = self.kept.bytes + (1 << 20)
        last = -1
        while last != self.kept.bytes < size:
            last = self.kept.bytes
            self._hear()

    def _send(self, frame: bytes) -> bool:
        """To a daemon that may be busy: what it has no room for is left out, nothing waits."""
        try:
            self.line.send(frame)
        except OSError:
            return False
        return True

    def _reap(self) -> bool:
        """Take leave of who has ended; whether anybody is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.main:
                self.exit = os.waitstatus_to_exitcode(status)
                self.why = self.why or "exit"

    def _said_by_bubblewrap(self) -> bytes:
        try:
            return os.read(self.status, 65536)
        except BlockingIOError:
            return b""

    def _inner(self) -> set[int]:
        """Bubblewrap's own process inside, which is nobody's leftover."""
        if self.walls.level != "A":
            return set()
        self.told = self._said_by_bubblewrap()
        return {child for line in self.told.splitlines() if (child := json.loads(line).get("child-pid"))}

    def _tell(self, swept: int) -> int:
        """The terminal frames. Everything is dead by now, so they may wait for a daemon that is busy."""
        if self.walls.level == "A" and self.why in ("exit", LOST_SANDBOX):
            self.why = "exit" if confine.began(self.told + self._said_by_bubblewrap()) else LOST_SANDBOX
            if self.exit is not None and 128 < self.exit < 128 + signal.NSIG:
                self.exit = 128 - self.exit
        end = {
            "ended_by": self.why,
            "exit": self.exit if self.why == "exit" else None,
            "ms": round((time.monotonic() - self.started_s) * 1000, 3),
            "bytes": self.kept.bytes,
            "swept": swept,
        }
        self.line.setblocking(True)
        try:
            for kind, whole in ((HEAD, bytes(self.kept.head)), (TAIL, self.kept.tail)):
                for start in range(0, len(whole), PIECE_BYTES):
                    self.line.send(kind + whole[start : start + PIECE_BYTES])
            self.line.send(ENDED + json.dumps(end).encode())
        except OSError:
            return LOST
        return 0


def _begin(keeper: Keeper, parent: int, ending: int, tells: socket.socket, status: int) -> None:
    """In the command's process; it never comes back."""
    try:
        os.setsid()
        kernel.prctl(kernel.DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(LOST)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(ending, 1)
        os.dup2(ending, 2)
        os.umask(0o022)
        for each in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT, signal.SIGHUP, signal.SIGXFSZ):
            signal.signal(each, signal.SIG_DFL)
        command = keeper.order.command
        # A first word that looks like an option would be one.
        argv = [confine.shell(), "-c", f" {command}" if command[:1] in ("-", "+") else command]
        confine.enter(keeper.walls, argv, keeper.order.env, tells, status)
    except BaseException as fault:
        os.write(2, f"witan: the sandbox was not entered: {fault}\n".encode(errors="replace"))
        with suppress(OSError):
            tells.send(b"!")
    finally:
        os._exit(126)
