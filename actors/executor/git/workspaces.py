"""A task's workspace: opened, saved as commits, looked at, merged and removed."""

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from actors.executor.git.merging import merge as merge
from actors.executor.git.opened import HEADS, place_of
from actors.executor.git.opened import Opened as Opened
from actors.executor.git.opening import open_workspace as open_workspace
from actors.executor.git.opening import own_index, show_in_worktree
from actors.executor.git.opening import remove as remove
from actors.executor.git.opening import unfinished as unfinished
from actors.executor.git.running import GitPlace, ask, git
from actors.executor.git.trees import Snapshot, committed, exists, listed, readable, snapshot
from actors.executor.git.walking import Entry
from bus.errors import Refused

TEXT_MAX_BYTES = 4 * 1024 * 1024
LOG_MAX = 200
_PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=all", "--find-renames")


class Saved(NamedTuple):
    """`skipped` is what git cannot or must not take: pipes, sockets, other repositories."""

    tree: str
    commit: str
    created: list[str]
    wrote: list[str]
    deleted: list[str]
    skipped: list[str]


class _Tip(NamedTuple):
    """Where the branch is."""

    commit: str
    tree: str


def save(opened: Opened, message: str, at_s: float) -> Saved:
    """What is not ignored, as a commit on the branch; no new commit when nothing changed. Said again, the same."""
    place = place_of(opened)
    tip = _tip(place, opened)
    with own_index(opened) as scratch:
        taken = _take(place, opened, tip, Path(scratch))
        if taken.tree == tip.tree:
            first = exists(place, f"{tip.commit}^") if tip.commit != opened.base else ""
            if first and committed(place, taken.tree, first, message, at_s) == tip.commit:
                taken = taken._replace(parent=listed(place, first))
            return _saved(taken, tip.commit)
        commit = committed(place, taken.tree, tip.commit, message, at_s)
        git(place, "update-ref", "-m", "witan: saved", HEADS + opened.branch, commit, tip.commit)
        show_in_worktree(place, opened, Path(scratch, "index"))
    return _saved(taken, commit)


def tree_of(opened: Opened) -> str:
    """The tree of the working tree as it is now; nothing is committed."""
    place = place_of(opened)
    return _now(place, opened, _tip(place, opened)).tree


class Now(NamedTuple):
    """The working tree as it is: its tree, the files in it, and those of them that the task changed."""

    place: GitPlace
    tree: str
    entries: dict[bytes, Entry]
    changed: list[bytes]


def now_in(opened: Opened) -> Now:
    """Nothing is committed."""
    place = place_of(opened)
    tip = _tip(place, opened)
    taken = _now(place, opened, tip)
    if tip.commit == opened.base:
        changed = [path for path, entry in taken.entries.items() if taken.parent.get(path) != entry]
    else:
        said = git(place, "diff", "--name-only", "-z", "--no-renames", opened.base, taken.tree)
        changed = [path for path in said.split(b"\0") if path in taken.entries]
    return Now(place, taken.tree, taken.entries, changed)


def status(opened: Opened) -> str:
    """What is not saved yet."""
    place = place_of(opened)
    tip = _tip(place, opened)
    saved = _saved(_now(place, opened, tip), tip.commit)
    count = git(place, "rev-list", "--count", f"{opened.base}..{tip.commit}").decode().strip()
    lines = [f"on branch {opened.branch}, {count} commits since {opened.base[:12]}"]
    for sign, names in (
        ("A", saved.created),
        ("M", saved.wrote),
        ("D", saved.deleted),
        ("never saved:", saved.skipped),
    ):
        lines += [f"{sign} {name}" for name in names]
    if len(lines) == 1:
        lines.append("everything is saved")
    return "\n".join(lines) + "\n"


def diff(opened: Opened, since: str = "base") -> str:
    """What changed since the task began, or (`last`) since the last commit; of the branch when the tree is gone."""
    place = place_of(opened)
    tip = _tip(place, opened)
    now = _now(place, opened, tip).tree if Path(opened.path).is_dir() else tip.tree
    return _text(_between(place, tip.tree if since == "last" else opened.base, now))


def changes(opened: Opened, saved: Saved) -> bytes:
    """All that the task has changed, as a patch that git can apply."""
    return _between(place_of(opened), opened.base, saved.tree, "--binary")


def log(opened: Opened) -> str:
    """The branch's commits, the newest first."""
    place = place_of(opened)
    span = f"{opened.base}..{_tip(place, opened).commit}"
    return _text(git(place, "log", "--no-color", f"--max-count={LOG_MAX}", "--format=%h %cI %s", span))


def _now(place: GitPlace, opened: Opened, tip: _Tip) -> Snapshot:
    with own_index(opened) as scratch:
        return _take(place, opened, tip, Path(scratch))


def _take(place: GitPlace, opened: Opened, tip: _Tip, scratch: Path) -> Snapshot:
    return snapshot(place, Path(opened.path), tip.tree, seen=opened.beside("seen"), index=scratch / "index")


def _tip(place: GitPlace, opened: Opened) -> _Tip:
    ref = HEADS + opened.branch
    if commit := _loose(place, ref):
        return _tip_at(place.git_dir, commit)
    said = ask(place, "rev-parse", f"{ref}^{{commit}}", f"{ref}^{{tree}}")
    if said.exit:
        raise Refused(f"{opened.repo} has no branch {opened.branch} any more", "Reset the task, or discard its work.")
    return _Tip(*said.out.decode().split())


def _loose(place: GitPlace, ref: str) -> str:
    """Where the reference is, if it has a file of its own; nothing: ask git, which knows other ways to keep them."""
    try:
        found = _whole_name((place.git_dir / ref).read_text())
    except (OSError, UnicodeDecodeError):
        return ""
    return found[1] if found else ""


_whole_name = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})\n").fullmatch


@lru_cache(maxsize=256)
def _tip_at(git_dir: Path, commit: str) -> _Tip:
    """A commit never changes its tree."""
    said = git(GitPlace(git_dir), "rev-parse", f"{commit}^{{commit}}", f"{commit}^{{tree}}")
    return _Tip(*said.decode().split())


def _saved(taken: Snapshot, commit: str) -> Saved:
    before = taken.parent
    created = [path for path in taken.entries if path not in before]
    wrote = [path for path, entry in taken.entries.items() if path in before and before[path] != entry]
    deleted = [path for path in before if path not in taken.entries]
    named = (readable(sorted(paths)) for paths in (created, wrote, deleted, taken.skipped))
    return Saved(taken.tree, commit, *named)


def _between(place: GitPlace, before: str, after: str, *how: str) -> bytes:
    return git(place, "diff", *_PLAIN, *how, before, after)


def _text(said: bytes) -> str:
    text = said[:TEXT_MAX_BYTES].decode(errors="replace")
    return text if len(said) <= TEXT_MAX_BYTES else f"{text}\n[… {len(said) - TEXT_MAX_BYTES} bytes left out …]\n"
