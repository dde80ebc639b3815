"""Opening what lies beneath a folder, in such a way that a name is always what it says.

`plain_path` writes out the links of a path beforehand; `open_beneath` then lets the kernel follow none at all. Whatever
is swapped in between, the kernel opens the path that was checked, or nothing.
"""

import ctypes
import errno
import os
import sys
from functools import cache

from actors.territory import is_git
from bus.errors import Refused

OPENAT2 = 437
"""The same on every architecture that Python runs on but one (alpha)."""
NO_MAGICLINKS, NO_SYMLINKS, BENEATH = 0x02, 0x04, 0x08
LINKS_MAX = 40
PATH_MAX_BYTES = 4000
FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", 0)


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _openat2(folder: int, path: str, flags: int, mode: int) -> int:
    how = _How(flags, mode, BENEATH | NO_MAGICLINKS | NO_SYMLINKS)
    name = os.fsencode(path)
    while True:
        opened: int = _libc().syscall(
            ctypes.c_long(OPENAT2),
            ctypes.c_int(folder),
            ctypes.c_char_p(name),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if opened >= 0:
            return opened
        number = ctypes.get_errno()
        if number not in (errno.EINTR, errno.EAGAIN):
            raise OSError(number, os.strerror(number), path)


@cache
def has_openat2() -> bool:
    """Whether the kernel has it (Linux 5.6 and later) and lets this process use it (old containers do not)."""
    if sys.platform != "linux":
        return False
    here = os.open("/", FOLDER)
    try:
        os.close(_openat2(here, ".", FOLDER, 0))
    except OSError:
        return False
    finally:
        os.close(here)
    return True


def _step_by_step(folder: int, path: str, flags: int, mode: int) -> int:
    """The same without openat2: one name at a time, none of them a link, none of them `..`."""
    *above, name = path.split("/")
    if any(part in ("", "..") for part in (*above, name)):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    at = os.dup(folder)
    try:
        for part in above:
            below = os.open(part, FOLDER | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        return os.open(name, flags | os.O_NOFOLLOW, mode, dir_fd=at)
    finally:
        os.close(at)


def open_beneath(folder: int, path: str, flags: int, mode: int = 0) -> int:
    """Open a path that has no link in it; the kernel says no to `..` out of the folder, and to every link."""
    if "\0" in path:
        raise Refused("a path cannot have a NUL in it", "Name the file without it.")
    return (_openat2 if has_openat2() else _step_by_step)(folder, path, flags | os.O_CLOEXEC, mode)


def _link(folder: int, above: list[str], name: str) -> str | None:
    """Where the link leads; nothing if it is none, or is not there."""
    try:
        parent = open_beneath(folder, "/".join(above) or ".", FOLDER)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    finally:
        os.close(parent)


def _demand_name(path: str) -> None:
    if path.startswith("/") or ".." in path.split("/"):
        raise Refused(
            f"{path!r} leads out of the workspace", "Name files from the root of the workspace, without `..`."
        )
    try:
        sayable = bool(path.encode()) and "\0" not in path
    except UnicodeEncodeError:
        sayable = False
    if not sayable:
        raise Refused(f"{path!r} is not a path", "Name a file by letters that can be written in UTF-8.")
    _demand_short(path)


def _demand_short(path: str) -> None:
    """The kernel has the same limit, but we also go name by name, and nobody may make us go a million."""
    if len(path.encode(errors="surrogateescape")) > PATH_MAX_BYTES:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)


def plain_path(folder: int, path: str) -> str:
    """The path with its links written out, `.` for the folder itself. Refused if it leaves the folder, or is git's."""
    _demand_name(path)
    ahead, behind, links = path.split("/")[::-1], list[str](), 0
    while ahead:
        name = ahead.pop()
        if is_git(name):
            raise Refused(f"{path!r} belongs to git", "Use the git tool to see and to commit changes.")
        if name == ".." and behind:
            behind.pop()
        elif name == "..":
            raise Refused(f"{path!r} is a link out of the workspace", "Name a file that is inside.")
        elif name not in ("", "."):
            target = _link(folder, behind, name)
            links += target is not None
            if target is None:
                behind.append(name)
            elif target.startswith("/"):
                raise Refused(f"{path!r} is a link out of the workspace", "Name a file that is inside.")
            elif links > LINKS_MAX:
                raise Refused(f"{path!r} is a link that leads round in a circle", "Name the file itself.")
            else:
                ahead += target.split("/")[::-1]
    plain = "/".join(behind) or "."
    _demand_short(plain)
    return plain
