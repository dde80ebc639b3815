"""What .gitignore says, read without git: patterns come from the agent, and matching them may never blow up."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

Level = tuple[int, "list[Pattern]"]
"""How many folders deep a file of patterns stands, and what it says."""

_CLASSES = {
    b"alnum": rb"0-9A-Za-z",
    b"alpha": rb"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": rb"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    b"space": rb" \t\n\r\f\v",
    b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}
_STAR, _SLASH = b"*", b"/"


class Pattern(NamedTuple):
    """One line. A segment is what one name must match; None stands for `**`: any number of names."""

    segments: "tuple[re.Pattern[bytes] | None, ...]"
    keep: bool
    folders_only: bool
    anywhere: bool

    def matches(self, names: Sequence[bytes], folder: bool) -> bool:
        if self.folders_only and not folder:
            return False
        return _fits(self.segments, names[-1:] if self.anywhere else names)


def ignored(levels: Sequence[Level], names: Sequence[bytes], folder: bool) -> bool:
    """What the last pattern that fits says, the deepest file first."""
    for depth, patterns in reversed(levels):
        inside = names[depth:]
        for pattern in reversed(patterns):
            if pattern.matches(inside, folder):
                return not pattern.keep
    return False


def read_patterns(text: bytes) -> list[Pattern]:
    lines = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    read = (_read_line(line.removesuffix(b"\r")) for line in lines if line and not line.startswith(b"#"))
    return [pattern for pattern in read if pattern is not None]


def _fits(segments: "Sequence[re.Pattern[bytes] | None]", names: Sequence[bytes]) -> bool:
    """As with `*` in a name, only the last `**` ever needs to be widened: the time is bounded by the product."""
    at = here = 0
    widened: tuple[int, int] | None = None
    while here < len(names):
        more = at < len(segments)
        segment = segments[at] if more else None
        if more and segment is None:
            if at + 1 == len(segments):
                return True
            widened = (at, here)
            at += 1
        elif segment is not None and segment.match(names[here]):
            at, here = at + 1, here + 1
        elif widened:
            widened = (widened[0], widened[1] + 1)
            at, here = widened[0] + 1, widened[1]
        else:
            return False
    return at == len(segments)


def _read_line(line: bytes) -> Pattern | None:
    line = _without_trailing_spaces(line)
    keep = line.startswith(b"!")
    line = line[1:] if keep else line
    folders_only = line.endswith(b"/")
    line = line[:-1] if folders_only else line
    if not line:
        return None
    try:
        tokens = list(_tokens(line))
    except ValueError:
        return None
    anywhere = b"/" not in line
    parts: list[list[bytes]] = [[]]
    for token in tokens[1:] if tokens[0] == _SLASH else tokens:
        if token == _SLASH:
            parts.append([])
        else:
            parts[-1].append(token)
    segments = (None if not anywhere and len(part) > 1 and set(part) == {_STAR} else _segment(part) for part in parts)
    return Pattern(tuple(segments), keep, folders_only, anywhere)


def _without_trailing_spaces(line: bytes) -> bytes:
    bare = line.rstrip(b" ")
    slashes = len(bare) - len(bare.rstrip(b"\\"))
    return bare + b" " if slashes % 2 and len(bare) < len(line) else bare


def _segment(tokens: Sequence[bytes]) -> "re.Pattern[bytes]":
    """Atomic groups: once the text between two stars was found, no other place for it is tried."""
    fixed: list[bytes] = [b""]
    for place, token in enumerate(tokens):
        if token == _STAR:
            if place == 0 or tokens[place - 1] != _STAR:
                fixed.append(b"")
        else:
            fixed[-1] += token
    if len(fixed) == 1:
        return re.compile(fixed[0] + rb"\Z", re.DOTALL)
    middle = b"".join(b"(?>.*?" + part + b")" for part in fixed[1:-1])
    return re.compile(fixed[0] + middle + b".*" + fixed[-1] + rb"\Z", re.DOTALL)


def _tokens(line: bytes) -> Iterator[bytes]:
    """Each as a piece of a regular expression, but for stars and slashes; ValueError: this can never match."""
    at = 0
    while at < len(line):
        byte = line[at : at + 1]
        at += 1
        if byte == b"\\":
            if at == len(line):
                raise ValueError("a backslash at the end")
            byte = line[at : at + 1]
            at += 1
            yield byte if byte == _SLASH else re.escape(byte)
        elif byte == b"[":
            piece, at = _bracket(line, at)
            yield piece
        elif byte == b"?":
            yield b"."
        else:
            yield byte if byte in (_STAR, _SLASH) else re.escape(byte)


def _bracket(line: bytes, at: int) -> tuple[bytes, int]:
    """The set that begins here, and where it ends."""
    negated = line[at : at + 1] in (b"!", b"^")
    at += negated
    begin, inside, before = at, b"", -1
    while line[at : at + 1] != b"]" or at == begin:
        if line.startswith(b"[:", at) and (end := line.find(b":]", at)) > 0:
            inside += _CLASSES.get(line[at + 2 : end], b"") or _never()
            at, before = end + 2, -1
            continue
        dash = before >= 0 and line[at : at + 1] == b"-" and line[at + 1 : at + 2] not in (b"]", b"")
        at += dash
        at += line[at : at + 1] == b"\\"
        if at >= len(line):
            _never()
        byte = line[at]
        if dash:
            inside += b"\\x%02x-\\x%02x" % (before, byte) if before <= byte else b""
        else:
            inside += b"\\x%02x" % byte
        at, before = at + 1, -1 if dash else byte
    if not inside:
        _never()
    return (b"[^" if negated else b"[") + inside + b"]", at + 1


def _never() -> bytes:
    raise ValueError("not a set")
