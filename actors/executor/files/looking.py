"""Looking around in a workspace: what is there, and which lines a regular expression matches."""

import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from actors import tools
from actors.executor.files.beneath import open_beneath
from actors.executor.files.room import Outcome, Room, demand_regular
from actors.territory import Territory, is_git
from bus.errors import Missing, WitanError

LISTING_MAX = 100_000
ENTRIES_MAX = 1_000
HITS_MAX = 200
SEARCHED_FILE_MAX_BYTES = 2_000_000
SEARCHED_LINE_MAX = 10_000
SHOWN_LINE_MAX = 300
CHUNK_LETTERS = 64_000
SEARCH_S = 10.0
"""No line takes long, because the engine never goes back; the worst expression takes about a second a chunk."""


class Entry(NamedTuple):
    """What is there: a `folder`, a `file`, a `link` (and where it leads), or something `else`."""

    path: str
    kind: str
    bytes: int = 0
    leads: str = ""


def _entries(folder: int, path: str) -> list[Entry]:
    """What is in one folder, by name. A folder that cannot be opened, or is one no more, is empty."""
    try:
        opened = open_beneath(folder, path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    found = []
    above = "" if path == "." else f"{path}/"
    try:
        with os.scandir(opened) as entries:
            for entry in islice(entries, LISTING_MAX):
                with suppress(OSError):
                    if not is_git(entry.name):
                        found.append(_entry(opened, above, entry))
    except OSError:
        pass
    finally:
        os.close(opened)
    return sorted(found)


def _entry(folder: int, above: str, entry: "os.DirEntry[str]") -> Entry:
    path = above + entry.name
    if entry.is_symlink():
        return Entry(path, "link", leads=os.readlink(entry.name, dir_fd=folder))
    if entry.is_dir(follow_symlinks=False):
        return Entry(path, "folder")
    if entry.is_file(follow_symlinks=False):
        return Entry(path, "file", entry.stat(follow_symlinks=False).st_size)
    return Entry(path, "else")


def walk(folder: int, top: str, depth: int | None = None) -> Iterator[Entry]:
    """Everything below, each folder before what is in it; links are not followed."""
    ahead = [(entry, 1) for entry in reversed(_entries(folder, top))]
    while ahead:
        entry, deep = ahead.pop()
        yield entry
        if entry.kind == "folder" and (depth is None or deep < depth):
            ahead += [(below, deep + 1) for below in reversed(_entries(folder, entry.path))]


def listing(root: Path) -> list[str]:
    """The folders (with a slash at the end) and the regular files of a workspace, as `kernel_parts` wants them."""
    with Room(root, Territory()) as room:
        found = (each for each in walk(room.folder, ".") if each.kind in ("folder", "file"))
        return [each.path + "/" * (each.kind == "folder") for each in islice(found, LISTING_MAX)]


def _sayable(name: str) -> str:
    """A name may hold line ends and bytes that are no letters; what is shown may not."""
    said = os.fsencode(name).decode(errors="replace")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in said)


def list_folder(room: Room, tool: tools.List) -> Outcome:
    top = room.plain(tool.path)
    mode = room.mode(top)
    if mode is None:
        raise Missing(f"there is no {top!r}", "List the folder above it.")
    if not stat.S_ISDIR(mode):
        demand_regular(top, mode)
        return Outcome(True, f"{_sayable(top)} is a file; read it")
    shown, rest, levels = list[str](), 0, 0 if top == "." else top.count("/") + 1
    for entry in islice(walk(room.folder, top, tool.depth), LISTING_MAX):
        if len(shown) < ENTRIES_MAX:
            level = entry.path.count("/") - levels
            shown.append("  " * level + _line(entry, deepest=level + 1 == tool.depth))
        else:
            rest += 1
    if rest:
        shown.append(f"… and {rest:,}{' or' if rest + ENTRIES_MAX >= LISTING_MAX else ''} more; list a folder of it")
    return Outcome(True, "\n".join(shown) or f"{_sayable(top)} is empty")


def _line(entry: Entry, deepest: bool) -> str:
    name = _sayable(entry.path.rpartition("/")[2])
    match entry.kind:
        case "folder":
            return f"{name}/{' …' if deepest else ''}"
        case "file":
            return f"{name}  {entry.bytes:,} bytes"
        case "link":
            return f"{name} -> {_sayable(entry.leads)}"
    return f"{name}  (no file)"


def search(room: Room, tool: tools.Search) -> Outcome:
    """By an engine that never goes back over what it has read (RE2): no expression makes the daemon hang."""
    top = room.plain(tool.path)
    mode = room.mode(top)
    if mode is None:
        raise Missing(f"there is no {top!r}", "List the folder above it.")
    try:
        _matching([""], tool.pattern)
    except ValueError as error:  # what Arrow cannot use as an expression, or as text
        return Outcome(False, _wrong(tool.pattern, str(error)), "syntax_error")
    if stat.S_ISDIR(mode):
        files: Iterable[Entry] = (entry for entry in walk(room.folder, top) if entry.kind == "file")
    else:
        demand_regular(top, mode)
        files = [Entry(top, "file")]
    found = _Hits([], 0, 0, 0)
    ends = time.monotonic() + SEARCH_S
    for entry in islice(files, LISTING_MAX):
        found = _search_file(room, entry, tool.pattern, found, ends)
        if time.monotonic() > ends:
            said = (
                f"the time of {SEARCH_S:.0f} s was over after {found.files:,} files; search less, or say it more simply"
            )
            return Outcome(False, "\n".join([*found.lines, said]), "timeout")
    return Outcome(True, "\n".join([*found.lines, found.summary()]))


class _Hits(NamedTuple):
    lines: list[str]
    found: int
    files: int
    skipped: int

    def summary(self) -> str:
        rest = self.found - len(self.lines)
        more = f", of which {rest:,} are not shown; search for less" if rest else ""
        skipped = f"; {self.skipped:,} binary or large ones were skipped" if self.skipped else ""
        hits, files = "" if self.found == 1 else "s", "" if self.files == 1 else "s"
        return f"({self.found:,} hit{hits} in {self.files:,} file{files}{more}{skipped})"


def _search_file(room: Room, entry: Entry, pattern: str, so_far: _Hits, ends: float) -> _Hits:
    try:
        content = (
            b"\0" if entry.bytes > SEARCHED_FILE_MAX_BYTES else room.load(entry.path, SEARCHED_FILE_MAX_BYTES).content
        )
    except (OSError, WitanError):
        content = b"\0"
    if b"\0" in content:
        return so_far._replace(skipped=so_far.skipped + 1)
    lines = content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").removesuffix("\n").split("\n")
    count, number = so_far.found, 0
    for chunk in _chunks(lines):
        if time.monotonic() > ends:
            break
        for place in _matching(chunk, pattern):
            count += 1
            if len(so_far.lines) < HITS_MAX:
                line = chunk[place]
                cut = "…" if len(line) > SHOWN_LINE_MAX else ""
                so_far.lines.append(f"{_sayable(entry.path)}:{number + place + 1}: {line[:SHOWN_LINE_MAX]}{cut}")
        number += len(chunk)
    return so_far._replace(found=count, files=so_far.files + 1)


def _chunks(lines: list[str]) -> Iterator[list[str]]:
    """Few letters at a time, because time is looked at in between; a line is searched as far as is sensible."""
    chunk, letters = list[str](), 0
    for line in lines:
        chunk.append(line[:SEARCHED_LINE_MAX])
        letters += len(chunk[-1]) + 1
        if letters >= CHUNK_LETTERS:
            yield chunk
            chunk, letters = [], 0
    if chunk:
        yield chunk


def _matching(lines: list[str], pattern: str) -> list[int]:
    import pyarrow as pa  # A start would wait for them.
    import pyarrow.compute as pc

    found: list[int] = pc.indices_nonzero(pc.match_substring_regex(pa.array(lines, pa.string()), pattern)).to_pylist()
    return found


def _wrong(pattern: str, said: str) -> str:
    """Python knows better where an expression is wrong; where it finds nothing, the engine is the simpler one."""
    try:
        re.compile(pattern)
    except re.error as error:
        return f"the expression is wrong at position {error.pos}: {error.msg}"
    except (OverflowError, RecursionError, Warning):
        pass
    reason = said.removeprefix("Invalid regular expression: ")
    return f"the expression is not understood: {reason}. There are no look-arounds and no back references here."
