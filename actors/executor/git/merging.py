"""Bringing a task's branch into its target: a real merge commit, and a working tree that goes along."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from actors.executor.git.opened import HEADS, Opened, alone, write_whole
from actors.executor.git.opening import own_index
from actors.executor.git.running import Found, GitPlace, ask, find, git
from actors.executor.git.trees import exists, listed, readable
from actors.executor.git.walking import Entry
from bus.errors import Refused

UNDER_WAY = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply", "BISECT_LOG")
NAMED_MAX = 20


class Journal(msgspec.Struct, frozen=True):
    """Written before a person's working tree is touched, so that a merge that was cut short can be completed."""

    before: str
    tree: str


_read_journal = msgspec.json.Decoder(Journal).decode


class _Merge(NamedTuple):
    """One merge: where, of what, and the commits before and after it."""

    place: GitPlace
    opened: Opened
    before: str
    after: str
    tree: str

    @property
    def ref(self) -> str:
        return HEADS + self.opened.target


def merge(opened: Opened, order: str, at_s: float) -> str:
    """The merge commit. Refused, with nothing changed, when it conflicts or when somebody's work is in the way."""
    if not opened.target:
        raise Refused(
            f"task {opened.task} began at no branch, so there is none to merge into",
            f"Check one out and say `git merge {opened.branch}`.",
        )
    found = find(opened.repo)
    folder = Path(opened.path).parent
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder, found) as place:
        before, branch = (exists(place, HEADS + name) for name in (opened.target, opened.branch))
        if not before or not branch:
            gone = opened.branch if before else opened.target
            raise Refused(f"{found.top} has no branch {gone} any more", f"Make it again: `git branch {gone} COMMIT`.")
        if done := _already(place, before, branch):
            opened.beside("merging").unlink(missing_ok=True)
            return done
        tree = _merged_tree(place, before, branch, opened)
        message = f"Merge {opened.branch}\n\nApproved by {order}.\n".encode()
        said = git(place, "commit-tree", tree, "-p", before, "-p", branch, "-F", "-", input=message, at_s=at_s)
        _take_effect(_Merge(place, opened, before, said.decode().strip(), tree), found)
        return said.decode().strip()


def _already(place: GitPlace, target: str, branch: str) -> str:
    """The commit that brought the branch in; the branch itself where it came in without one; empty: not in yet."""
    if ask(place, "merge-base", "--is-ancestor", branch, target).exit:
        return ""
    for line in git(place, "rev-list", "--reverse", "--parents", f"{branch}..{target}").decode().splitlines():
        commit, *parents = line.split()
        if branch in parents[1:]:
            return commit
    return branch


def _merged_tree(place: GitPlace, before: str, branch: str, opened: Opened) -> str:
    said = ask(place, "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", before, branch)
    tree, *names = said.out.split(b"\0")
    if said.exit == 0:
        return tree.decode().strip()
    if said.exit != 1:
        raise Refused(f"{opened.branch} cannot be merged into {opened.target}: {said.err.strip()[-1000:]}")
    raise Refused(
        f"{opened.branch} conflicts with {opened.target} in: {_some([name for name in names if name])}",
        f"Merge by hand: `git -C {opened.repo} merge {opened.branch}`.",
    )


def _take_effect(merge: _Merge, found: Found) -> None:
    trees = _checked_out(merge)
    elsewhere = [path for path in trees if path.resolve() != found.top.resolve()]
    if elsewhere:
        raise Refused(
            f"{merge.opened.target} is checked out in {elsewhere[0]}",
            f"Check out another branch there, or merge there: `git -C {elsewhere[0]} merge {merge.opened.branch}`.",
        )
    if trees:
        _bring_along(merge, found)
    git(merge.place, "update-ref", "-m", f"witan: merge {merge.opened.branch}", merge.ref, merge.after, merge.before)
    merge.opened.beside("merging").unlink(missing_ok=True)


def _checked_out(merge: _Merge) -> list[Path]:
    """The working trees that have the target checked out."""
    found, path = [], Path()
    for line in git(merge.place, "worktree", "list", "--porcelain", "-z").split(b"\0"):
        word, _, rest = line.partition(b" ")
        if word == b"worktree":
            path = Path(os.fsdecode(rest))
        elif word == b"branch" and rest == merge.ref.encode():
            found.append(path)
    return found


def _bring_along(merge: _Merge, found: Found) -> None:
    """The working tree goes from one commit to the other, as git does it: with git's own lock on the index held."""
    for name in UNDER_WAY:
        if (found.git_dir / name).exists():
            raise Refused(f"in {found.top} something is under way ({name})", "End it: `git status` says how.")
    journal = merge.opened.beside("merging")
    resuming = journal.exists() and _read_journal(journal.read_bytes()) == Journal(merge.before, merge.tree)
    with _index_lock(found.git_dir) as lock, own_index(merge.opened) as scratch:
        index = Path(scratch, "index")
        if (found.git_dir / "index").exists():
            shutil.copy2(found.git_dir / "index", index)
        place = GitPlace(found.git_dir, found.top, index, merge.place.lock)
        if resuming:
            _refuse_what_is_not_ours(place, merge)
        else:
            _refuse_unclean(place, merge)
        write_whole(journal, msgspec.json.encode(Journal(merge.before, merge.tree)))
        how = ("--reset", "-u") if resuming else ("-m", "-u", merge.before)
        git(place, "read-tree", *how, merge.after)
        shutil.copyfile(index, lock)
        os.replace(lock, found.git_dir / "index")


@contextmanager
def _index_lock(git_dir: Path) -> Iterator[Path]:
    """The lock that git itself takes. One of ours, left by a crash, says so, and whoever may merge may take it over."""
    lock, mark = git_dir / "index.lock", git_dir / "index.lock.witan"
    if mark.exists() and lock.exists() and os.path.samefile(mark, lock):
        lock.unlink()
    mark.unlink(missing_ok=True)
    mark.touch()
    try:
        os.link(mark, lock)
    except FileExistsError:
        mark.unlink()
        raise Refused(f"another git is at work: {lock} exists", "Wait for it; remove the file if none is.") from None
    try:
        yield lock
    finally:
        if lock.exists() and os.path.samefile(mark, lock):
            lock.unlink()
        mark.unlink(missing_ok=True)


def _refuse_unclean(place: GitPlace, merge: _Merge) -> None:
    ask(place, "update-index", "-q", "--refresh")
    dirty = git(place, "diff-index", "--name-only", "-z", "--ignore-submodules=all", merge.before, "--")
    if dirty:
        raise Refused(
            f"{place.work_tree} has changes that are not committed: {_some(dirty.split(bytes(1))[:-1])}",
            f"Commit or stash them: `git -C {place.work_tree} stash`.",
        )
    if foreign := list(_in_the_way(place, merge)):
        raise Refused(
            f"{place.work_tree} has files of its own where {merge.opened.branch} has others: {_some(foreign)}",
            "Move them away, then approve again.",
        )
    tried = ask(place, "read-tree", "-n", "-m", "-u", merge.before, merge.after)
    if tried.exit:
        raise Refused(
            f"{merge.opened.branch} cannot be brought into {place.work_tree}: {tried.err.strip()[-1000:]}",
            "Move the files that are in the way, then approve again.",
        )


def _in_the_way(place: GitPlace, merge: _Merge) -> Iterator[bytes]:
    """What is not in git and would be overwritten. Git itself would spare only what is not ignored."""
    old, new = listed(place, merge.before), listed(place, merge.after)
    top = os.fsencode(place.work_tree or "")
    for path in sorted(new.keys() - old.keys()):
        above = [path[:end] for end in range(len(path)) if path[end : end + 1] == b"/"]
        for each in (*above, path):
            whole = os.path.join(top, each)
            if os.path.isdir(whole) and not os.path.islink(whole):
                if each == path:
                    found = (os.path.join(at, name) for at, _, names in os.walk(whole) for name in names)
                    yield from (name for each in found if (name := os.path.relpath(each, top)) not in old)
            elif os.path.lexists(whole) and each not in old:
                yield each


def _refuse_what_is_not_ours(place: GitPlace, merge: _Merge) -> None:
    """After a crash each file is as it was, as it will be, or cut short on the way; all else is somebody's work."""
    assert place.work_tree is not None
    old, new = listed(place, merge.before), listed(place, merge.after)
    git(place, "read-tree", "--reset", merge.before)
    ask(place, "update-index", "-q", "--refresh")
    dirty = git(place, "diff-files", "--name-only", "-z", "--ignore-submodules=all").split(b"\0")[:-1]
    dirty += [path for path in new if path not in old and os.path.lexists(place.work_tree / os.fsdecode(path))]
    foreign = [path for path in dirty if old.get(path) == new.get(path) or not _on_the_way(place, path, new)]
    if foreign:
        raise Refused(
            f"a merge into {place.work_tree} was cut short, and since then somebody changed: {_some(foreign)}",
            f"Put these aside, then say `git -C {place.work_tree} reset --hard` and approve again.",
        )


def _on_the_way(place: GitPlace, path: bytes, new: Mapping[bytes, Entry]) -> bool:
    """Whether the file is missing, or a beginning of what it will be."""
    assert place.work_tree is not None
    file = place.work_tree / os.fsdecode(path)
    if not os.path.lexists(file) or path not in new:
        return not os.path.lexists(file)
    will = git(place, "cat-file", "blob", new[path].sha)
    if file.is_symlink():
        return os.fsencode(os.readlink(file)) == will
    return file.is_file() and will.startswith(file.read_bytes())


def _some(paths: list[bytes]) -> str:
    named = ", ".join(readable(paths[:NAMED_MAX]))
    return named if len(paths) <= NAMED_MAX else f"{named} and {len(paths) - NAMED_MAX} more"
