"""An opened workspace: what is known of it, what stands beside it, and who may change its repository now."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from actors.executor.git.running import Found, GitPlace, find
from bus.errors import Refused

PREFIX = "witan/"
HEADS = "refs/heads/"


class Opened(NamedTuple):
    """A task's branch and working tree. `target` is empty where the task began at no branch."""

    repo: str
    branch: str
    base: str
    target: str
    path: str

    @property
    def task(self) -> str:
        return self.branch.removeprefix(PREFIX)

    def beside(self, ending: str) -> Path:
        """A file of the task's beside its working tree, where no command can write. A task's name has no dot."""
        return Path(self.path).parent / f"{self.task}.{ending}"


class Note(msgspec.Struct, frozen=True):
    """Written before anything is done, so that a crash in the middle is seen. `ready`: agents may be at work there."""

    repo: str
    branch: str
    base: str
    target: str
    path: str
    asked: str
    ready: bool = False

    @property
    def opened(self) -> Opened:
        return Opened(self.repo, self.branch, self.base, self.target, self.path)


_read_note = msgspec.json.Decoder(Note).decode


def read_note(path: Path) -> Note | None:
    try:
        return _read_note(path.read_bytes())
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise Refused(f"{path} cannot be read: {error}", f"Remove {path}, then try again.") from error


def write_whole(path: Path, content: bytes) -> None:
    """All of it or nothing, also after a power cut."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def place_of(opened: Opened) -> GitPlace:
    return find(opened.repo).place


@contextmanager
def alone(folder: Path, found: Found) -> Iterator[GitPlace]:
    """Nobody else of Witan changes references or working trees of this repository meanwhile.

    The lock is never given back by hand: it ends with its last holder, and git holds it too.
    """
    name = hashlib.sha256(os.fsencode(found.common)).hexdigest()[:16]
    fd = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield GitPlace(found.common, lock=fd)
    finally:
        os.close(fd)
