"""What keys look like, whoever they belong to: found by their shape where their value is not known."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple


class Span(NamedTuple):
    """A secret from `start` up to `end`, and how it is called."""

    start: int
    end: int
    name: str


class _Shape(NamedTuple):
    name: str
    begin: bytes
    pattern: re.Pattern[bytes]


def _shapes(name: str, rest: bytes, *begins: bytes) -> list[_Shape]:
    """One pattern for each beginning: a text is searched for a beginning much faster than for one of several."""
    return [_Shape(name, begin, re.compile(re.escape(begin) + rest)) for begin in begins]


def _keys(name: str, rest: bytes, *begins: bytes) -> list[_Shape]:
    """The same for what never begins in the middle of a word."""
    return [shape for each in begins for shape in _shapes(name, rb"(?<![A-Za-z0-9_]%b)" % re.escape(each) + rest, each)]


_BLOCK = (
    rb"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=\s]|\\+[nr]|(?:Proc-Type|DEK-Info): [A-Z0-9,-]{1,80})*"
    rb"(?:-----END [A-Z0-9 ]{1,60}-----)?"
)
_SHAPES = (
    *_shapes("private-key", _BLOCK, b"-----BEGIN "),
    *_keys("key", rb"[A-Za-z0-9_-]{16,}", b"sk-"),
    *_keys("github-token", rb"[A-Za-z0-9_]{20,}", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"),
    *_keys("gitlab-token", rb"[A-Za-z0-9_-]{16,}", b"glpat-"),
    *_keys("aws-key", rb"[A-Z0-9]{16}(?![A-Za-z0-9])", b"AKIA", b"ASIA"),
    *_keys("google-key", rb"[A-Za-z0-9_-]{30,}", b"AIza"),
    *_keys("google-token", rb"[A-Za-z0-9_-]{20,}", b"ya29."),
    *_keys("slack-token", rb"-[A-Za-z0-9-]{10,}", b"xoxb", b"xoxa", b"xoxp", b"xoxr", b"xoxs", b"xoxe"),
    *_keys("stripe-key", rb"[A-Za-z0-9]{16,}", b"sk_live_", b"rk_live_", b"sk_test_", b"rk_test_", b"whsec_"),
    *_keys("registry-token", rb"[A-Za-z0-9_-]{30,}", b"npm_", b"pypi-", b"hf_", b"dop_v1_", b"gsk_", b"xai-"),
    *_keys("jwt", rb"[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?", b"eyJ"),
)  # fmt: skip
_LETTER = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")

_WORDS = (
    *(b"passwd", b"password", b"passwort", b"pwd", b"passphrase", b"secret", b"token", b"credential"),
    *(kind + joint + b"key" for kind in (b"api", b"access", b"private", b"auth") for joint in (b"", b"_", b"-")),
)
_IS = rb"[\w-]{0,20}[\\\"']{0,4}\s{0,4}[:=]>?\s{0,4}[\\\"']{0,4}"
_VALUE = rb"([a-z0-9+/=_.~!@#$%^&*-]{8,512})"
_GIVEN = (
    *_shapes("password", _IS + _VALUE, *_WORDS),
    *_shapes("password", rb"\s{1,4}" + _VALUE, b"bearer", b"basic"),
)
(_IN_ADDRESS,) = _shapes("password", rb"[^\s:/@\"']{0,200}:([^\s@/\"']{8,200})@", b"://")
_GOING_ON = re.compile(rb"(?:(?:" + b"|".join(_WORDS) + rb")" + _IS + rb"|(?:bearer|basic)\s{1,4})\Z")
_HEADER_BEGUN = re.compile(rb"-{1,5}(?:B[A-Z0-9 ]{0,60}-{0,5})?\Z")
_TOKEN_CHARS = bytes(each for each in range(33, 127) if chr(each) not in "()[]{}<>,;|`")
TOKEN_MAX_BYTES, BLOCK_MAX_BYTES = 4096, 16 * 1024


def shapes_in(text: bytes) -> Iterator[Span]:
    """Every place that looks like a key."""
    for name, begin, pattern in _SHAPES:
        if begin in text:
            for found in pattern.finditer(text):
                yield Span(found.start(), found.end(), name)
    small = text.lower()
    for name, begin, pattern in (*_GIVEN, _IN_ADDRESS):
        if begin in small:
            for found in pattern.finditer(small):
                start, end = found.span(1)
                if looks_random(text[start:end]):
                    yield Span(start, end, name)


def looks_random(value: bytes) -> bool:
    """In some word of it digits and letters, or small letters and capitals, change places more often than in names."""
    return any(map(_is_random, re.findall(r"[A-Za-z0-9]{6,}", value.decode("ascii", "replace"))))


def _is_random(word: str) -> bool:
    numbers = sum(a.isdigit() != b.isdigit() for a, b in pairwise(word))
    kinds = sum((a.isdigit(), a.isupper()) != (b.isdigit(), b.isupper()) for a, b in pairwise(word))
    return numbers >= 2 or (len(word) >= 16 and kinds > len(word) / 2)


def unfinished(text: bytes) -> int:
    """Where the last thing begins that may turn out to be a key when more of the text is known."""
    start = len(text.rstrip(_TOKEN_CHARS))
    if not any(each in _LETTER for each in text[start:]):
        start = len(text)
    start = max(start, len(text) - TOKEN_MAX_BYTES)
    if said := _GOING_ON.search(text[max(0, start - 64) : start].lower()):
        start = max(0, start - 64) + said.start()
    if header := _HEADER_BEGUN.search(text, max(0, len(text) - 80)):
        start = min(start, header.start())
    block = text.rfind(_SHAPES[0].begin, max(0, len(text) - BLOCK_MAX_BYTES))
    if block >= 0 and (found := _SHAPES[0].pattern.match(text, block)):
        is_open = b"-----END" not in found[0] and len(text) - found.end() <= 80
        start = min(start, block) if is_open else start
    return start
