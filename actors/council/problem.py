"""What council, executor and treasurer tell each other by texts in the blob store: problem, proposal, words."""

from typing import Annotated

import msgspec
from msgspec import Meta, field

from actors.tools import Path
from bus.errors import Invalid

KINDS = (
    "syntax_error",
    "missing_name",
    "wrong_result",
    "exception",
    "timeout",
    "dependency",
    "design",
    "external_api",
    "other",
)
"""The types of problems that are told apart."""
PROPOSAL_MAX_BYTES = 256 * 1024


class Brief(msgspec.Struct, frozen=True):
    """What the log knows of a problem."""

    task: str
    phase: str
    failure: str
    error: str
    attempts: list[str]
    constraints: list[str]
    agent: str
    run: str
    territory: list[str]
    repo: str
    base: str
    produces: str = ""


class Source(msgspec.Struct, frozen=True):
    """One file of the tree, or as much of it as there is room for."""

    path: str
    text: str
    whole: bool = True


class Problem(msgspec.Struct, frozen=True):
    """Everything that a member is told, with secrets taken out."""

    kind: str
    task: str
    phase: str
    failure: str
    error: str
    attempts: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    files: list[Source] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Files that there was no room for, by name."""
    tests: str = ""
    territory: list[str] = field(default_factory=list)


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Replace `old`, which stands in the file exactly once, by `new`; with an empty `old`, `new` is the whole file."""

    path: Path
    new: str
    old: str = ""


class Proposal(msgspec.Struct, frozen=True):
    """What a member answers."""

    changes: Annotated[list[Change], Meta(min_length=1, max_length=50)]
    explanation: Annotated[str, Meta(max_length=20_000)] = ""
    confidence: Annotated[float, Meta(ge=0, le=1)] = 0.5


class Part(msgspec.Struct, frozen=True):
    """Words of a prompt; `source` says where untrusted ones come from and is empty for our own."""

    text: str
    source: str = ""


class Words(msgspec.Struct, frozen=True):
    """A whole prompt: what is asked for, and of whom, says `OpinionAsked`."""

    system: str
    parts: list[Part]
    output_max_tokens: int
    schema: dict[str, object] = field(default_factory=dict)
    """The JSON schema of the reply."""


read_brief = msgspec.json.Decoder(Brief).decode
read_whole_problem = msgspec.json.Decoder(Problem).decode
read_words = msgspec.json.Decoder(Words).decode
_read = msgspec.json.Decoder(Proposal).decode


def read_proposal(content: bytes) -> Proposal:
    """A proposal as it is kept, or an error that says what is wrong with it."""
    if len(content) > PROPOSAL_MAX_BYTES:
        raise Invalid(f"a proposal of {len(content)} bytes is over the limit of {PROPOSAL_MAX_BYTES}")
    try:
        return _read(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"the proposal cannot be read: {error}") from error
