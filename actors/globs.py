"""A glob is a small automaton that reads a path letter by letter, so that no glob can take long.

`*`, `?` and `[a-z]` stay within one name; `**` is any number of folders; `dir/` is `dir/**`.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

LAST_LETTER = 0x10FFFF


class Piece(NamedTuple):
    """A step of a glob: `one` letter of some ranges, a `star`, `folders` (from `**/`), or the `rest` (a last `**`)."""

    kind: str
    ranges: tuple[tuple[int, int], ...] = ()

    def takes(self, letter: int) -> bool:
        return any(low <= letter <= high for low, high in self.ranges)


SLASH = ord("/")
BUT_SLASH = ((1, SLASH - 1), (SLASH + 1, LAST_LETTER))
STAR, FOLDERS, REST = Piece("star"), Piece("folders"), Piece("rest")
States = frozenset[int]
"""Places in a glob: before the piece of that number; `~n` is inside a folder that the `folders` of number n takes."""
Pieces = tuple[Piece, ...]


def letters_of(inside: str) -> tuple[tuple[int, int], ...]:
    """The ranges of a class such as `a-z_`, never the slash; a leading `!` or `^` turns it over."""
    turned = inside[:1] in ("!", "^")
    letters = list(inside[turned:])
    ranges = []
    while letters:
        low = high = ord(letters.pop(0))
        if len(letters) > 1 and letters[0] == "-":
            high = ord(letters[1])
            del letters[:2]
        ranges.append((low, high))
    if turned:
        ends = sorted((low, high) for low, high in ranges if low <= high)
        ranges, start = [], 1
        for low, high in ends:
            ranges.append((start, low - 1))
            start = max(start, high + 1)
        ranges.append((start, LAST_LETTER))
    parts = [part for low, high in ranges for part in ((low, min(high, SLASH - 1)), (max(low, SLASH + 1), high))]
    return tuple((low, high) for low, high in parts if low <= high)


CLASS = re.compile(r"\[([!^]?\]?[^\]/]*)\]")


def _pieces_of_name(name: str) -> Iterator[Piece]:
    place = 0
    while place < len(name):
        found = CLASS.match(name, place)
        if found and found[1] not in ("!", "^", ""):
            yield Piece("one", letters_of(found[1]))
            place = found.end()
            continue
        letter = name[place]
        if letter == "*":
            yield STAR
        elif letter == "?":
            yield Piece("one", BUT_SLASH)
        else:
            yield Piece("one", ((ord(letter), ord(letter)),))
        place += 1


@lru_cache(maxsize=4096)
def pieces_of(glob: str) -> Pieces:
    """The glob without its `!`, step by step."""
    names = (glob + "**" if glob.endswith("/") else glob).split("/")
    pieces: list[Piece] = []
    for place, name in enumerate(names):
        last = place == len(names) - 1
        if name == "**":
            pieces.append(REST if last else FOLDERS)
        else:
            pieces.extend(_pieces_of_name(name))
            pieces.extend(() if last else [Piece("one", ((SLASH, SLASH),))])
    return tuple(pieces)


def close(pieces: Pieces, states: Iterable[int]) -> States:
    """Also the places that are reached without a letter."""
    closed = set()
    for state in states:
        closed.add(state)
        while 0 <= state < len(pieces) and pieces[state] in (STAR, FOLDERS):
            state += 1
            closed.add(state)
    return frozenset(closed)


def step(pieces: Pieces, states: States, letter: int) -> States:
    after = []
    for state in states:
        if state < 0:
            after.append(~state if letter == SLASH else state)
        elif state < len(pieces):
            piece = pieces[state]
            if piece is REST:
                after += [state, state + 1]
            elif piece is FOLDERS:
                after += [~state] if letter != SLASH else []
            elif piece is STAR:
                after += [state] if letter != SLASH else []
            elif piece.takes(letter):
                after.append(state + 1)
    return close(pieces, after)


def walk(pieces: Pieces, path: str) -> States:
    states = close(pieces, [0])
    for letter in path:
        if not states:
            break
        states = step(pieces, states, ord(letter))
    return states


def matches(glob: str, path: str) -> bool:
    pieces = pieces_of(glob)
    return len(pieces) in walk(pieces, path)
