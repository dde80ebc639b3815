"""The end of processes: every descendant of one process, and everything that carries a warden's mark."""

import os
import resource
import select
import signal
import time
from collections.abc import Callable, Container
from contextlib import suppress
from typing import NamedTuple

MARK = "WITAN_EXEC"
"""In the environment of every command: the warden's mark, and the order."""
LIMIT = 10
"""RLIMIT_LOCKS, which no kernel heeds any more. Its hard value goes to every child, and the filter of system calls
lets no command change it: the mark that cannot be taken off."""
_PAUSES_S = (0.001, 0.05)


class Task(NamedTuple):
    pid: int
    parent: int
    group: int
    ended: bool


def tasks() -> list[Task]:
    """Every process of the machine, as /proc tells it."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = _read(f"/proc/{name}/stat")
            if stat:
                state, parent, group = stat[stat.rindex(b")") + 2 :].split(None, 3)[:3]
                found.append(Task(int(name), int(parent), int(group), state in b"ZX"))
    return found


def descendants(root: int, spared: Container[int] = ()) -> list[Task]:
    """Children, their children, and so on; without the spared ones and theirs."""
    children: dict[int, list[Task]] = {}
    for task in tasks():
        children.setdefault(task.parent, []).append(task)
    found: list[Task] = []
    todo = [root]
    while todo:
        for task in children.get(todo.pop(), ()):
            if task.pid not in spared:
                found.append(task)
                todo.append(task.pid)
    return found


def kill(found: list[Task], own_group: int) -> None:
    """A killed process cannot fork, and a group is killed at one moment: no bomb outruns that."""
    for group in {task.group for task in found} - {own_group, 0}:
        _signal(os.killpg, group)
    for task in found:
        _signal(os.kill, task.pid)


def sweep(reap: Callable[[], bool], wake: int, but: Container[int] = ()) -> set[int]:
    """Kill in rounds until `reap` says that there is no child left; the answer is who had to be killed."""
    killed: set[int] = set()
    own, group, pause_s = os.getpid(), os.getpgrp(), _PAUSES_S[0]
    while reap():
        found = [task for task in descendants(own) if not task.ended]
        kill(found, group)
        killed |= {task.pid for task in found if task.pid not in but}
        pause_s = wait(wake, pause_s)
    return killed


def wait(wake: int, pause_s: float) -> float:
    """Until somebody has ended, or a moment has passed; the answer is the next moment."""
    if select.select([wake], [], [], pause_s)[0]:
        os.read(wake, 4096)
    return min(pause_s * 2, _PAUSES_S[1])


def kill_marked(mark: int, patience_s: float) -> int:
    """Kill what carries the mark, until there is none; the answer is how many there were."""
    killed: set[int] = set()
    until, pause_s = time.monotonic() + patience_s, _PAUSES_S[0]
    while found := [task for task in tasks() if not task.ended and task.pid != os.getpid() and marked(task.pid, mark)]:
        if time.monotonic() > until:
            raise TimeoutError(f"processes that cannot be killed: {sorted(task.pid for task in found)}")
        killed |= {task.pid for task in found}
        for task in found:
            _signal(os.kill, task.pid)
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, _PAUSES_S[1])
    return len(killed)


def marked(pid: int, mark: int) -> bool:
    for line in _read(f"/proc/{pid}/limits").splitlines():
        if line.startswith(b"Max file locks") and line.split()[4] == b"%d" % mark:
            return True
    named = f"{MARK}={mark:x}:".encode()
    return any(each.startswith(named) for each in _read(f"/proc/{pid}/environ").split(b"\0"))


def put_mark(mark: int) -> None:
    """On this process and all its children to come. Where a lower limit is in force, the environment has to do."""
    with suppress(OSError, ValueError):
        resource.setrlimit(LIMIT, (mark, mark))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _signal(send: Callable[[int, int], None], whom: int) -> None:
    with suppress(OSError):
        send(whom, signal.SIGKILL)
