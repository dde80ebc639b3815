"""Secrets are taken out of texts: known values however they are written, and whatever has the shape of a key.

Of a text and of a secret only letters and digits are compared, in small letters. So a secret is found though it is
broken over lines, spaced out, quoted in pieces or in another case; and the same comparison finds its hex form and its
base64, wherever in a longer text that began. A second look sees through `%41`, `\\u0041`, `\\x41`, `\\n` and `&amp;`.
All of it is linear in the text. Not found: what is compressed, encrypted, reversed or encoded twice, and a secret
with other letters put between its own; one with fewer than eight letters and digits is found only as it is, in hex
and in base64, not in pieces.
"""

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

from actors.shapes import Span, shapes_in, unfinished

SECRET_MIN_CHARS = 8
"""Shorter ones would be found everywhere."""
GAP_MAX_BYTES = 100
"""So much may stand between two letters of a secret."""
SHORT_BYTES, SHORT_KEPT = 4000, 200
"""Names of tools and models come again and again; what a model says is told aloud, on the log and in prompts."""

_SMALL = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")
_LEFT_OUT = bytes(each for each in range(128) if not chr(each).isalnum())
_label = re.compile(rb"\[redacted [A-Za-z0-9_.-]{1,64}\]")
_PERCENT, _BACKSLASH, _ENTITY = (
    rb"[0-9A-Fa-f]{2}",
    rb"(?:u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2})",
    rb"(?:#\d{1,6}|#[xX][0-9A-Fa-f]{1,5}|[a-z]{2,4});",
)
_ESCAPES = [re.compile(begin + rest) for begin, rest in ((b"%", _PERCENT), (rb"\\", _BACKSLASH), (b"&", _ENTITY))]
_ALL_ESCAPES = re.compile(rb"[%%\\&](?:(?<=%%)%b|(?<=\\)%b|(?<=&)%b)" % (_PERCENT, _BACKSLASH, _ENTITY))
_begun_escape = re.compile(
    rb"(?:%[0-9A-Fa-f]?|\\(?:u[0-9A-Fa-f]{0,3}|x[0-9A-Fa-f]?)?|\\u[dD][89abAB][0-9A-Fa-f]{2}(?:\\(?:u[0-9A-Fa-f]{0,3})?)?"
    rb"|&#?\w{0,6})\Z"
)
_ENTITIES = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}


class _View:
    """A text as it stands, or with some escapes resolved; `plain` is that, `folded` what is left of it."""

    def __init__(self, text: bytes, escape: re.Pattern[bytes] | None = None) -> None:
        self._text, self._escape = text, escape
        self.plain = escape.sub(_meant, text) if escape else text
        self.folded = self.plain.translate(_SMALL, _LEFT_OUT)

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """Where each byte of `plain` stands in the text."""
        places: list[tuple[int, int]] = []
        done = 0
        for each in self._escape.finditer(self._text) if self._escape else ():
            places += [(at, at + 1) for at in range(done, each.start())]
            places += [each.span()] * len(_meant(each))
            done = each.end()
        return places + [(at, at + 1) for at in range(done, len(self._text))]

    @cached_property
    def folded_places(self) -> list[tuple[int, int]]:
        """Where each byte of `folded` stands in the text."""
        return [place for place, byte in zip(self.places, self.plain, strict=True) if byte not in _LEFT_OUT]

    def spans(self, needle: bytes, exact: bool) -> Iterator[tuple[int, int]]:
        """Everywhere that it stands."""
        within = self.plain if exact else self.folded
        at = within.find(needle)
        while at >= 0:
            places = (self.places if exact else self.folded_places)[at : at + len(needle)]
            if all(b[0] - a[1] <= GAP_MAX_BYTES for a, b in pairwise(places)):
                yield places[0][0], places[-1][1]
            at = within.find(needle, at + 1)

    def begun(self, needle: bytes, exact: bool) -> int:
        """Where the text's end begins that is the needle's beginning."""
        within = self.plain if exact else self.folded
        for length in range(min(len(needle) - 1, len(within)), 0, -1):
            if within.endswith(needle[:length]):
                return (self.places if exact else self.folded_places)[-length][0]
        return len(self._text)


class Redactor:
    """Takes secrets out: the values that it is given, and everything that looks like a key."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._needles: dict[tuple[bytes, bool], str] = {}
        """By how they are looked for: as they are left when folded, or exactly, where too little would be left."""
        for name, value in secrets.items():
            if len(value) >= SECRET_MIN_CHARS:
                self._know(re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:64] or "secret", value)
        self._short = lru_cache(SHORT_KEPT)(self._without)

    def _know(self, name: str, value: str) -> None:
        content = value.encode("utf-8", "surrogatepass")
        lines = [line.strip() for line in content.splitlines() if len(line.strip()) >= 2 * SECRET_MIN_CHARS]
        for each in (content, *lines):
            for written in _written(each):
                folded = written.translate(_SMALL, _LEFT_OUT)
                exact = len(folded) < SECRET_MIN_CHARS
                self._needles.setdefault((written if exact else folded, exact), name)

    def text(self, text: str) -> str:
        """The text without secrets; the very same when there are none."""
        content = text.encode("utf-8", "surrogatepass")
        redacted = self.raw(content)
        return text if redacted is content else redacted.decode("utf-8", "surrogatepass")

    def raw(self, content: bytes) -> bytes:
        """The same for bytes; a short content that comes again is not looked through again."""
        redacted = self._short(content) if len(content) <= SHORT_BYTES else self._without(content)
        return content if redacted == content else redacted

    def _without(self, content: bytes) -> bytes:
        """What is shorter than any secret holds none."""
        while len(content) >= SECRET_MIN_CHARS and (spans := self._spans(content)):
            pieces, done = [], 0
            for start, end, name in spans:
                pieces += [content[done:start], b"[redacted %b]" % name.encode()]
                done = end
            content = b"".join([*pieces, content[done:]])
        return content

    def tree(self, value: Any) -> Any:
        """The same for all texts in lists and dictionaries, names included."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.tree(name): self.tree(each) for name, each in value.items()}
            case list() | tuple():
                return [self.tree(each) for each in value]
        return value

    def stream(self) -> "Stream":
        return Stream(self)

    def settled(self, content: bytes) -> int:
        """Up to where nothing can turn out to be a secret when more comes."""
        cut = unfinished(content)
        if escape := _begun_escape.search(content, max(0, len(content) - 100)):
            cut = min(cut, escape.start())
        for view in _views(content[: escape.start()] if escape else content):
            cut = min([cut, *(view.begun(needle, exact) for needle, exact in self._needles)])
        return next((span.start for span in self._spans(content) if span.start < cut < span.end), cut)

    def _spans(self, content: bytes) -> list[Span]:
        """All secrets from left to right; those that overlap are one. What was redacted is not looked at again."""
        found: list[Span] = []
        start = 0
        for end, resume in [*(each.span() for each in _label.finditer(content)), (len(content), 0)]:
            part = content[start:end]
            found += [Span(start + each.start, start + each.end, each.name) for each in self._within(part)]
            start = resume
        spans: list[Span] = []
        for each in sorted(found):
            if spans and each.start < spans[-1].end:
                last = spans.pop()
                name = last.name if last.end - last.start >= each.end - each.start else each.name
                each = Span(last.start, max(last.end, each.end), name)
            spans.append(each)
        return spans

    def _within(self, part: bytes) -> Iterator[Span]:
        views = _views(part)
        yield from shapes_in(part)
        for view in views:
            for (needle, exact), name in self._needles.items():
                if needle in (view.plain if exact else view.folded):
                    yield from (Span(*place, name) for place in view.spans(needle, exact))


class Stream:
    """Takes secrets out of a text that comes in pieces: what may be the beginning of one is kept back."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor, self._held = redactor, b""

    def feed(self, piece: bytes) -> bytes:
        """What can be told now."""
        content = self._held + piece
        cut = self._redactor.settled(content)
        self._held = content[cut:]
        return self._redactor.raw(content[:cut])

    def close(self, piece: bytes = b"") -> bytes:
        """The rest, and a last piece."""
        rest, self._held = self._held + piece, b""
        return self._redactor.raw(rest)


def _views(text: bytes) -> list[_View]:
    """As it stands, and with its escapes resolved: those of line ends, each other kind, and all together.

    What looks like an escape may be part of the secret itself, so nothing is resolved in all of them.
    """
    calm = text
    if b"\\" in text:
        for escape in (b"\\n", b"\\r", b"\\t"):
            calm = calm.replace(escape, b"  ")  # as long as before, so that nothing moves
    texts = dict.fromkeys((text, calm))
    found = [escape for escape in _ESCAPES if escape.search(text)]
    views = [_View(each) for each in texts]
    together = [_ALL_ESCAPES] if len(found) > 1 else []
    views += [_View(each, escape) for escape in found for each in (texts if not together else [text])]
    return views + [_View(each, escape) for escape in together for each in texts]


def _written(value: bytes) -> Iterator[bytes]:
    """The value as it is, in hex, and what of its base64 does not depend on what stands around it."""
    yield from (value, value.hex().encode(), re.sub(rb"[\"\\]", rb"\\\g<0>", value))
    for before in range(3):
        first, last = -(-8 * before // 6), 8 * (before + len(value)) // 6
        yield b64encode(bytes(before) + value + bytes(2))[first:last]
        yield urlsafe_b64encode(bytes(before) + value + bytes(2))[first:last]


def _meant(unit: re.Match[bytes]) -> bytes:
    """What an escape stands for."""
    said = unit[0]
    match said[:1], said[1:2]:
        case b"%", _:
            return bytes.fromhex(said[1:].decode())
        case b"\\", b"u":
            units = bytes.fromhex(said.replace(b"\\u", b"").decode())
            return units.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")
        case b"\\", b"x":
            return bytes.fromhex(said[2:].decode())
        case b"&", b"#":
            number = int(said[3:-1], 16) if said[2:3] in b"xX" else int(said[2:-1])
            return chr(min(number, 0x10FFFF)).encode("utf-8", "surrogatepass")
        case b"&", _:
            return _ENTITIES.get(said[1:-1], said)
    return said
