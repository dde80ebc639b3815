"""A territory: the paths of a workspace that an agent may write, said in globs and decided without looking at files.

`!` in front of a glob excludes, wherever it stands; nothing of git is ever in a territory.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from actors.globs import (
    CLASS,
    LAST_LETTER,
    REST,
    SLASH,
    Pieces,
    States,
    close,
    letters_of,
    matches,
    pieces_of,
    step,
    walk,
)

STEPS_MAX = 300_000
"""Two territories that need more steps than this to be told apart are taken to overlap; it is well under a second."""
UNSEEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")


def is_git(name: str) -> bool:
    """Whether a name is `.git`, or what some file system takes for it."""
    return UNSEEN.sub("", name).rstrip(". ").casefold() in (".git", "git~1") or name.casefold().startswith(".git:")


def is_plain(path: str) -> bool:
    """Whether a path is relative, says every folder once, and has nothing of git in it."""
    return "\0" not in path and all(name not in ("", ".", "..") and not is_git(name) for name in path.split("/"))


class Territory(NamedTuple):
    """What may be written. No globs: nothing."""

    globs: tuple[str, ...] = ()

    @property
    def wanted(self) -> list[str]:
        return [glob for glob in self.globs if not glob.startswith("!")]

    @property
    def excluded(self) -> list[str]:
        return [glob[1:] for glob in self.globs if glob.startswith("!")]

    def __str__(self) -> str:
        return ", ".join(self.globs) or "nothing"

    def allows(self, path: str) -> bool:
        return (
            is_plain(path)
            and any(matches(glob, path) for glob in self.wanted)
            and not any(matches(glob, path) for glob in self.excluded)
        )

    def covers(self, folder: str) -> bool:
        """Whether everything in the folder is allowed, also what is not there yet; `.` is the whole workspace."""
        inside = "" if folder == "." else f"{folder}/"
        if inside and not is_plain(folder):
            return False
        if any(walk(pieces_of(glob), inside) for glob in self.excluded):
            return False
        return any(
            state < len(pieces) and pieces[state] is REST
            for pieces in map(pieces_of, self.wanted)
            for state in walk(pieces, inside)
            if state >= 0
        )


def problems(globs: Sequence[str]) -> list[str]:
    """What is wrong with each glob, in words for the person who wrote it."""
    found = []
    for glob in globs:
        said = glob.removeprefix("!")
        names = said.removesuffix("/").split("/")
        if not said:
            found.append(f"{glob!r}: is empty; `**` is everything")
        elif "\0" in said:
            found.append(f"{glob!r}: has a NUL in it")
        elif said.startswith("/"):
            found.append(f"{glob!r}: is absolute; globs begin at the root of the workspace")
        elif ".." in names or "." in names or "" in names:
            found.append(f"{glob!r}: has an empty name, `.` or `..` in it; name the folders themselves")
        elif any(is_git(name) for name in names):
            found.append(f"{glob!r}: nothing of git is ever in a territory")
        elif any("[" in CLASS.sub("", name) for name in names):
            found.append(f"{glob!r}: a `[` is not closed; `[[]` is the letter itself")
        elif any(inside in ("!", "^") or not letters_of(inside) for inside in CLASS.findall(said)):
            found.append(f"{glob!r}: a class without letters matches nothing")
    if globs and not any(not glob.startswith("!") for glob in globs):
        found.append("every glob excludes, so nothing may be written; say `**` too")
    return found


def kernel_parts(territory: Territory, listing: Iterable[str]) -> list[str]:
    """What the kernel may be told that a shell can write: folders (with a slash at the end, `./` is the workspace) in
    which everything is allowed, and files that are there already. `listing` has folders with a slash at the end.

    New files outside of such folders are for the file tools alone: no kernel knows globs.
    """
    if territory.covers("."):
        return ["./"]
    parts: list[str] = []
    whole: set[str] = set()
    for path in sorted(listing):
        name = path.removesuffix("/")
        above = name.split("/")[:-1]
        if any("/".join(above[: depth + 1]) in whole for depth in range(len(above))):
            continue
        if path.endswith("/"):
            if territory.covers(name):
                whole.add(name)
                parts.append(path)
        elif territory.allows(path):
            parts.append(path)
    return parts


NEVER = ("**/.", "**/./**", "**/..", "**/../**", "**/.[gG][iI][tT]", "**/.[gG][iI][tT]/**")
"""Names that no path has, so that two globs which share only these do not overlap."""


class _Pair(NamedTuple):
    """The globs of two territories, read at the same time: letter by letter, along every path that both could take."""

    first: list[Pieces]
    second: list[Pieces]
    none: list[Pieces]

    def start(self) -> tuple[States, ...]:
        return tuple(close(pieces, [0]) for pieces in (*self.first, *self.second, *self.none))

    def step(self, at: tuple[States, ...], letter: int) -> tuple[States, ...] | None:
        """Where a letter leads; nothing where one of the two is lost for good, or all that follows is excluded."""
        globs = (*self.first, *self.second, *self.none)
        after = tuple(
            step(pieces, states, letter) if states else states for pieces, states in zip(globs, at, strict=True)
        )
        first, both = len(self.first), len(self.first) + len(self.second)
        if not any(after[:first]) or not any(after[first:both]):
            return None
        gone = any(
            letter == SLASH and pieces and len(pieces) - 1 in states and pieces[-1] is REST
            for pieces, states in zip(self.none, after[both:], strict=True)
        )
        return None if gone else after

    def accepted(self, at: tuple[States, ...]) -> bool:
        ends = [
            len(pieces) in states for pieces, states in zip((*self.first, *self.second, *self.none), at, strict=True)
        ]
        first, both = len(self.first), len(self.first) + len(self.second)
        return any(ends[:first]) and any(ends[first:both]) and not any(ends[both:])

    def letters(self, at: tuple[States, ...]) -> list[int]:
        """One letter of each kind that makes a difference here."""
        cuts = {1, SLASH, SLASH + 1}
        for pieces, states in zip((*self.first, *self.second, *self.none), at, strict=True):
            for state in states:
                if 0 <= state < len(pieces):
                    for low, high in pieces[state].ranges:
                        cuts |= {low, high + 1}
        return sorted(cut for cut in cuts if cut <= LAST_LETTER)


@lru_cache(maxsize=1024)
def overlaps(one: Territory, other: Territory) -> bool:
    """Whether some path is in both. Exact, but for territories so tangled that it would take long: then true."""
    none = [pieces_of(glob) for glob in (*one.excluded, *other.excluded, *NEVER)]
    pair = _Pair([pieces_of(glob) for glob in one.wanted], [pieces_of(glob) for glob in other.wanted], none)
    start = (pair.start(), True)
    seen, ahead, steps = {start}, [start], 0
    while ahead and steps < STEPS_MAX:
        at, begins = ahead.pop()
        if not begins and pair.accepted(at):
            return True
        letters = pair.letters(at)
        steps += len(letters) * sum(map(len, at))
        for letter in letters:
            if begins and letter == SLASH:
                continue
            after = pair.step(at, letter)
            reached = (after, letter == SLASH) if after else None
            if reached and reached not in seen:
                seen.add(reached)
                ahead.append(reached)
    return bool(ahead)
