"""Ground for tests of the sandbox and the warden: a warden, a workspace, and an outside that must stay as it is."""

import asyncio
import ctypes
import os
import secrets
import select
import socket
import stat
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from actors.executor.sandbox import confine, landlock
from actors.executor.sandbox.orders import Ended, Level, Order
from actors.executor.sandbox.sweep import MARK, marked, tasks
from actors.executor.sandbox.warden import Warden, mark

T = TypeVar("T")
PYTHON = str(Path(sys.executable).resolve())
LIBC = ctypes.CDLL(None, use_errno=True)
SHARED_KEY_BYTES = 4096


class Ground:
    """A warden and a loop of its own, for many commands one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = asyncio.Runner()
        self.warden = Warden(folder / "state" / "execs")
        self.left = self.do(self.warden.open())
        self.count = 0

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def close(self) -> None:
        self.do(self.warden.close())
        self.runner.close()

    def order(self, command: str, **changes: Any) -> Order:
        """An order in a workspace of which everything may be written, if not said otherwise."""
        self.count += 1
        room, scratch = self.folder / "room", self.folder / "scratch"
        room.mkdir(exist_ok=True)
        scratch.mkdir(exist_ok=True)
        env = {"PATH": "/usr/bin:/bin", "HOME": str(scratch), "TMPDIR": str(scratch), **changes.pop("env", {})}
        places = {"readable": [sys.base_prefix, PYTHON], "writable": [str(room)], "scratch": str(scratch), **changes}
        return Order(f"order-{self.count}", command, str(room), env, **places)

    def run(self, command: str, level: Level = "C", **changes: Any) -> Ended:
        return self.do(self.warden.run(self.order(command, **changes), ignore, ignore, level))

    def survivors(self) -> list[int]:
        return survivors(mark(self.warden.folder), self.warden.pid)


def ignore(_: object) -> None:
    pass


def survivors(of: int, warden: int) -> list[int]:
    """Every process that carries the mark, but the warden and the keepers, which say the last word and then end."""
    ours = _words(warden)
    alive = [task.pid for task in tasks() if not task.ended and marked(task.pid, of)]
    return [pid for pid in alive if _words(pid) not in (ours, b"")]


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def output(ended: Ended) -> str:
    return (ended.head + ended.tail).decode(errors="replace")


@contextmanager
def ground_in(folder: Path) -> Iterator[Ground]:
    ground = Ground(folder)
    try:
        yield ground
    finally:
        ground.close()


def levels(ground: Ground) -> dict[Level, bool]:
    """Which levels there are on this machine."""
    a = bool(ground.warden.bwrap) and confine.supported() and ground.run("true", "A").exit == 0
    return {"A": a, "B": confine.supported() and landlock.version() >= landlock.NEEDED, "C": True}


class Outside:
    """What is not the command's: files, sockets, a bystander. Everything here is watched."""

    def __init__(self, ground: Ground, stack: ExitStack) -> None:
        self.ground, self.canary = ground, secrets.token_hex(12)
        top = ground.folder
        self.out, self.room = top / "outside", top / "room"
        for folder in (self.out, self.room / "own", self.room / "fixed" / "deep", top / "scratch"):
            folder.mkdir(parents=True)
        (self.out / f"name-{self.canary}").write_text(self.canary)
        for place in (self.out / "secret", self.out / "victim", top / "state" / "secret"):
            place.write_text(self.canary)
        (self.room / "fixed" / "kept").write_text("kept")
        (self.room / "single").write_text("single")
        self.tcp, self.udp = _inet(socket.SOCK_STREAM), _inet(socket.SOCK_DGRAM)
        here = os.open(self.out, os.O_PATH)
        self.named = _unix(socket.SOCK_STREAM, f"/proc/self/fd/{here}/stream")
        self.datagrams = _unix(socket.SOCK_DGRAM, f"/proc/self/fd/{here}/datagrams")
        os.close(here)
        self.abstract = _unix(socket.SOCK_STREAM, f"\0{self.canary}")
        for line in self.lines:
            stack.enter_context(line)
        with (self.out / "secret").open() as file:
            self.bystander = subprocess.Popen(
                ["/bin/sleep", "1000"], stdin=file, cwd=self.out, env={"SECRET": self.canary}
            )  # fmt: skip
        stack.callback(self._end_bystander)
        self.shared = int(secrets.token_hex(3), 16)
        segment = LIBC.shmget(self.shared, SHARED_KEY_BYTES, 0o1600)
        stack.callback(self.clean)
        stack.callback(LIBC.shmctl, segment, 0, None)

    @property
    def lines(self) -> list[socket.socket]:
        return [self.tcp, self.udp, self.named, self.datagrams, self.abstract]

    def _end_bystander(self) -> None:
        self.bystander.kill()
        self.bystander.wait()

    def env(self) -> dict[str, str]:
        """Where everything is: a sandbox does not rest on that being a secret."""
        return {
            "OUT": str(self.out), "STATE": str(self.ground.folder / "state"), "PID": str(self.bystander.pid),
            "TCP": str(self.tcp.getsockname()[1]), "UDP": str(self.udp.getsockname()[1]), "PY": PYTHON,
            "NAME": self.canary[::-1], "SHARED": str(self.shared),
        }  # fmt: skip

    def attack(self, text: str, level: Level, python: bool, **changes: Any) -> str:
        """Carry it out; the answer is what it said."""
        (self.room / "own" / "attack").write_text(text)
        command = "$PY -I -S own/attack" if python else text
        parts = {"writable": [str(self.room / "own"), str(self.room / "single")], **changes}
        return output(self.ground.run(command, level, env=self.env(), kill_s=20.0, **parts))

    def bare(self, text: str, python: bool) -> str:
        """The same with nothing of ours around it."""
        command = "$PY -I -S own/attack" if python else text
        env = {"PATH": "/usr/bin:/bin", **self.env()}
        words = [confine.shell(), "-c", command]
        done = subprocess.run(words, cwd=self.room, env=env, capture_output=True, stdin=subprocess.DEVNULL)
        return (done.stdout + done.stderr).decode(errors="replace")

    def harm(self, said: str, before: dict[str, object]) -> list[str]:
        """Everything that shows that it got out."""
        found = ["it says so"] if "ESCAPED" in said or self.canary in said else []
        found += [f"{path} changed" for path, what in self.state().items() if before.get(path) != what]
        found += [f"{path} is gone" for path in before.keys() - self.state().keys()]
        found += [f"{line} was reached" for line in self.lines if select.select([line], [], [], 0)[0]]
        found += ["the bystander is dead"] if self.bystander.poll() is not None else []
        own = [path for path in self.room.rglob("*") if not path.is_symlink() and path.is_file()]
        return found + [f"{path} runs as its owner" for path in own if path.stat().st_mode & 0o6000]

    def state(self) -> dict[str, object]:
        """The world outside the command's own parts, as far as it is ours to look at."""
        places = [self.out, *self.out.rglob("*"), self.room, self.room / "fixed", *(self.room / "fixed").rglob("*")]
        looks: dict[str, object] = {str(path): _look(path) for path in [*places, *self._shared()] if path.exists()}
        return looks | {"in the workspace": sorted(os.listdir(self.room))}

    def _shared(self) -> list[Path]:
        """What a command could leave where everybody can write."""
        return [Path(folder, self.canary[::-1]) for folder in ("/dev/shm", "/tmp")]

    def clean(self) -> None:
        for path in self._shared():
            path.unlink(missing_ok=True)


def _look(path: Path) -> tuple[object, ...]:
    found = path.lstat()
    content = path.read_bytes() if stat.S_ISREG(found.st_mode) else b""
    return found.st_mode, found.st_mtime_ns, found.st_nlink, content, tuple(os.listxattr(path, follow_symlinks=False))


def _inet(kind: int) -> socket.socket:
    line = socket.socket(socket.AF_INET, kind)
    line.bind(("127.0.0.1", 0))
    if kind == socket.SOCK_STREAM:
        line.listen()
    return line


def _unix(kind: int, address: str) -> socket.socket:
    line = socket.socket(socket.AF_UNIX, kind)
    line.bind(address)
    if kind == socket.SOCK_STREAM:
        line.listen()
    return line


__all__ = ["MARK", "Ground", "Outside", "ground_in", "levels", "output", "survivors"]
