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


class Artifact(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a phase produced: its text here when it is small, in the blob store under its sha256 when it is not."""

    name: str
    type: str
    sha256: str
    bytes: int
    content: str | None = None


class Input(msgspec.Struct, frozen=True, gc=False):
    """Where an earlier phase left its artifacts."""

    phase: str
    agent: Token
    run: Token


class Excerpt(msgspec.Struct, frozen=True, omit_defaults=True):
    """A text that may be long: all of it, or its head and tail, and then the whole is in the blob store."""

    text: str
    bytes: int = 0
    sha256: str = ""
    """Where the whole is kept; empty: nothing is left out."""


class ToolCall(msgspec.Struct, frozen=True):
    """What a mind wants done. `input` fits the tool's own struct, or the call is refused."""

    tool: str
    input: Pieces


class TestResults(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a test run came to, counted from its own report."""

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    failures: list[str] = []
    """The names of the tests that did not pass; the first fifty."""

    @property
    def green(self) -> bool:
        return self.passed > 0 and not self.failed and not self.errors


class Recovery(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a phase is done once more, and what is to be done differently."""

    failure: str
    strategy: str
    hint: str
    error: str
    tries: int = 1
    tier: int = 0
    solution: str = ""
    """The sha256 of a council's answer, which is applied and tested before the mind's first turn."""
    tests: str = ""
    """The command that it is tested by; empty: what the project's files suggest."""
