"""A room is a workspace as file tools see it: nothing is opened but regular files beneath its root."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

from actors.executor.files.beneath import FOLDER, open_beneath, plain_path
from actors.territory import Territory
from bus.errors import Invalid, Missing, Refused

READ_MAX_BYTES = 10_000_000
WRITE_MAX_BYTES = 5_000_000
KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


class Outcome(NamedTuple):
    """What came of a file tool. `created` are new files, `wrote` are files that were there before."""

    ok: bool
    text: str
    failure: str = ""
    read: tuple[str, ...] = ()
    created: tuple[str, ...] = ()
    wrote: tuple[str, ...] = ()


class Found(NamedTuple):
    content: bytes
    mode: int


class Room:
    """Open it with `with`. Paths are relative to its root; `plain` makes one fit for all the other methods."""

    def __init__(self, root: Path, territory: Territory) -> None:
        self.root, self.territory = root, territory
        self.folder = -1

    def __enter__(self) -> Self:
        self.folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.folder)
        self.folder = -1

    def plain(self, path: str) -> str:
        return plain_path(self.folder, path)

    def writable(self, path: str) -> str:
        """The plain path, if the territory has it: a link is as writable as what it leads to."""
        plain = self.plain(path)
        if path.endswith("/") or plain == ".":
            raise Missing(f"{path!r} names a folder", "Name a file in it; folders that are missing are made.")
        if not self.territory.allows(plain):
            raise Refused(f"{plain!r} is outside of your territory ({self.territory})", "Write inside of it only.")
        return plain

    def mode(self, path: str) -> int | None:
        """The type and the permissions of what is there; nothing if nothing is."""
        try:
            with self._parent(path) as (folder, name):
                return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None

    def load(self, path: str, most_bytes: int = READ_MAX_BYTES) -> Found:
        """What a regular file holds; anything else is not even opened."""
        with self._parent(path) as (folder, name):
            demand_regular(path, os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
            opened = open_beneath(folder, name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(opened, "rb") as file:
            found = os.fstat(opened)
            demand_regular(path, found.st_mode)
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            size = max(found.st_size, len(content))
            raise Invalid(
                f"{path!r} has {size:,} bytes; the most is {most_bytes:,}", "Look at parts of it by a command."
            )
        return Found(content, stat.S_IMODE(found.st_mode))

    def save(self, path: str, content: bytes) -> bool:
        """Put a whole file in place at once, with the permissions of the one it replaces. Says whether it is new.

        A hard link to the old file keeps the old content: what lies outside under another name is never altered.
        """
        before = self.mode(path)
        if before is not None:
            demand_regular(path, before)
            if not before & 0o222:
                raise Refused(f"{path!r} is read-only", "Make it writable by a command, if it should be changed.")
        parent, _, name = path.rpartition("/")
        folder = self._make(parent)
        try:
            _put(folder, name, content, None if before is None else stat.S_IMODE(before) & 0o777)
        finally:
            os.close(folder)
        return before is None

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        parent, _, name = path.rpartition("/")
        folder = open_beneath(self.folder, parent or ".", FOLDER)
        try:
            yield folder, name
        finally:
            os.close(folder)

    def _make(self, path: str) -> int:
        """The folder, opened; what is missing of it is made, each step from the one before and never through a link."""
        at = open_beneath(self.folder, ".", FOLDER)
        for name in path.split("/") if path else ():
            try:
                try:
                    below = open_beneath(at, name, FOLDER)
                except FileNotFoundError:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=at)
                    below = open_beneath(at, name, FOLDER)
            finally:
                os.close(at)
            at = below
        return at


def demand_regular(path: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise Missing(f"{path!r} is a folder, not a file", "List it, or name a file in it.")
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    if not stat.S_ISREG(mode):
        raise Refused(
            f"{path!r} is {KINDS.get(stat.S_IFMT(mode), 'something else')}", "Only files can be read and written."
        )


def _put(folder: int, name: str, content: bytes, mode: int | None) -> None:
    """The name of the part follows from the file's name, so that a step repeated after a crash clears it away."""
    part = f".witan-{hashlib.sha256(name.encode()).hexdigest()[:16]}.part"
    with suppress(FileNotFoundError):
        os.unlink(part, dir_fd=folder)
    opened = open_beneath(folder, part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(opened, "wb") as file:
            file.write(content)
            if mode is not None:
                os.fchmod(opened, mode)
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(part, dir_fd=folder)
        raise
