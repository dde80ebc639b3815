"""Whether the machine went down while a file was being written: then nobody knows what of it came to the disk.

The tables follow from the log, so their writes are not synced one by one. What a killed process wrote is safe with the
operating system; what a machine had not written when it went down is not. So beside a file that is being written lies
a mark with the name of this run of the machine. See `ops/decisions/0012-tables-are-not-synced.md`.
"""

import os
from functools import cache
from pathlib import Path


@cache
def boot_id() -> str:
    """The name of this run of the machine; nothing where nobody tells."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def fsync_mode() -> str:
    """How DuckDB is to write: without a name for this run of the machine it could not be told what to trust."""
    return "NONE" if boot_id() else "STANDARD"


def went_down(path: Path) -> bool:
    """Whether the machine has been started anew since somebody began to write the file, and never ended."""
    try:
        return _mark(path).read_text() != boot_id()
    except FileNotFoundError:
        return False


def begin(path: Path) -> None:
    """From now on the file is written; the mark is on the disk when this returns."""
    mark = _mark(path)
    if not mark.exists() and boot_id():
        mark.write_text(boot_id())
        _sync(mark)
        _sync(mark.parent)


def end(path: Path) -> None:
    """The file is whole, and on the disk; so is it that nothing stands beside it any more."""
    if _mark(path).exists():
        _sync(path)
        _sync(path.parent)
        _mark(path).unlink()


def _mark(path: Path) -> Path:
    return path.with_name(path.name + ".boot")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
