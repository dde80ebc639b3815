"""An agent's queue: what it was given to do. The roster entity says who there is."""

from typing import Annotated

import msgspec
from msgspec import Meta, field

from bus.messages.base import Command, Event, Input, Pieces, Recovery
from bus.subjects import Token

Glob = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\A[^\x00-\x1f]*\Z")]
EVERYWHERE = "**"


class RegisterAgent(Command, frozen=True):
    """An agent that can take work has come up."""

    agent: Token
    role: Token
    capacity: Annotated[int, Meta(ge=1, le=100_000)] = 1
    territory: Annotated[list[Glob], Meta(max_length=50)] = field(default_factory=lambda: [EVERYWHERE])
    """Where in a repository it may write."""


class Alive(msgspec.Struct, frozen=True):
    """A heartbeat on `live.heartbeat.<agent>`: these runs are being worked on. It is never stored."""

    agent: Token
    runs: list[Token]


class AgentJoined(Event, frozen=True):
    agent: str
    role: str
    capacity: int = 1
    territory: list[str] = field(default_factory=lambda: [EVERYWHERE])


class WorkAssigned(Event, frozen=True):
    run: str
    task: str
    phase: str
    role: str
    text: str
    attempt: int = 1
    lease_s: float = 60
    context: Pieces = field(default_factory=dict)
    inputs: list[Input] = field(default_factory=list)
    recovery: Recovery | None = None
    produces: str = "artifact"
    checklist: list[str] = field(default_factory=list)


class WorkRevoked(Event, frozen=True):
    run: str
    reason: str


AgentEvent = AgentJoined | WorkAssigned | WorkRevoked
