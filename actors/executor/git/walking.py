"""Reading a folder that hostile commands write to: name by name below open folders, following nothing."""

import hashlib
import os
import re
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NamedTuple

from actors.executor.git.ignoring import Level, ignored, read_patterns
from bus.errors import Refused

DEPTH_MAX = 100
ENTRIES_MAX = 500_000
FRESH_MAX_BYTES = 2 * 1024**3
IGNORE_MAX_BYTES = 1024 * 1024
LIMIT_S = 120.0
RACY_NS = 2_000_000_000
"""A file that was changed so lately may change again without its times telling."""
CHUNK_BYTES = 1024 * 1024

NEVER_SAVED = (b"__pycache__", b".pytest_cache")
PART = re.compile(rb"\.witan-[0-9a-f]{16}\.part\Z")
"""What a killed write left behind."""
FILE, PROGRAM, LINK, REPOSITORY = "100644", "100755", "120000", "160000"
_BELOW = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_FOLDER = _BELOW | os.O_DIRECTORY
_of_git = re.compile(rb"(?i)(\.git|git~1)[ .]*([:\\].*)?\Z", re.DOTALL).match
_HINT = "Remove it, or name it in .gitignore, then try again."


class Entry(NamedTuple):
    """A file in a git tree."""

    mode: str
    sha: str


class Seen(NamedTuple):
    """A file as it was last read; while inode, size and times are these, it is not read again."""

    stamp: tuple[int, int, int, int]
    sha: str


class Walk:
    """One reading of a working tree: what git would take from it, with the new texts in a stream for fast-import."""

    def __init__(self, tracked: Mapping[bytes, Entry], seen: Mapping[bytes, Seen], fresh: IO[bytes], sha: str) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.seen: dict[bytes, Seen] = {}
        self.skipped: list[bytes] = []
        """What stays out of git for what it is: pipes, sockets, devices and the repositories of others."""
        self.fresh = 0
        self._tracked, self._known, self._stream, self._algorithm = tracked, seen, fresh, sha
        self._folders = {path[:end] for path in tracked for end in range(len(path)) if path[end : end + 1] == b"/"}
        self._stored = {entry.sha for entry in tracked.values()}
        self._began_ns, self._until_s = time.time_ns(), time.monotonic() + LIMIT_S

    def take(self, root: Path, exclude: bytes) -> None:
        """Read the whole folder; `exclude` is what the repository itself ignores."""
        try:
            fd = os.open(root, _FOLDER)
        except OSError as error:
            raise Refused(f"there is no workspace in {root}: {error.strerror}", "Discard the task's work.") from error
        try:
            self._folder(fd, (), [(0, read_patterns(exclude))], False)
        finally:
            os.close(fd)
        for path, entry in self._tracked.items():
            if entry.mode == REPOSITORY and not self._covered(path):
                self.entries[path] = entry

    def _covered(self, path: bytes) -> bool:
        below = path + b"/"
        return path in self.entries or any(each.startswith(below) for each in self.entries)

    def _folder(self, fd: int, names: tuple[bytes, ...], levels: list[Level], only_tracked: bool) -> None:
        if len(names) > DEPTH_MAX:
            raise Refused(f"{_shown(names)} is more than {DEPTH_MAX} folders deep", _HINT)
        levels = [*levels, (len(names), read_patterns(_ignore_file(fd)))]
        with os.scandir(fd) as listing:
            found = sorted((os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in listing)
        for name, folder in found:
            self._in_time(names)
            path = (*names, name)
            if _of_git(name):
                if names:
                    self.skipped.append(b"/".join(path))
            elif folder:
                out = only_tracked or name in NEVER_SAVED or ignored(levels, path, True)
                if not out or b"/".join(path) in self._folders:
                    self._below(fd, path, levels, out)
            elif PART.match(name):
                continue
            elif b"/".join(path) in self._tracked or not (only_tracked or ignored(levels, path, False)):
                self._entry(fd, path)

    def _below(self, parent: int, path: tuple[bytes, ...], levels: list[Level], only_tracked: bool) -> None:
        try:
            fd = os.open(path[-1], _FOLDER, dir_fd=parent)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise Refused(f"{_shown(path)} cannot be read: {error.strerror}", _HINT) from error
        try:
            self._folder(fd, path, levels, only_tracked)
        finally:
            os.close(fd)

    def _entry(self, parent: int, path: tuple[bytes, ...]) -> None:
        name, whole = path[-1], b"/".join(path)
        try:
            about = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISLNK(about.st_mode):
                content = os.fsencode(os.readlink(name, dir_fd=parent))
                self.entries[whole] = Entry(LINK, self._blob(content))
            elif stat.S_ISREG(about.st_mode):
                self._file(parent, name, whole)
            elif not stat.S_ISDIR(about.st_mode):
                self.skipped.append(whole)
        except FileNotFoundError:
            return
        except OSError as error:
            raise Refused(f"{_shown(path)} cannot be read: {error.strerror}", _HINT) from error
        if len(self.entries) > ENTRIES_MAX:
            raise Refused(f"there are more than {ENTRIES_MAX} files in the workspace", _HINT)

    def _file(self, parent: int, name: bytes, whole: bytes) -> None:
        fd = open_regular(name, parent)
        if fd is None:
            self.skipped.append(whole)
            return
        with open(fd, "rb", buffering=0) as file:
            about = os.fstat(fd)
            stamp = (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
            known = self._known.get(whole)
            sha = known.sha if known and known.stamp == stamp else self._read(file, about.st_size, whole)
            self.entries[whole] = Entry(PROGRAM if about.st_mode & 0o100 else FILE, sha)
            if max(about.st_mtime_ns, about.st_ctime_ns) < self._began_ns - RACY_NS:
                self.seen[whole] = Seen(stamp, sha)

    def _read(self, file: IO[bytes], size: int, whole: bytes) -> str:
        """The file's name in git; its text is only kept in the stream when git does not have it."""
        if self._stream.tell() + size > FRESH_MAX_BYTES:
            raise Refused(f"{_shown((whole,))}: more than {FRESH_MAX_BYTES >> 20} MiB are new in the workspace", _HINT)
        begin = self._begin(size)
        sha, left = hashlib.new(self._algorithm, b"blob %d\0" % size), size
        while left:
            self._in_time((whole,))
            chunk = file.read(min(left, CHUNK_BYTES))
            if not chunk:
                raise Refused(f"{_shown((whole,))} changed while it was read", "Wait for what writes it.")
            sha.update(chunk)
            self._stream.write(chunk)
            left -= len(chunk)
        return self._end(begin, sha.hexdigest())

    def _blob(self, content: bytes) -> str:
        begin = self._begin(len(content))
        self._stream.write(content)
        return self._end(begin, hashlib.new(self._algorithm, b"blob %d\0" % len(content) + content).hexdigest())

    def _begin(self, size: int) -> int:
        begin = self._stream.tell()
        self._stream.write(b"blob\ndata %d\n" % size)
        return begin

    def _end(self, begin: int, sha: str) -> str:
        if sha in self._stored:
            self._stream.seek(begin)
            self._stream.truncate()
        else:
            self._stream.write(b"\n")
            self._stored.add(sha)
            self.fresh += 1
        return sha

    def _in_time(self, names: tuple[bytes, ...]) -> None:
        if time.monotonic() > self._until_s:
            raise Refused(f"reading the workspace took longer than {LIMIT_S:.0f} s, at {_shown(names)}", _HINT)


def open_regular(name: str | bytes | Path, parent: int | None = None) -> int | None:
    """The file, open to be read; None when it is something else, which was not waited for."""
    fd = os.open(name, _BELOW, dir_fd=parent)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def _ignore_file(fd: int) -> bytes:
    try:
        found = open_regular(".gitignore", fd)
    except OSError:
        return b""
    if found is None:
        return b""
    with open(found, "rb") as file:
        return file.read(IGNORE_MAX_BYTES)


def _shown(names: tuple[bytes, ...]) -> str:
    return b"/".join(names).decode("utf-8", "backslashreplace")[-300:]
