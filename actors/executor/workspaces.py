"""A task's workspace: opened, saved as commits, looked at, merged and removed."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from actors.executor.git import GitPlace, git
from actors.executor.merging import merge as merge
from actors.executor.opened import HEADS, place_of
from actors.executor.opened import Opened as Opened
from actors.executor.opening import open_workspace as open_workspace
from actors.executor.opening import own_index, show_in_worktree
from actors.executor.opening import remove as remove
from actors.executor.opening import unfinished as unfinished
from actors.executor.trees import Snapshot, committed, exists, listed, readable, snapshot
from actors.executor.walking import Entry
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


def save(opened: Opened, message: str, at_s: float) -> Saved:
    """What is not ignored, as a commit on the branch; no new commit when nothing changed. Said again, the same."""
    place = place_of(opened)
    ref = HEADS + opened.branch
    tip = _tip(place, opened)
    with own_index(opened) as indexes:
        taken = snapshot(place, Path(opened.path), tip, opened.beside("seen"), Path(indexes, "index"))
        before = git(place, "rev-parse", f"{tip}^{{tree}}").decode().strip()
        commit, parent = tip, tip
        if taken.tree == before:
            first = exists(place, f"{tip}^") if tip != opened.base else ""
            if first and committed(place, taken.tree, first, message, at_s) == tip:
                parent = first
        else:
            commit = committed(place, taken.tree, tip, message, at_s)
            git(place, "update-ref", "-m", "witan: saved", ref, commit, tip)
        show_in_worktree(place, opened, Path(indexes, "index"))
    return _saved(taken, commit, listed(place, parent))


def tree_of(opened: Opened) -> str:
    """The tree of the working tree as it is now; nothing is committed."""
    return _now(opened, place_of(opened)).tree


def status(opened: Opened) -> str:
    """What is not saved yet."""
    place = place_of(opened)
    tip = _tip(place, opened)
    now = _now(opened, place)
    count = git(place, "rev-list", "--count", f"{opened.base}..{tip}").decode().strip()
    lines = [f"on branch {opened.branch}, {count} commits since {opened.base[:12]}"]
    saved = _saved(now, tip, listed(place, tip))
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
    now = _now(opened, place).tree if Path(opened.path).is_dir() else tip
    return _text(_between(place, tip if since == "last" else opened.base, now))


def changes(opened: Opened, saved: Saved) -> bytes:
    """All that the task has changed, as a patch that git can apply."""
    return _between(place_of(opened), opened.base, saved.tree, "--binary")


def log(opened: Opened) -> str:
    """The branch's commits, the newest first."""
    place = place_of(opened)
    span = f"{opened.base}..{_tip(place, opened)}"
    return _text(git(place, "log", "--no-color", f"--max-count={LOG_MAX}", "--format=%h %cI %s", span))


def _now(opened: Opened, place: GitPlace) -> Snapshot:
    with own_index(opened) as indexes:
        seen = opened.beside("seen")
        return snapshot(place, Path(opened.path), _tip(place, opened), seen, Path(indexes, "index"))


def _tip(place: GitPlace, opened: Opened) -> str:
    tip = exists(place, HEADS + opened.branch)
    if not tip:
        raise Refused(f"{opened.repo} has no branch {opened.branch} any more", "Reset the task, or discard its work.")
    return tip


def _saved(taken: Snapshot, commit: str, before: Mapping[bytes, Entry]) -> Saved:
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
