"""What every command and every event has in common."""

from typing import Annotated

import msgspec
from msgspec import Meta

from bus.subjects import Token

Reason = Annotated[str, Meta(max_length=2000)]
Pieces = dict[str, object]


class Event(msgspec.Struct, frozen=True, tag_field="type", tag=True, omit_defaults=True, gc=False):
    """Something that happened."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that somebody wants. A repeated `id` is executed once."""

    id: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\A[^\x00-\x1f\x7f]*\Z")] | None = None


class Artifact(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a phase produced: its text here when it is small, in the blob store under its sha256 when it is not."""

    name: str
    type: str
    sha256: str
    bytes: int
    content: str | None = None


class Input(msgspec.Struct, frozen=True):
    """Where an earlier phase left its artifacts."""

    phase: str
    agent: Token
    run: Token
