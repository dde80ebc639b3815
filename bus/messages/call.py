"""A call: what was asked of a mind in one run, and what it said. One entity a run, with the run's own id."""

from msgspec import field

from bus.messages.base import Event, ToolCall


class ModelReplied(Event, frozen=True):
    """`text` is the mind's thought; `calls` are what it wants done, in this order."""

    turn: int
    mind: str
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    again: int = 0
    ms: float = 0


class ModelFailed(Event, frozen=True):
    """`failure` is one of the types that `actors.recovery` knows; `wait_s` is how long the provider wants to rest."""

    turn: int
    mind: str
    failure: str
    reason: str
    again: int = 0
    wait_s: float = 0


CallEvent = ModelReplied | ModelFailed
