"""System calls that the standard library does not offer."""

import ctypes
import os
import struct
from contextlib import suppress
from typing import Any

DEATH_SIGNAL, DUMPABLE, SUBREAPER, NO_NEW_PRIVILEGES = 1, 4, 36, 38
_CAPABILITY_DROP, _AMBIENT, _AMBIENT_CLEAR = 24, 47, 4
_CAPABILITY_VERSION = 0x20080522
_CAPSET = {"x86_64": 126, "aarch64": 91}
_SECCOMP, _SET_FILTER, _NEW_LISTENER = {"x86_64": 317, "aarch64": 277}, 1, 8

MACHINE = os.uname().machine

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def syscall(number: int, *arguments: Any) -> int:
    """The call's result, or its error raised."""
    words = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    result = int(_libc.syscall(ctypes.c_long(number), *words))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def prctl(option: int, *arguments: int) -> None:
    words = [ctypes.c_ulong(each) for each in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *words):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def set_times(path: str, times: bytes | None) -> None:
    """utimensat, with both times as the kernel reads them, so that "now" and "leave it" come through."""
    if _libc.utimensat(-100, os.fsencode(path), times, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def drop_capabilities() -> None:
    """None now, and none after an exec, also for root."""
    for each in range(64):
        try:
            prctl(_CAPABILITY_DROP, each)
        except OSError:
            break
    with suppress(OSError):
        prctl(_AMBIENT, _AMBIENT_CLEAR)
    head = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    syscall(_CAPSET[MACHINE], head, (ctypes.c_uint32 * 6)())


def install_filter(program: bytes, listen: bool) -> int:
    """Let the filter judge every further call; the answer is a listener for the calls that it asks about."""
    steps = ctypes.create_string_buffer(program, len(program))
    front = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(steps))
    return syscall(_SECCOMP[MACHINE], _SET_FILTER, _NEW_LISTENER if listen else 0, front)
