"""Landlock: what a process and all its children may do to files, to the network and to other processes."""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

from actors.executor.sandbox.kernel import syscall

_CREATE, _ADD, _RESTRICT = 444, 445, 446
NEEDED = 6
"""The first version that also keeps signals and abstract sockets in."""

_EXECUTE, _WRITE, _READ, _LIST = 1, 2, 4, 8
_TRUNCATE, _DEVICE = 1 << 14, 1 << 15
_MAKE_DEVICES = 1 << 6 | 1 << 11
_ALL = (1 << 16) - 1
_OF_A_FILE = _EXECUTE | _WRITE | _READ | _TRUNCATE | _DEVICE
_TCP, _SCOPES = 0b11, 0b11

LOOK = _EXECUTE | _READ | _LIST
CHANGE = _ALL & ~_MAKE_DEVICES & ~_DEVICE
USE = _READ | _WRITE | _DEVICE
"""Of a device that is harmless."""


def version() -> int:
    """Of the kernel's Landlock; 0: it has none."""
    try:
        return syscall(_CREATE, None, 0, 1)
    except OSError:
        return 0


def restrict(rights: Iterable[tuple[str, int]], network: bool) -> None:
    """From now on: these rights beneath these paths, no others. There is no way back."""
    words = struct.pack("=QQQ", _ALL, 0 if network else _TCP, _SCOPES)
    rules = syscall(_CREATE, ctypes.create_string_buffer(words, len(words)), len(words), 0)
    for path, granted in rights:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        kept = granted if stat.S_ISDIR(os.fstat(place).st_mode) else granted & _OF_A_FILE
        words = struct.pack("=Qi", kept, place)
        syscall(_ADD, rules, 1, ctypes.create_string_buffer(words, len(words)), 0)
        os.close(place)
    syscall(_RESTRICT, rules, 0)
    os.close(rules)
