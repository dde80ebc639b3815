"""Long texts in what a mind wants done: kept apart by their sha256, and put back by whoever needs the words."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from bus.blobs import sha256
from bus.messages.base import Pieces, ToolCall

BLOB = "$blob"
"""A text is `{"$blob": sha256, "bytes": n}` where it stands apart."""
REPLY_MAX_BYTES, CALLS_MAX = 1024 * 1024, 100
CALLS_MAX_BYTES = 22 * 1024
"""What the agent makes of the calls must fit into one commit, and says some of it twice."""
TEXT_MAX_BYTES = 12 * 1024
SHORT_BYTES = (4096, 1024, 256)
"""Longer texts stand apart; the second and the third count when the calls are too many for the first."""


class Apart(NamedTuple):
    """The calls as an event can hold them, and the texts that stand apart."""

    calls: list[ToolCall]
    blobs: list[bytes]


def apart(calls: Sequence[ToolCall]) -> Apart:
    """The calls with as few texts apart as their number allows; they may still be too large."""
    kept = Apart([], [])
    for short in SHORT_BYTES:
        blobs: dict[str, bytes] = {}
        kept = Apart([ToolCall(each.tool, _split(each.input, short, blobs)) for each in calls], list(blobs.values()))
        if len(msgspec.json.encode(kept.calls)) <= CALLS_MAX_BYTES:
            break
    return kept


def too_large(text: str, calls: Sequence[ToolCall], kept: Apart) -> str:
    """Why a reply cannot be taken; empty: it can."""
    size = len(text.encode("utf-8", "replace")) + len(msgspec.json.encode(calls))
    if size > REPLY_MAX_BYTES or len(calls) > CALLS_MAX or len(msgspec.json.encode(kept.calls)) > CALLS_MAX_BYTES:
        return (
            f"a reply of {size:,} bytes and {len(calls)} calls is too large; at most {REPLY_MAX_BYTES:,} bytes and "
            f"{CALLS_MAX} calls: do it in several turns"
        )
    return ""


def whole(input: Pieces, fetch: Callable[[str], bytes]) -> Pieces:
    """The input as the mind said it."""
    put = _whole(input, fetch)
    assert isinstance(put, dict)
    return put


def in_short(value: object) -> str:
    """What a person is shown of a text that may stand apart."""
    return f"({value['bytes']} bytes)" if _is_apart(value) and isinstance(value, dict) else str(value)


def head_of(text: str) -> str:
    """So much of a text as an event holds."""
    content = text.encode("utf-8", "replace")
    return text if len(content) <= TEXT_MAX_BYTES else content[:TEXT_MAX_BYTES].decode(errors="ignore") + " …"


def _split(value: Any, short: int, blobs: dict[str, bytes]) -> Any:
    match value:
        case str():
            content = value.encode("utf-8", "surrogatepass")
            if len(content) <= short:
                return value
            digest = sha256(content)
            blobs[digest] = content
            return {BLOB: digest, "bytes": len(content)}
        case dict():
            # A mind that writes our mark itself means nothing by it.
            return {name.replace(BLOB, "blob"): _split(each, short, blobs) for name, each in value.items()}
        case list() | tuple():
            return [_split(each, short, blobs) for each in value]
    return value


def _whole(value: object, fetch: Callable[[str], bytes]) -> object:
    match value:
        case {"$blob": str(digest)} if _is_apart(value):
            return fetch(digest).decode("utf-8", "surrogatepass")
        case dict():
            return {name: _whole(each, fetch) for name, each in value.items()}
        case list():
            return [_whole(each, fetch) for each in value]
    return value


def _is_apart(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == {BLOB, "bytes"}
