"""Scratch trees: the workspace as a council saw it, with a candidate's changes, in a folder that nobody else knows."""

import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from actors.council.problem import read_proposal
from actors.executor.files.looking import listing
from actors.executor.files.room import Room
from actors.executor.git.opened import Opened, place_of
from actors.executor.git.removing import remove_folder
from actors.executor.git.running import find
from actors.executor.git.trees import Small, lay_out, small
from actors.executor.trials.changes import Planned, planned, put
from actors.executor.trials.checking import types_command
from actors.executor.trials.wanted import Trial
from actors.territory import Territory
from bus.errors import Missing
from bus.messages.workspace import WorkspaceOpened

BESIDE = ("node_modules", ".venv", "venv")
"""What a project was installed with is not in git; it is lent to the tree, to be read."""


class Scratch(NamedTuple):
    """A tree of its own, with the changes in it."""

    folder: Path
    plan: Planned
    types: str
    beside: list[str]


def place_in(opened: WorkspaceOpened | None) -> Opened:
    if opened is None or not Path(opened.path).is_dir():
        raise Missing("the task has no workspace")
    return Opened(opened.repo, opened.branch, opened.base, opened.target, opened.path)


def make(place: Opened, tree: str, folder: Path, trial: Trial) -> Scratch:
    """The workspace as it is now, in a folder that nobody else knows, with the changes in it."""
    proposal = read_proposal(trial.solution)
    remove(folder)
    folder.mkdir(parents=True)
    if known := known_small(place.repo, tree):
        known.lay_out(folder)
    else:
        lay_out(place_of(place), tree, folder)
    beside = [str(path) for name in BESIDE if _lends(path := Path(place.path, name), folder / name)]
    with Room(folder, Territory(trial.territory)) as room:
        plan = planned(room, proposal)
        put(room, plan.after)
        types = types_command(room, listing(folder), plan.after)
    return Scratch(folder, plan, types, beside)


@lru_cache(maxsize=2)
def known_small(repo: str, tree: str) -> Small | None:
    """Read once for all candidates; what has such a name never changes."""
    return small(find(repo).place, tree)


def remove(folder: Path) -> None:
    if os.path.lexists(folder) or os.path.lexists(folder.with_name(folder.name + ".gone")):
        remove_folder(folder)


def _lends(path: Path, link: Path) -> bool:
    if path.is_symlink() or not path.is_dir() or os.path.lexists(link):
        return False
    link.symlink_to(path)
    return True
