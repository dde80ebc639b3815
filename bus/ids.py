"""Ids: sortable ones made here, and ones derived from what caused them, so that a repeat finds the first."""

import hashlib
import itertools
import os
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_process = "".join(_ALPHABET[b & 31] for b in os.urandom(8))
_count = itertools.count()
_moment = (-1, "")


def _base32(number: int, pairs: int) -> str:
    out = ""
    for _ in range(pairs):
        out = _PAIRS[number & 1023] + out
        number >>= 10
    return out


def fresh_id() -> str:
    """A new id, later than every id that this process made before: time, count, process."""
    global _moment
    ms = time.time_ns() // 1_000_000
    if ms > _moment[0]:
        _moment = (ms, _base32(ms, 5))
    number = next(_count)
    high, low = _PAIRS[number >> 20 & 1023], _PAIRS[number >> 10 & 1023]
    return f"{_moment[1]}00{high}{low}{_PAIRS[number & 1023]}{_process}"


def derived_id(text: str) -> str:
    """Twelve characters that stand for the text: the same text, the same id."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return _base32(number, 6).lower()
