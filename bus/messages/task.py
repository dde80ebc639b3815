"""A task and its pipeline: what the orchestrator is asked for, and what became of it."""

from typing import Annotated

from msgspec import Meta, field

from bus.messages.base import Command, Event, Pieces, Reason
from bus.messages.routing import ReviewAssigned, ReviewEnded, TaskRouted
from bus.subjects import Token

Text = Annotated[str, Meta(min_length=1, max_length=20_000)]


class SubmitTask(Command, frozen=True):
    """Build this. `phases` picks some of the workflow's phases; `context` goes to every agent."""

    task: Text
    workflow: Token = "tiered"
    phases: list[Token] | None = None
    priority: Annotated[int, Meta(ge=0, le=9)] = 0
    context: Pieces = field(default_factory=dict)
    repo: Annotated[str, Meta(max_length=4096, pattern=r"\A[^\x00-\x1f]*\Z")] = ""
    """The git repository to work in; empty: a fresh one of the task's own."""
    base: Annotated[str, Meta(max_length=200, pattern=r"\A(?!-)[^\x00-\x20~^:?*\[\\]*\Z")] = ""
    """The branch to begin at and to merge into; empty: the one that is checked out."""
    required_actions: Annotated[list[Annotated[str, Meta(max_length=500)]], Meta(max_length=100)] = field(
        default_factory=list
    )
    """The checklist; numbered steps in the text make one when this is empty."""


class CancelTask(Command, frozen=True):
    """Stop working on this task."""

    task_id: Token
    reason: Reason = ""


class ResetTask(Command, frozen=True):
    """Take the current phase of a stuck or failed task up again with a fresh agent."""

    task_id: Token
    reason: Reason = ""


class TaskSubmitted(Event, frozen=True):
    task: str
    workflow: str
    phases: list[str]
    priority: int = 0
    context: Pieces = field(default_factory=dict)
    repo: str = ""
    base: str = ""
    checklist: list[str] = field(default_factory=list)


class PipelineStarted(Event, frozen=True):
    pass


class PhaseRequested(Event, frozen=True):
    phase: str
    role: str
    attempt: int = 1


class PhaseAssigned(Event, frozen=True):
    phase: str
    agent: str
    run: str
    epoch: int = 1


class AssignmentLost(Event, frozen=True):
    phase: str
    agent: str
    run: str
    reason: str


class PhaseCompleted(Event, frozen=True):
    phase: str
    agent: str
    run: str


class PhaseFailed(Event, frozen=True):
    phase: str
    agent: str
    run: str
    reason: str
    attempt: int = 1
    failure: str = "unknown"


class RecoveryStarted(Event, frozen=True):
    """A phase failed in a known way, and this is what is tried; not before `not_before_s`, in seconds of the epoch."""

    phase: str
    failure: str
    severity: str
    strategy: str
    tier: int
    tries: int
    hint: str
    error: str
    not_before_s: float = 0
    solution: str = ""
    tests: str = ""


class RecoveryEnded(Event, frozen=True):
    phase: str
    failure: str
    strategy: str
    tier: int
    ok: bool


class PhaseReopened(Event, frozen=True):
    """An earlier phase is done once more, and all that came after it."""

    phase: str
    because: str


class CouncilAsked(Event, frozen=True):
    """Nobody on the team could help; a council is asked, and the phase waits for it."""

    phase: str
    failure: str
    reason: str
    council: str = ""


class CouncilAnswered(Event, frozen=True):
    """The council has ended. With a `solution` the phase is done once more; without one a person is asked."""

    council: str
    phase: str
    outcome: str
    solution: str = ""


class PersonAsked(Event, frozen=True):
    """The pipeline waits for a person: to reset it, to cancel it, or to answer and reset it."""

    phase: str
    failure: str
    question: str
    urgency: str = ""
    by: str = ""


class ResultRefused(Event, frozen=True):
    agent: str
    run: str
    reason: str


class PipelinePaused(Event, frozen=True):
    order: str
    reason: str = ""


class PipelineResumed(Event, frozen=True):
    order: str
    reason: str = ""


class OverrideApplied(Event, frozen=True):
    order: str
    override: Pieces
    reason: str = ""


class TaskReset(Event, frozen=True):
    reason: str = ""


class TaskCompleted(Event, frozen=True):
    pass


class TaskFailed(Event, frozen=True):
    reason: str


class TaskCancelled(Event, frozen=True):
    reason: str = ""


TaskEvent = (
    TaskSubmitted
    | PipelineStarted
    | PhaseRequested
    | PhaseAssigned
    | AssignmentLost
    | PhaseCompleted
    | PhaseFailed
    | RecoveryStarted
    | RecoveryEnded
    | PhaseReopened
    | CouncilAsked
    | CouncilAnswered
    | PersonAsked
    | TaskRouted
    | ReviewAssigned
    | ReviewEnded
    | ResultRefused
    | PipelinePaused
    | PipelineResumed
    | OverrideApplied
    | TaskReset
    | TaskCompleted
    | TaskFailed
    | TaskCancelled
)
