"""System calls that the standard library does not offer."""

import ctypes
import os
import struct
from contextlib import suppress
from typing import Any

DEATH_SIGNAL, DUMPABLE, SUBREAPER, NO_NEW_PRIVILEGES = 1, 4, 36, 38
_CAPABILITY_DROP, _AMBIENT, _AMBIENT_CLEAR = 24, 47, 4
_CAPABILITY_VERSION = 0x20080522
_NEW_USERS, _NEW_MOUNTS = 0x10000000, 0x20000
_READ_ONLY, _REMOUNT, _BIND = 1, 32, 4096
_KEPT = 0b1110
"""Of a mount's flags: no set-id, no devices, no programs. What was so has to stay so."""
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
    _checked(_libc.prctl(option, *words))


def _checked(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def enter_namespaces() -> None:
    """Users and mounts of its own, for this process and its children."""
    _checked(_libc.unshare(_NEW_USERS | _NEW_MOUNTS))


def mount_read_only(path: str) -> None:
    """For those who see this namespace of mounts: it can be used, its mode and owner stay."""
    place = os.fsencode(path)
    _checked(_libc.mount(place, place, None, ctypes.c_ulong(_BIND), None))
    kept = os.statvfs(path).f_flag & _KEPT
    _checked(_libc.mount(None, place, None, ctypes.c_ulong(_BIND | _REMOUNT | _READ_ONLY | kept), None))


def set_times(path: str, times: bytes | None) -> None:
    """utimensat, with both times as the kernel reads them, so that "now" and "leave it" come through."""
    _checked(_libc.utimensat(-100, os.fsencode(path), times, 0))


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
