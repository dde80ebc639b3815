"""Modes and times of files: Landlock lets every process change them, so the keeper does it for the command instead.

The filter holds the call and asks. The keeper opens the file itself, looks where it ended up, and changes it through
what it has opened: whatever the command does to its memory or to its links meanwhile changes nothing.
"""

import errno
import fcntl
import os
import struct
from contextlib import suppress

from actors.executor.sandbox import seccomp
from actors.executor.sandbox.kernel import MACHINE, set_times

_RECEIVE, _SEND, _STILL_THERE = 0xC0502100, 0xC0182101, 0x40082102
_HERE, _NO_FOLLOW, _EMPTY = -100, 0x100, 0x1000
_NAMES = {seccomp.number(call, MACHINE): call for call in seccomp.ASKED} if MACHINE in seccomp.MACHINES else {}


class Asked:
    """One call that a command has made and that waits for its answer."""

    def __init__(self, listener: int) -> None:
        raw = bytearray(80)
        fcntl.ioctl(listener, _RECEIVE, raw)
        self.id, self.pid, _, number, _, _, *arguments = struct.unpack("=QIIiIQ6Q", raw)
        self.call, self.listener = _NAMES.get(number, ""), listener
        self.arguments: list[int] = arguments

    def answer(self, rooms: list[str]) -> None:
        """Do what it asks for if that is in one of the rooms, and tell how that went."""
        try:
            self._perform(rooms)
            error = 0
        except OSError as fault:
            error = -(fault.errno or errno.EPERM)
        with suppress(OSError):  # It may have been killed meanwhile.
            fcntl.ioctl(self.listener, _SEND, struct.pack("=QqiI", self.id, 0, error, 0))

    def _perform(self, rooms: list[str]) -> None:
        place, wanted = self._opened()
        try:
            fcntl.ioctl(self.listener, _STILL_THERE, struct.pack("=Q", self.id))
            here = f"/proc/self/fd/{place}"
            if not beneath(os.readlink(here), rooms) or os.fstat(place).st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, "outside")
            if isinstance(wanted, int):
                os.chmod(here, wanted)
            else:
                set_times(here, wanted)
        finally:
            os.close(place)

    def _opened(self) -> tuple[int, int | bytes | None]:
        """The file that is meant, opened by us, and its new mode or times."""
        one, two, three, four = self.arguments[:4]
        match self.call:
            case "chmod":
                return self._open(_HERE, one, 0), two & 0o1777
            case "fchmod":
                return self._open(_signed(one), 0, _EMPTY), two & 0o1777
            case "fchmodat":
                return self._open(_signed(one), two, 0), three & 0o1777
            case "fchmodat2":
                return self._open(_signed(one), two, four), three & 0o1777
            case "utimensat":
                return self._open(_signed(one), two, four if two else _EMPTY), self._times(three, "=qqqq", 1)
            case "utime":
                return self._open(_HERE, one, 0), self._times(two, "=qq", 0)
            case "utimes":
                return self._open(_HERE, one, 0), self._times(two, "=qqqq", 1000)
            case "futimesat":
                return self._open(_signed(one), two, 0 if two else _EMPTY), self._times(three, "=qqqq", 1000)
        raise OSError(errno.ENOSYS, "unknown")

    def _open(self, folder: int, path: int, flags: int) -> int:
        name = self._read(path, 4096).split(b"\0")[0] if path else b""
        if not name and not flags & _EMPTY:
            raise FileNotFoundError(errno.ENOENT, "empty")
        own = f"/proc/{self.pid}".encode()
        if name.startswith(b"/proc/self/"):
            name = own + name[10:]
        if name.startswith(b"/"):
            return os.open(name, os.O_PATH | (os.O_NOFOLLOW if flags & _NO_FOLLOW else 0))
        start = os.open(own + (b"/cwd" if folder == _HERE else b"/fd/%d" % folder), os.O_PATH)
        if not name:
            return start
        try:
            return os.open(name, os.O_PATH | (os.O_NOFOLLOW if flags & _NO_FOLLOW else 0), dir_fd=start)
        finally:
            os.close(start)

    def _times(self, where: int, form: str, factor: int) -> bytes | None:
        if not where:
            return None
        found = struct.unpack(form, self._read(where, struct.calcsize(form)))
        if factor == 0:
            found = (found[0], 0, found[1], 0)
        elif factor > 1:
            found = (found[0], found[1] * factor, found[2], found[3] * factor)
        return struct.pack("=qqqq", *found)

    def _read(self, where: int, size: int) -> bytes:
        memory = os.open(f"/proc/{self.pid}/mem", os.O_RDONLY)
        try:
            return os.pread(memory, size, where)
        finally:
            os.close(memory)


def _signed(word: int) -> int:
    return struct.unpack("=i", struct.pack("=I", word & 0xFFFFFFFF))[0]  # type: ignore[no-any-return]


def beneath(path: str, rooms: list[str]) -> bool:
    return any(path == room or path.startswith(room.rstrip("/") + "/") for room in rooms)
