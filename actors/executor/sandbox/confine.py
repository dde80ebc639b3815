"""The sandbox of one command: what it may see and change, and how a process goes in for good."""

import array
import json
import os
import resource
import socket
import sys
from contextlib import suppress
from typing import NamedTuple

from actors.executor.sandbox import bubblewrap, kernel, landlock, seccomp
from actors.executor.sandbox.orders import Order

SYSTEM = "/usr /bin /sbin /lib /lib32 /lib64 /libx32 /nix/store /gnu/store"
SETTINGS = """
    alternatives ca-certificates ca-certificates.conf crypto-policies/back-ends fonts group host.conf hosts inputrc
    ld.so.cache ld.so.conf ld.so.conf.d locale.alias locale.conf localtime magic mime.types nsswitch.conf os-release
    passwd pki/ca-trust/extracted pki/tls/certs protocols resolv.conf services shells ssl/certs ssl/openssl.cnf
    terminfo timezone
"""
"""Of /etc, this and nothing else: there are secrets beside it that a daemon of root's could read."""
DEVICES = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom"))

FILES, TASKS, LARGEST_FILE_BYTES = 4096, 16384, 4 << 30


class Walls(NamedTuple):
    """What an order comes to on this machine now."""

    level: str
    bwrap: str
    cwd: str
    readable: list[str]
    writable: list[str]
    network: bool
    memory_max_bytes: int


def walls(order: Order, level: str, bwrap: str) -> Walls:
    """What an order may touch."""
    writable = _inside(order.cwd, [*order.writable, order.scratch])
    readable = _inside(order.cwd, [order.cwd, *order.readable])
    return Walls(level, bwrap, order.cwd, readable, writable, order.network, order.memory_max_bytes)


def _inside(cwd: str, paths: list[str]) -> list[str]:
    """A path of the workspace counts only if it really is in the workspace: an agent may have put a link there."""
    room, kept = os.path.realpath(cwd) + "/", dict[str, None]()
    for path in paths:
        path = os.path.normpath(path)
        ours = (path + "/").startswith((os.path.normpath(cwd) + "/", room))
        if not ours or (os.path.realpath(path) + "/").startswith(room):
            kept[path] = None
    return list(kept)


def rooms(around: Walls) -> list[str]:
    """Where the command may write, by real paths."""
    return [os.path.realpath(path) for path in around.writable if os.path.exists(path)]


def _shown() -> list[str]:
    return [path for path in [*SYSTEM.split(), *(f"/etc/{name}" for name in SETTINGS.split())] if os.path.lexists(path)]


def filter_of(around: Walls) -> bytes:
    """The filter of system calls. In a network namespace of its own a command may talk to itself."""
    families: tuple[int, ...] = (seccomp.INET, seccomp.INET6) if around.network else ()
    if around.level == "A" and not around.network:
        families = (seccomp.UNIX, seccomp.INET, seccomp.INET6)
    rules = seccomp.policy(families, around.level == "A", (os.getuid(), os.getgid()))
    return seccomp.program(kernel.MACHINE, rules)


def limit(around: Walls) -> None:
    """The limits that hold at every level."""
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_NPROC, TASKS),
        (resource.RLIMIT_FSIZE, LARGEST_FILE_BYTES),
        (resource.RLIMIT_DATA, around.memory_max_bytes),
    ):
        hard = resource.getrlimit(what)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))


def enter(around: Walls, argv: list[str], env: dict[str, str], told: socket.socket, status: int) -> None:
    """Become the command, inside; called in a fresh child. `told` takes the filter's listener to the keeper."""
    limit(around)
    if around.level == "A":
        _exec_bubblewrap(around, argv, env, status)
    close_others(told.fileno())
    os.chdir(around.cwd)
    if around.level == "B":
        _confine(around, told)
    os.execve(argv[0], argv, env)


def _exec_bubblewrap(around: Walls, argv: list[str], env: dict[str, str], status: int) -> None:
    bubblewrap.guard_devices()
    folders = dict.fromkeys([*_shown(), *around.readable], False) | dict.fromkeys(around.writable, True)
    words = bubblewrap.arguments(folders, env, os.path.realpath(around.cwd), around.network)
    given = _handed("\0".join(words).encode(errors="surrogateescape"))
    calls = _handed(filter_of(around))
    os.set_inheritable(status, True)
    close_others(given, calls, status)
    # Bubblewrap itself runs outside, so it gets nothing of an environment that an agent has a say in.
    front = [around.bwrap, "--args", str(given), "--seccomp", str(calls), "--json-status-fd", str(status)]
    os.execve(around.bwrap, [*front, "--", *argv], {})


def _handed(content: bytes) -> int:
    """A file in memory, for a program that is told its number."""
    file = os.memfd_create("witan", 0)
    os.write(file, content)
    os.lseek(file, 0, os.SEEK_SET)
    return file


def _confine(around: Walls, told: socket.socket) -> None:
    kernel.prctl(kernel.NO_NEW_PRIVILEGES, 1)
    rights = [(path, landlock.LOOK) for path in [*_shown(), *around.readable]]
    rights += [(path, landlock.USE) for path in DEVICES]
    landlock.restrict(rights + [(path, landlock.CHANGE) for path in around.writable], around.network)
    kernel.drop_capabilities()
    listener = kernel.install_filter(filter_of(around), listen=True)
    told.sendmsg([b"+"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])


def close_others(*kept: int) -> None:
    """Nothing of the keeper's goes through the exec but what is named."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with suppress(OSError):
                os.close(int(name))


def shell() -> str:
    return "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"


def began(status: bytes) -> bool:
    """Whether bubblewrap says that it came as far as the command."""
    return any("exit-code" in json.loads(line) for line in status.splitlines() if line.startswith(b"{"))


def supported() -> bool:
    return sys.platform == "linux" and kernel.MACHINE in seccomp.MACHINES
