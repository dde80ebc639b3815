"""Who does a phase, beside what its workflow says: somebody is named for it, or looks at it first, or a person must."""

from typing import Annotated, Literal

from msgspec import Meta

from bus.messages.base import Command, Event, Reason
from bus.subjects import Token

Nobody = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{0,64}\Z")]
"""A name, or empty."""
Urgency = Literal["low", "medium", "high", "critical"]


class AssignTask(Command, frozen=True):
    """Say who does the task's next phase, or its present one if nobody has begun it. `auto`: the rules say it.

    An architect of the rules does not do the phase of somebody else: it looks at it first, and what it says is told to
    whoever does it.
    """

    task_id: Token
    agent: Nobody = ""
    role: Nobody = ""
    auto: bool = False
    reason: Reason = ""
    by: Token = "person"


class EscalateTask(Command, frozen=True):
    """Stop, and let a person decide."""

    task_id: Token
    reason: Annotated[str, Meta(min_length=1, max_length=2000)]
    urgency: Urgency = "medium"
    by: Token = "person"


class TaskRouted(Event, frozen=True):
    """Who does the phase, or looks at it first if `review`. `agent` is empty when anybody of the role may."""

    phase: str
    role: str
    agent: str = ""
    reason: str = ""
    confidence: float = 1.0
    complexity: float = 1.0
    by: str = ""
    review: bool = False


class ReviewAssigned(Event, frozen=True):
    """Somebody looks at the phase before it is done: why it failed, or how it should be done."""

    phase: str
    agent: str
    role: str
    run: str
    epoch: int = 1
    because: str = ""


class ReviewEnded(Event, frozen=True):
    """`advice` is told to whoever does the phase; without it the phase is done as if nobody had looked at it."""

    phase: str
    agent: str
    run: str
    ok: bool
    advice: str = ""
    reason: str = ""
