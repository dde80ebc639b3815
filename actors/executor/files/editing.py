"""Editing: one text of a file replaced by another, and a helpful word where it is not there."""

import difflib
import heapq

from actors import tools
from actors.executor.files.room import READ_MAX_BYTES, Outcome, Room
from bus.errors import Invalid

PLACES_MAX = 10
COMPARED_LINES_MAX = 5_000
COMPARED_LETTERS_MAX = 200
NEAR = 0.6
BOM = "\ufeff"


def edit(room: Room, tool: tools.Edit, redo: bool) -> Outcome:
    """What is already so is done: a step may be repeated after a crash, and a mind may forget."""
    path = room.writable(tool.path)
    text = _text(path, room.load(path).content)
    old, new = _with_its_line_ends(text, tool.old), _with_its_line_ends(text, tool.new)
    if old == new:
        return Outcome(False, "`old` and `new` are the same; nothing was changed", "unknown")
    places = _places(text, old)
    if redo and _was_done(text, old, new):
        return Outcome(True, f"{path} is already so", wrote=(path,))
    if not places and new and new in text:
        return Outcome(True, f"{path} is already so: `old` is not in it and `new` is; nothing was changed")
    if not places:
        return Outcome(False, f"`old` is not in {path}; nothing was changed. {_nearest(text, old)}", "unknown")
    if len(places) > 1 and not tool.all:
        return Outcome(False, _ambiguous(path, text, places), "unknown")
    try:
        content = text.replace(old, new).encode()
    except UnicodeEncodeError as error:
        raise Invalid(f"`new` cannot be written in UTF-8: {error.reason}", "Say it without such letters.") from error
    if len(content) > READ_MAX_BYTES:
        raise Invalid(f"{path} would have {len(content):,} bytes; the most is {READ_MAX_BYTES:,}", "Replace less.")
    room.save(path, content)
    return Outcome(True, _edited(path, text, places[0], text.count(old)), wrote=(path,))


def replaced(path: str, content: bytes, old: str, new: str) -> bytes:
    """The file with `new` in place of `old`, which must stand in it exactly once."""
    text = _text(path, content)
    old, new = _with_its_line_ends(text, old), _with_its_line_ends(text, new)
    places = _places(text, old)
    if not places:
        raise Invalid(f"`old` is not in {path}. {_nearest(text, old)}", "Quote the file as it is.")
    if len(places) > 1:
        raise Invalid(_ambiguous(path, text, places), "Quote more of it.")
    try:
        return text.replace(old, new).encode()
    except UnicodeEncodeError as error:
        raise Invalid(f"`new` cannot be written in UTF-8: {error.reason}", "Say it without such letters.") from error


def _text(path: str, content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"{path!r} is not UTF-8 (byte {error.start:,})", "Change it by a command.") from error
    if "\0" in text:
        raise Invalid(f"{path!r} is a binary file", "Change it by a command.")
    return text


def _with_its_line_ends(text: str, said: str) -> str:
    """A file whose lines all end in CR LF keeps them so, however `old` and `new` are said."""
    if 0 < text.count("\n") == text.count("\r\n"):
        return said.replace("\r\n", "\n").replace("\n", "\r\n")
    return said


def _places(text: str, old: str) -> list[int]:
    """Where it stands, also where it overlaps itself."""
    found, place = [], text.find(old)
    while place >= 0:
        found.append(place)
        place = text.find(old, place + 1)
    return found


def _was_done(text: str, old: str, new: str) -> bool:
    """Whether a first try can have been here: no `old` is left but within a `new`. NUL keeps the pieces apart."""
    return old not in text if not new else new in text and old not in text.replace(new, "\0")


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _edited(path: str, text: str, place: int, times: int) -> str:
    where = f"from line {_line(text, place):,} on" if times > 1 else f"at line {_line(text, place):,}"
    return f"edited {path}: replaced {'once' if times == 1 else f'{times:,} times'}, {where}"


def _ambiguous(path: str, text: str, places: list[int]) -> str:
    lines = ", ".join(str(_line(text, place)) for place in places[:PLACES_MAX])
    more = f" and {len(places) - PLACES_MAX:,} more" if len(places) > PLACES_MAX else ""
    return (
        f"`old` is in {path} {len(places):,} times, at lines {lines}{more}; nothing was changed. "
        "Say more of what stands around the one that is meant, or set `all`."
    )


def _nearest(text: str, old: str) -> str:
    """The lines that come closest to the first line of `old`, and where the best of them begins to differ."""
    wanted = [line for line in old.splitlines() if line.strip()]
    if not wanted:
        return "`old` is nothing but white space."
    lines = text.removeprefix(BOM).splitlines()
    found = _near(lines[:COMPARED_LINES_MAX], wanted[0])
    if not found:
        return "Nothing in it is like the first line of `old`; read the file again."
    said = "; ".join(f"line {place + 1}: {_short(lines[place])!r}" for place in found)
    return f"Nearest is {said}.{_difference(lines, found[0], old.strip(chr(10)).splitlines())}"


def _short(line: str) -> str:
    return line[:COMPARED_LETTERS_MAX]


def _near(lines: list[str], wanted: str) -> list[int]:
    """At most three places; the cheap measure chooses whom the dear one is asked about."""
    matcher = difflib.SequenceMatcher(None, "", _short(wanted).strip(), autojunk=False)
    rough = []
    for place, line in enumerate(lines):
        matcher.set_seq1(_short(line).strip())
        if matcher.real_quick_ratio() >= NEAR and (ratio := matcher.quick_ratio()) >= NEAR:
            rough.append((ratio, -place))
    scored = []
    for _, place in heapq.nlargest(20, rough):
        matcher.set_seq1(_short(lines[-place]).strip())
        scored.append((matcher.ratio(), place))
    return [-place for ratio, place in heapq.nlargest(3, scored) if ratio >= NEAR]


def _difference(lines: list[str], start: int, old: list[str]) -> str:
    for place, said in enumerate(old):
        there = lines[start + place] if start + place < len(lines) else None
        if there is None:
            return f" The file ends before line {place + 1} of `old`."
        if there != said:
            only = ", which differs in white space only" if there.split() == said.split() else ""
            return f" Line {start + place + 1} is {_short(there)!r}, where `old` has {_short(said)!r}{only}."
    return ""
