"""The warden: one small process that forks a keeper for every order, and buries what a killed keeper leaves.

It imports nothing but the standard library and its neighbours, so it starts in a moment and forks in another.
"""

import fcntl
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress

from actors.executor.sandbox import confine, kernel, sweep
from actors.executor.sandbox.keeper import LOST, Keeper
from actors.executor.sandbox.orders import Order

RUN, READY, GONE, FAILED = b"+", b"r", b"g", b"f"
KILL_S = 10.0


class Warden:
    """Who is whose keeper."""

    def __init__(self, control: socket.socket, mark: int) -> None:
        self.control, self.mark = control, mark
        self.keepers: dict[int, str] = {}
        self.overdue_s: dict[int, float] = {}
        """When a keeper must have ended by itself; one that hangs is ended, and its order is lost."""
        self.leaves, self.lives = os.pipe()
        self.wake = _wake()

    def work(self) -> None:
        """Until the daemon is gone, and then until every keeper is."""
        poll = select.poll()
        poll.register(self.control.fileno(), select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        while True:
            next_s = min(self.overdue_s.values(), default=0.0)
            for file, _ in poll.poll(max(0.0, next_s - time.monotonic()) * 1000 + 1 if next_s else None):
                if file == self.wake:
                    os.read(self.wake, 4096)
                    self._bury(self._reap())
                elif not self._obey():
                    return self._leave()
            self._end_overdue()

    def _end_overdue(self) -> None:
        now_s = time.monotonic()
        for pid in [pid for pid, until_s in self.overdue_s.items() if now_s >= until_s]:
            del self.overdue_s[pid]
            os.kill(pid, signal.SIGKILL)

    def _obey(self) -> bool:
        """Take one order; whether there may be more."""
        try:
            words, files, _, _ = socket.recv_fds(self.control, 4096, 2)
        except ConnectionError:
            return False
        if words.startswith(RUN) and len(files) == 2:
            within_s, _, name = words[1:].decode().partition(" ")
            if pid := self._fork(name, *files):
                self.overdue_s[pid] = time.monotonic() + float(within_s)
        return bool(words)

    def _fork(self, name: str, line: int, order: int) -> int:
        pid = 0
        try:
            pid = os.fork()
            if pid == 0:
                self._keep(name, line, order)
            self.keepers[pid] = name
        except OSError:
            self._send(GONE + name.encode())
        os.close(line)
        os.close(order)
        return pid

    def _keep(self, name: str, line: int, order: int) -> None:
        """In the keeper's process; it never comes back."""
        status = LOST
        try:
            self.control.close()
            os.close(self.lives)
            with open(order, "rb") as file:
                told = json.loads(file.read())
            asked = Order(**told["order"])
            asked.env[sweep.MARK] = f"{self.mark:x}:{name}"
            around = confine.walls(asked, told["level"], told["bwrap"])
            status = Keeper(asked, around, socket.socket(fileno=line), self.leaves).run(_wake())
        except Exception:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)

    def _reap(self) -> list[str]:
        """Take leave of who has ended; the answer is the orders whose keepers ended without a word."""
        lost: list[str] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return lost
            if pid == 0:
                return lost
            name = self.keepers.pop(pid, None)
            self.overdue_s.pop(pid, None)
            if name is not None and status == 0:
                self._send(GONE + name.encode())
            elif name is not None:
                lost.append(name)

    def _bury(self, lost: list[str]) -> None:
        """Orphans of a killed keeper are ours by then; only when none is left the order is told lost."""
        empty, pause_s = 0, 0.001
        while lost and empty < 2:
            found = sweep.descendants(os.getpid(), self.keepers)
            empty = 0 if found else empty + 1
            if found:
                sweep.kill([task for task in found if not task.ended], os.getpgrp())
                pause_s = sweep.wait(self.wake, pause_s)
                lost += self._reap()
        for name in lost:
            self._send(GONE + name.encode())

    def _leave(self) -> None:
        os.close(self.lives)
        while self.keepers:
            select.select([self.wake], [], [])
            os.read(self.wake, 4096)
            self._reap()
        sweep.sweep(self._has_children, self.wake)

    def _has_children(self) -> bool:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return False
        return True

    def _send(self, words: bytes) -> None:
        with suppress(OSError):
            self.control.send(words)


def _wake() -> int:
    """A file that can be read when a child has ended."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return read


def _alone(folder: str, mark: int, patience_s: float) -> int:
    """Hold the lock that every keeper of an earlier life held; the answer is how many of that life had to be killed."""
    lock = os.open(os.path.join(folder, "warden.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    signal.signal(signal.SIGALRM, _too_late)
    killed = 0
    try:
        _lock(lock, patience_s)
    except TimeoutError:
        killed = sweep.kill_marked(mark, KILL_S)
        _lock(lock, patience_s)
    return killed + sweep.kill_marked(mark, KILL_S)


def _lock(lock: int, patience_s: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, patience_s)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _too_late(*_: object) -> None:
    raise TimeoutError("the lock of an earlier warden is still held")


def main(control: int, folder: str, mark: int, patience_s: float) -> None:
    """The process, from its start to its end."""
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    line = socket.socket(fileno=control)
    line.set_inheritable(False)
    os.chdir("/")
    kernel.prctl(kernel.SUBREAPER, 1)
    try:
        killed = _alone(folder, mark, patience_s)
    except OSError as fault:
        line.send(FAILED + str(fault).encode())
        return
    sweep.put_mark(mark)
    gc.freeze()
    gc.disable()
    with suppress(BrokenPipeError):  # The daemon may be gone again.
        line.send(READY + b"%d" % killed)
        Warden(line, mark).work()
