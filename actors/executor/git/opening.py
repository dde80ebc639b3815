"""Opening a task's workspace as a worktree and a branch of its own, and removing it: both may be cut short."""

import os
import shutil
import tempfile
from pathlib import Path

import msgspec

from actors.executor.git.opened import HEADS, PREFIX, Note, Opened, alone, read_note, write_whole
from actors.executor.git.removing import remove_folder
from actors.executor.git.running import Found, GitPlace, ask, find, git, initialise
from actors.executor.git.trees import committed, exists, lay_out
from bus.errors import Refused
from bus.subjects import token


def open_workspace(folder: Path, task: str, repo: str = "", base: str = "") -> Opened:
    """The task's workspace, made now, completed, or found as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    path = folder / f"{token(task)}.json"
    note = read_note(path)
    if note is None:
        found = find(repo) if repo else _own_repository(folder / f"{task}.repo")
        note = _planned(found, folder / task, base, repo)
        write_whole(path, msgspec.json.encode(note))
    elif note.asked != repo:
        raise Refused(f"task {task} has its workspace in {note.repo}, not in {repo}", "Discard its work first.")
    if not note.ready or not Path(note.path).is_dir():
        found = find(note.repo)
        with alone(folder, found) as place:
            _build(place, note)
        write_whole(path, msgspec.json.encode(msgspec.structs.replace(note, ready=True)))
    return note.opened


def remove(opened: Opened, branch: bool = False) -> None:
    """The working tree goes, and with `branch` all that the task did; what is gone already is no fault."""
    folder = Path(opened.path).parent
    own = opened.beside("repo")
    try:
        if Path(opened.repo).is_dir():
            found = find(opened.repo)
            with alone(folder, found) as place:
                _clear(place, opened)
                if branch and exists(place, HEADS + opened.branch):
                    git(place, "update-ref", "-d", HEADS + opened.branch)
        else:
            remove_folder(Path(opened.path))
        if branch and Path(opened.repo) == own:
            remove_folder(own)
        for left in sorted(folder.glob(f"{opened.task}.*"), key=lambda left: left.suffix == ".json"):
            if left != own:
                remove_folder(left) if left.is_dir() and not left.is_symlink() else left.unlink(missing_ok=True)
    except OSError as error:
        raise Refused(f"the workspace cannot be removed: {error}", f"Remove {opened.path} by hand.") from error


def unfinished(folder: Path) -> list[str]:
    """What was begun and not ended, for `witan doctor`."""
    said = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        match path.suffix:
            case ".json" if not _is_ready(path):
                said.append(f"{path.stem}: its workspace was not opened to the end")
            case ".gone":
                said.append(f"{path.stem}: was not removed to the end")
            case ".merging":
                said.append(f"{path.stem}: a merge was not carried out to the end")
            case "" if path.is_dir() and not (folder / f"{path.name}.json").exists():
                said.append(f"{path.name}: a working tree that belongs to no task")
    return said


def own_index(opened: Opened) -> "tempfile.TemporaryDirectory[str]":
    """A folder for an index of our own, gone afterwards."""
    return tempfile.TemporaryDirectory(dir=Path(opened.path).parent, prefix=f"{opened.task}.index-")


def show_in_worktree(place: GitPlace, opened: Opened, index: Path) -> None:
    """For a person who looks into the working tree with git. Witan itself never reads it."""
    entry = _worktree_entry(place, opened)
    if entry is not None:
        copy = entry / "index.witan"
        shutil.copyfile(index, copy)
        os.replace(copy, entry / "index")


def _is_ready(path: Path) -> bool:
    try:
        note = read_note(path)
    except Refused:
        return False
    return note is None or note.ready


def _own_repository(folder: Path) -> Found:
    """For a task that was given none: one with a branch and an empty commit, the same wherever it is made."""
    initialise(folder)
    found = find(str(folder))
    if not exists(found.place, HEADS + "main"):
        tree = git(found.place, "mktree", input=b"").decode().strip()
        git(found.place, "update-ref", HEADS + "main", committed(found.place, tree, "", "Begin", 0), "")
    return found


def _planned(found: Found, path: Path, base: str, asked: str) -> Note:
    """Where the branch begins and what it may be merged into. Refused before anything is changed."""
    place = GitPlace(found.git_dir)
    branch = PREFIX + path.name
    commit = "" if base.startswith("-") else exists(place, base or "HEAD")
    if not commit and base:
        raise Refused(f"{found.top} has no commit {base!r}", "Name a branch, a tag or a commit: `git log --oneline`.")
    if not commit:
        raise Refused(
            f"{found.top} has no commits yet", f"Make one: `git -C {found.top} commit --allow-empty -m Begin`."
        )
    if exists(place, HEADS + branch):
        raise Refused(
            f"{found.top} has a branch {branch} already, and it is not this task's",
            f"Rename it: `git -C {found.top} branch -m {branch} NAME`.",
        )
    if path.exists():
        raise Refused(f"{path} is there already, and it is no task's", f"Move {path} away.")
    head = ask(place, "symbolic-ref", "--quiet", "HEAD").out.decode().strip()
    target = head.removeprefix(HEADS)
    if base and exists(place, HEADS + base):
        target = base
    return Note(str(found.top), branch, commit, target, str(path), asked)


def _build(place: GitPlace, note: Note) -> None:
    """Nobody has worked here yet, or the folder is gone: what a crash left is removed and all of it made anew."""
    opened, ref = note.opened, HEADS + note.branch
    _clear(place, opened)
    tip = exists(place, ref)
    how = ("--", note.path, note.branch) if tip else ("-b", note.branch, "--", note.path, note.base)
    git(place, "worktree", "add", "--quiet", "--no-checkout", "--lock", "--reason", "a task of Witan", *how)
    lay_out(place, tip or note.base, Path(note.path))
    with own_index(opened) as indexes:
        git(place._replace(index_file=Path(indexes, "index")), "read-tree", tip or note.base)
        show_in_worktree(place, opened, Path(indexes, "index"))


def _clear(place: GitPlace, opened: Opened) -> None:
    """The working tree and git's entry for it. An entry by this name that says no path is what a crash left."""
    remove_folder(Path(opened.path))
    entries = place.git_dir / "worktrees"
    entry = _worktree_entry(place, opened)
    half = entries / opened.task
    if entry is None and (half / "locked").exists() and not (half / "gitdir").exists():
        entry = half
    if entry is not None:
        shutil.rmtree(entry)


def _worktree_entry(place: GitPlace, opened: Opened) -> Path | None:
    """Found by what the repository says, never by what the working tree says."""
    said = os.fsencode(os.path.join(opened.path, ".git"))
    for entry in (place.git_dir / "worktrees").glob("*/gitdir"):
        if entry.read_bytes().strip() == said:
            return entry.parent
    return None
