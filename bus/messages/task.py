"""A task and its pipeline: what the orchestrator is asked for, and what became of it."""

from typing import Annotated

from msgspec import Meta, field

from bus.messages.base import Command, Event, Pieces, Reason
from bus.subjects import Token

Text = Annotated[str, Meta(min_length=1, max_length=20_000)]


class SubmitTask(Command, frozen=True):
    """Build this. `phases` picks some of the workflow's phases; `context` goes to every agent."""

    task: Text
    workflow: Token = "tiered"
    phases: list[Token] | None = None
    priority: Annotated[int, Meta(ge=0, le=9)] = 0
    context: Pieces = field(default_factory=dict)


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
    | ResultRefused
    | PipelinePaused
    | PipelineResumed
    | OverrideApplied
    | TaskReset
    | TaskCompleted
    | TaskFailed
    | TaskCancelled
)
