"""Where the server lays a batch down before it commits it: in memory, where the machine has files in memory.

For each batch the server makes a store of its own below the stream, syncs it five times, commits what is in it to the
stream with one sync more, and takes it away again. On a disk that is most of what a batch costs, in memory nothing.
What was acknowledged is in the stream and not here. What a power cut takes from here was never acknowledged; of a
batch that was just being committed a first part stays, as of commits that were sent one by one (decision 13).
"""

import asyncio
import hashlib
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from bus.subjects import EVENTS

MEMORY = Path("/dev/shm")
ROOM = 32 * 1024 * 1024
"""With less than this to begin with, batches stay on the disk. When it is full later, the log sends singles."""
TRIES_S = (0.0, 0.001, 0.01, 0.1)
OWNER = "of"
"""A file in each place that says which folder's it is."""


class Staging:
    """Where the server on this folder lays the batches of events down. It removes the link itself when it starts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._link = folder / "jetstream" / "$G" / "streams" / EVENTS / "batches"
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        self.place = MEMORY / f"witan-{name}"
        self.in_memory = False

    async def begin(self) -> None:
        """The server has just come up: it has taken what it still needed of the batches before."""
        _sweep()
        self.in_memory = _has_room() and _made_private(self.place, self._folder) and await self._linked()

    def end(self) -> None:
        """The server is stopped and has left nothing here that it would miss."""
        if self.in_memory:
            self._link.unlink(missing_ok=True)
            shutil.rmtree(self.place, ignore_errors=True)
            self.in_memory = False

    async def _linked(self) -> bool:
        """A client that was faster has begun a batch on the disk already: it is over in a moment."""
        self._link.parent.mkdir(parents=True, exist_ok=True)
        for pause in TRIES_S:
            await asyncio.sleep(pause)
            with suppress(OSError):
                self._link.rmdir()
            with suppress(OSError):
                self._link.symlink_to(self.place)
                return True
        return False


def _has_room() -> bool:
    try:
        return MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM
    except OSError:
        return False


def _sweep() -> None:
    """A Witan that was killed leaves its place; it goes when the folder is gone, for nobody comes back to it then."""
    for place in MEMORY.glob("witan-*"):
        with suppress(OSError):
            if place.lstat().st_uid == os.getuid() and not Path(os.fsdecode((place / OWNER).read_bytes())).exists():
                shutil.rmtree(place)


def _made_private(place: Path, folder: Path) -> bool:
    """A folder that is ours alone, with nothing in it but whose it is; what somebody else has put there is not used."""
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            return False
        for left in place.iterdir():
            if left.name != OWNER:
                shutil.rmtree(left, ignore_errors=True)
        (place / OWNER).write_bytes(os.fsencode(folder))
    except OSError:
        return False
    return True
