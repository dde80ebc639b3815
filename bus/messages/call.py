"""A call: what was asked of a mind in one run, and what it said. One entity a run, with the run's own id."""

import msgspec
from msgspec import field

from bus.messages.base import Command, Event, ToolCall


class ListModels(Command, frozen=True):
    """Who can be asked now, what they cost, and who has to be left alone."""


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens, counted the same way for every provider: `input` holds what was neither read from nor put in a cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


class CallStarted(Event, frozen=True):
    """A completion is about to be bought; whatever happens now, it is not bought a second time under this number."""

    turn: int
    provider: str
    model: str
    reason: str
    reservation: str
    again: int = 0
    local: bool | None = None
    """Whether it runs on a machine of one's own; None: nobody said so then."""


class CallParked(Event, frozen=True):
    """The request waits: for money, or for a provider. `scope` says whose cap or which model."""

    turn: int
    why: str
    scope: str
    until_s: float
    again: int = 0


class TranscriptCondensed(Event, frozen=True):
    """From here on the turns up to `turn` are told by this text."""

    turn: int
    text: str


class ModelReplied(Event, frozen=True):
    """`text` is the mind's thought; `calls` are what it wants done, in this order.

    A long text in the input of a call stands apart, as `{"$blob": sha256, "bytes": n}`; so does a long thought: then
    `text` is its beginning, and `whole` its sha256.
    """

    turn: int
    mind: str
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    again: int = 0
    ms: float = 0
    provider: str = ""
    model: str = ""
    stop: str = ""
    usage: Usage | None = None
    micro: int = 0
    prices: str = ""
    """The version of the price list that `micro`, in millionths of a dollar, was computed with."""
    whole: str = ""


class ModelFailed(Event, frozen=True):
    """`failure` is one of the types that `actors.recovery` knows; `wait_s` is how long the provider wants to rest."""

    turn: int
    mind: str
    failure: str
    reason: str
    again: int = 0
    wait_s: float = 0
    provider: str = ""
    model: str = ""
    micro: int = 0


CallEvent = CallStarted | CallParked | TranscriptCondensed | ModelReplied | ModelFailed
