"""Removing a folder that hostile commands wrote to, however deep and however locked, following nothing."""

import os
import stat
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY


def remove_folder(path: Path) -> None:
    """Remove it with all that is in it, however deep and however locked. Folders are emptied at the top, one by one."""
    heap = path.with_name(path.name + ".gone")
    heap.mkdir(exist_ok=True)
    top = os.open(heap, _FOLDER)
    try:
        count = max((int(name) for name in os.listdir(top)), default=0) + 1
        if os.path.lexists(path):
            _openable(path, None)
            os.rename(path, str(count), dst_dir_fd=top)
        while names := os.listdir(top):
            for name in names:
                count = _empty(top, name, count)
    finally:
        os.close(top)
    heap.rmdir()


def _empty(top: int, name: str, count: int) -> int:
    """Remove one thing; the folders in it move up beside it, under numbers."""
    try:
        fd = os.open(name, _FOLDER, dir_fd=top)
    except OSError:
        os.unlink(name, dir_fd=top)
        return count
    try:
        for inner in os.listdir(fd):
            if stat.S_ISDIR(os.stat(inner, dir_fd=fd, follow_symlinks=False).st_mode):
                _openable(inner, fd)
                count += 1
                os.rename(inner, str(count), src_dir_fd=fd, dst_dir_fd=top)
            else:
                os.unlink(inner, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=top)
    return count


def _openable(name: str | Path, parent: int | None) -> None:
    """Only somebody who is not root needs this, and only for what is a folder itself."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.chmod(f"/proc/self/fd/{fd}", 0o700)
    finally:
        os.close(fd)
