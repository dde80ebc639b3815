"""Git trees and folders: what stands in a folder as a tree, and a tree as a folder, byte for byte, without filters."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from actors.executor.git.running import Answer, GitPlace, ask, git
from actors.executor.git.walking import FILE, LINK, PROGRAM, REPOSITORY, Entry, Seen, Walk
from bus.errors import Refused

EXCLUDE_MAX_BYTES = 1024 * 1024
BATCH_MAX_BYTES = 32 * 1024 * 1024
SMALL_MAX_BYTES, SMALL_MAX_FILES = 4 * 1024 * 1024, 1000
LISTED_MAX = 64


class Snapshot(NamedTuple):
    tree: str
    entries: dict[bytes, Entry]
    parent: Mapping[bytes, Entry]
    skipped: list[bytes]


def snapshot(place: GitPlace, root: Path, parent: str, *, seen: Path, index: Path) -> Snapshot:
    """The folder as a tree in the object store. `parent` is the tree that git has already; `seen` is a cache.

    Where the tree is another than its parent, an index that says the same as the tree is left in `index`.
    """
    reading = _Reading(place, root, parent, listed(place, parent), seen.parent)
    known = _remembered(seen)
    walk, tree = reading.walk(known), parent
    if walk.entries != reading.tracked:
        written = _write_tree(place, walk, index)
        if written.exit:
            walk = reading.walk({})
            written = _write_tree(place, walk, index)
        if written.exit:
            raise Refused(f"git cannot take the workspace: {written.err.strip()[-1000:]}", "Remove what it names.")
        tree = written.out.decode().strip()
    if walk.seen != known:
        _remember(seen, walk.seen)
    return Snapshot(tree, walk.entries, reading.tracked, walk.skipped)


class _Reading(NamedTuple):
    place: GitPlace
    root: Path
    parent: str
    tracked: Mapping[bytes, Entry]
    scratch: Path

    def walk(self, known: Mapping[bytes, Seen]) -> Walk:
        """The folder as it is; every text in it that git does not have is given to git."""
        with tempfile.TemporaryFile(dir=self.scratch) as stream:
            walk = Walk(self.tracked, known, stream, "sha1" if len(self.parent) == 40 else "sha256")
            walk.take(self.root, _exclude(self.place))
            if walk.fresh:
                stream.write(b"done\n")
                git(self.place, "fast-import", "--quiet", "--done", input=stream)
        return walk


def listed(place: GitPlace, tree: str) -> Mapping[bytes, Entry]:
    """Every file of a tree by its path. What has such a name never changes, so those of few files stay in mind."""
    key = (place.git_dir, tree)
    if (known := _listed.get(key)) is not None:
        return known
    found = _list(place, tree)
    if len(found) <= SMALL_MAX_FILES:
        _listed[key] = found
        for oldest in list(_listed)[:-LISTED_MAX]:
            _listed.pop(oldest, None)
    return found


_listed: dict[tuple[Path, str], Mapping[bytes, Entry]] = {}


def _list(place: GitPlace, tree: str) -> Mapping[bytes, Entry]:
    found = {}
    for line in git(place, "ls-tree", "-r", "-z", "--full-tree", tree).split(b"\0")[:-1]:
        about, _, path = line.partition(b"\t")
        mode, _, sha = about.decode().split(" ")
        found[path] = Entry(mode, sha)
    return found


class Small(NamedTuple):
    """All of a tree that can be kept in mind: folders without files, then path, mode and content of each file."""

    empty: list[bytes]
    files: list[tuple[bytes, str, bytes]]

    def lay_out(self, folder: Path) -> None:
        """As below, without git."""
        made, root = {b""}, os.fsencode(folder)
        for path in (*(each + b"/" for each in self.empty), *(path for path, *_ in self.files)):
            _make_folders(root, path, made)
        for path, mode, content in self.files:
            _put_one(os.path.join(root, path), mode, content)


def small(place: GitPlace, tree: str) -> Small | None:
    """None: it is too large to be kept."""
    empty: list[bytes] = []
    wanted: list[tuple[bytes, str, str]] = []
    weight = 0
    for line in git(place, "ls-tree", "-r", "-l", "-z", "--full-tree", tree).split(b"\0")[:-1]:
        about, _, path = line.partition(b"\t")
        mode, _, sha, size = about.decode().split()
        if mode == REPOSITORY:
            empty.append(path)
            continue
        wanted.append((path, mode, sha))
        weight += int(size)
        if weight > SMALL_MAX_BYTES or len(wanted) > SMALL_MAX_FILES:
            return None
    return Small(empty, list(_contents(place, wanted)))


def lay_out(place: GitPlace, tree: str, folder: Path) -> None:
    """The tree's files in a folder that nobody else writes to, and that has nothing of theirs in it."""
    made: set[bytes] = {b""}
    root = os.fsencode(folder)
    wanted: list[tuple[bytes, str, str]] = []
    weight = 0
    for line in git(place, "ls-tree", "-r", "-l", "-z", "--full-tree", tree).split(b"\0")[:-1]:
        about, _, path = line.partition(b"\t")
        mode, _, sha, size = about.decode().split()
        _make_folders(root, path if mode != REPOSITORY else path + b"/", made)
        if mode == REPOSITORY:
            continue
        wanted.append((path, mode, sha))
        weight += int(size)
        if weight > BATCH_MAX_BYTES or len(wanted) >= 1000:
            _put(place, root, wanted)
            wanted, weight = [], 0
    _put(place, root, wanted)


def readable(paths: list[bytes]) -> list[str]:
    """Names need not be text; in events they must be."""
    return [path.decode("utf-8", "backslashreplace") for path in paths]


def _make_folders(root: bytes, path: bytes, made: set[bytes]) -> None:
    names = path.split(b"/")
    if any(name.lower() in (b"", b".", b"..", b".git") for name in names[:-1]) or names[-1].lower() in (b"..", b".git"):
        raise Refused(f"the tree holds the path {readable([path])[0]!r}", "Commit a tree without it.")
    for end in range(1, len(names)):
        inner = b"/".join(names[:end])
        if inner not in made:
            os.mkdir(os.path.join(root, inner))
            made.add(inner)


def _put(place: GitPlace, root: bytes, wanted: list[tuple[bytes, str, str]]) -> None:
    for path, mode, content in _contents(place, wanted):
        _put_one(os.path.join(root, path), mode, content)


def _contents(place: GitPlace, wanted: list[tuple[bytes, str, str]]) -> Iterator[tuple[bytes, str, bytes]]:
    content = git(place, "cat-file", "--batch", input="".join(f"{sha}\n" for _, _, sha in wanted).encode())
    at = 0
    for path, mode, sha in wanted:
        end = content.index(b"\n", at)
        head = content[at:end].split(b" ")
        if len(head) != 3 or head[0].decode() != sha:
            raise Refused(f"{readable([path])[0]} is not in the repository: {content[at:end].decode(errors='replace')}")
        at = end + 1 + int(head[2])
        yield path, mode, content[end + 1 : at]
        at += 1


def _put_one(path: bytes, mode: str, content: bytes) -> None:
    if mode == LINK:
        os.symlink(content, path)
        return
    if mode not in (FILE, PROGRAM):
        mode = FILE
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o777 if mode == PROGRAM else 0o666), "wb") as file:
        file.write(content)


def _write_tree(place: GitPlace, walk: Walk, index: Path) -> Answer:
    """Fails where a text that was given to git once is not there any more: its garbage was collected."""
    lines = (b"%s %s\t%s\0" % (each.mode.encode(), each.sha.encode(), path) for path, each in walk.entries.items())
    indexed = place._replace(index_file=index)
    index.unlink(missing_ok=True)
    said = ask(indexed, "update-index", "-z", "--index-info", input=b"".join(lines))
    return said if said.exit else ask(indexed, "write-tree")


def _exclude(place: GitPlace) -> bytes:
    try:
        with open(place.git_dir / "info" / "exclude", "rb") as file:
            return file.read(EXCLUDE_MAX_BYTES)
    except OSError:
        return b""


def _remembered(seen: Path) -> dict[bytes, Seen]:
    try:
        return msgspec.msgpack.decode(seen.read_bytes(), type=dict[bytes, Seen])
    except (OSError, msgspec.MsgspecError):
        return {}


def _remember(seen: Path, walked: dict[bytes, Seen]) -> None:
    with tempfile.NamedTemporaryFile(dir=seen.parent, prefix=f"{seen.name}.", delete=False) as file:
        file.write(msgspec.msgpack.encode(walked))
    os.replace(file.name, seen)


def exists(place: GitPlace, name: str) -> str:
    """The commit that a name stands for; empty when there is none."""
    said = ask(place, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return said.out.decode().strip() if said.exit == 0 else ""


def committed(place: GitPlace, tree: str, parent: str, message: str, at_s: float) -> str:
    """A commit that no branch has yet; the same of everything is the same commit."""
    text = message.replace("\0", " ").encode(errors="replace")
    before = ("-p", parent) if parent else ()
    return git(place, "commit-tree", tree, *before, "-F", "-", input=text, at_s=at_s).decode().strip()
