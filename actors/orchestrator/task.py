"""A task: the table of its transitions, and what its events make of it."""

from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from actors.orchestrator import trouble
from actors.orchestrator.named import Assignment, Review, Routed
from actors.orchestrator.trouble import Trouble
from bus.errors import Missing, Refused
from bus.messages import routing
from bus.messages import task as said
from bus.messages.base import Input, Pieces

Status = Literal["absent", "pending", "running", "paused", "waiting", "completed", "failed", "cancelled"]

TRANSITIONS: dict[tuple[Status, type[said.TaskEvent]], Status] = {
    ("absent", said.TaskSubmitted): "pending",
    ("pending", said.PipelineStarted): "running",
    ("pending", said.PipelinePaused): "paused",
    ("pending", said.TaskCancelled): "cancelled",
    ("pending", said.PersonAsked): "waiting",
    ("pending", routing.TaskRouted): "pending",
    ("running", routing.TaskRouted): "running",
    ("paused", routing.TaskRouted): "paused",
    ("waiting", routing.TaskRouted): "waiting",
    ("running", said.PipelinePaused): "paused",
    ("running", said.TaskReset): "running",
    ("running", said.TaskCompleted): "completed",
    ("running", said.TaskFailed): "failed",
    ("running", said.TaskCancelled): "cancelled",
    ("running", said.PersonAsked): "waiting",
    ("paused", said.PipelineResumed): "pending",
    ("paused", said.TaskCompleted): "completed",
    ("paused", said.TaskFailed): "failed",
    ("paused", said.TaskCancelled): "cancelled",
    ("paused", said.PersonAsked): "waiting",
    ("waiting", said.TaskReset): "pending",
    ("waiting", said.CouncilAnswered): "pending",
    ("waiting", said.TaskCancelled): "cancelled",
    ("failed", said.TaskReset): "pending",
}
"""The only ways from one status to another. A resumed or reset pipeline is pending until it has a slot again.

A paused pipeline whose last run fails for good waits as well: to resume it would not help.
"""

REVIEWED_TIER = 2
"""A phase whose recovery has come so far is looked at before a fresh agent takes it."""
ENDED = ("completed", "failed", "cancelled")
Troubling = (
    said.AssignmentLost
    | said.PhaseFailed
    | said.RecoveryStarted
    | said.RecoveryEnded
    | said.PhaseReopened
    | said.CouncilAsked
    | said.CouncilAnswered
    | said.PersonAsked
    | said.TaskReset
)


class Task(msgspec.Struct, frozen=True, gc=False):
    """What the orchestrator knows of one task."""

    status: Status = "absent"
    text: str = ""
    workflow: str = ""
    phases: tuple[str, ...] = ()
    priority: int = 0
    context: Pieces = {}
    phase: str = ""
    role: str = ""
    attempt: int = 0
    epoch: int = 0
    """How often work was handed out for this task; it names the runs and fences the late ones."""
    assignment: Assignment | None = None
    done: tuple[Input, ...] = ()
    repo: str = ""
    base: str = ""
    checklist: tuple[str, ...] = ()
    trouble: Trouble = Trouble()
    routed: Routed | None = None
    review: Review | None = None
    advice: str = ""
    """What was said by who looked at the phase before it is done."""

    @property
    def closed(self) -> bool:
        return self.status in ENDED

    @property
    def next_phase(self) -> str:
        """The phase that comes after those that are done; nothing when all are."""
        return self.phases[len(self.done)] if len(self.done) < len(self.phases) else ""

    @property
    def works_as(self) -> str:
        """The role of whoever works on it now, or is waited for."""
        return (self.assignment.role if self.assignment else "") or self.role

    @property
    def waits_for_agent(self) -> bool:
        return bool(self.phase) and self.assignment is None and not self.closed


def refuse_unless(task: Task, event: type[said.TaskEvent], wish: str) -> None:
    """Refuse a wish whose event the table does not allow now."""
    if task.status == "absent":
        raise Missing(f"cannot {wish}: there is no such task")
    if (task.status, event) not in TRANSITIONS:
        if task.status == "waiting":
            raise Refused(f"cannot {wish}: the task is waiting for a person", "Reset or cancel it. See `witan status`.")
        allowed = sorted({status for status, type in TRANSITIONS if type is event})
        raise Refused(
            f"cannot {wish}: the task is {task.status}",
            f"That is possible while it is {' or '.join(allowed)}. See `witan status`.",
        )


def evolve(task: Task, event: said.TaskEvent) -> Task:
    """What the task is after the event. What every phase goes through comes first: each case costs."""
    match event:
        case said.PhaseRequested():
            return replace(task, phase=event.phase, role=event.role, attempt=event.attempt, assignment=None)
        case said.PhaseAssigned():
            if task.routed or task.review:
                task = replace(task, routed=None, review=None)
            return replace(task, epoch=event.epoch, assignment=Assignment(event.agent, event.run))
        case said.PhaseCompleted():
            if task.attempt > 1 or task.trouble.losses:
                task = replace(task, trouble=_made_good(task))
            done = (*task.done, Input(event.phase, event.agent, event.run))
            return replace(task, done=done, phase="", role="", attempt=0, assignment=None, advice="")
        case _:
            told = _told(task, event)
            status = TRANSITIONS.get((task.status, type(event)))
            if status is not None:
                told["status"] = status
            return replace(task, **told) if told else task


def _told(task: Task, event: said.TaskEvent) -> dict[str, Any]:
    """What any other event says of a task, beside its status."""
    match event:
        case said.PipelineStarted() | said.TaskCompleted() | said.PipelinePaused() | said.PipelineResumed():
            return {}
        case said.TaskSubmitted():
            return _submitted(event)
        case said.OverrideApplied():
            overrides = {**_overrides(task.context), **event.override}
            return {"context": {**task.context, "overrides": overrides}}
        case said.TaskFailed() | said.TaskCancelled():
            return {"assignment": None}
        case routing.TaskRouted() | routing.ReviewAssigned() | routing.ReviewEnded():
            return _routed(task, event)
        case _ if isinstance(event, Troubling):
            return _troubled(task, event)
        case _:
            return {}


def _routed(task: Task, event: said.TaskEvent) -> dict[str, Any]:
    """Somebody was named for a phase, or looks at it."""
    match event:
        case routing.TaskRouted() if event.review:
            return {"review": Review(event.reason, event.agent)}
        case routing.TaskRouted():
            told: dict[str, Any] = {"routed": Routed(event.role, event.agent)}
            return {**told, "role": event.role} if task.waits_for_agent else told
        case routing.ReviewAssigned():
            assignment = Assignment(event.agent, event.run, event.role)
            return {"epoch": event.epoch, "assignment": assignment, "review": None}
        case routing.ReviewEnded():
            told = {"assignment": None, "advice": event.advice}
            return {**told, "role": task.routed.role} if task.routed and task.phase else told
        case _:
            return {}


def _submitted(event: said.TaskSubmitted) -> dict[str, Any]:
    return {
        "text": event.task,
        "workflow": event.workflow,
        "phases": tuple(event.phases),
        "priority": event.priority,
        "context": event.context,
        "repo": event.repo,
        "base": event.base,
        "checklist": tuple(event.checklist),
    }


def _troubled(task: Task, event: Troubling) -> dict[str, Any]:
    """Something went wrong, or something is done about it."""
    match event:
        case said.TaskReset():
            return {"phase": "", "role": "", "attempt": 0, "assignment": None, "trouble": Trouble(), "advice": ""}
        case said.PhaseReopened():
            return _reopened(task, event)
        case said.PhaseFailed() | said.PersonAsked():
            told: dict[str, Any] = {"phase": "", "role": "", "assignment": None}
        case said.AssignmentLost():
            told = {"assignment": None}
        case said.RecoveryStarted() if event.tier == REVIEWED_TIER:
            told = {"review": Review(f"it failed ({event.failure}) in spite of all that was tried")}
        case _:
            told = {}
    return {**told, "trouble": trouble.after(task.trouble, event)}


def _made_good(task: Task) -> Trouble:
    """A phase that did not succeed at once is over; how often it was requested matters if it is reopened."""
    requests = {**task.trouble.requests, task.phase: task.attempt}
    return replace(task.trouble, requests=requests, losses=0)


def _reopened(task: Task, event: said.PhaseReopened) -> dict[str, Any]:
    """The phase and all that came after it are not done any more."""
    place = next((at for at, done in enumerate(task.done) if done.phase == event.phase), len(task.done))
    requests = dict(task.trouble.requests)
    for done in task.done[place:]:
        requests.setdefault(done.phase, 1)
    if task.next_phase:
        requests[task.next_phase] = task.attempt
    told = replace(trouble.after(task.trouble, event), requests=requests)
    if place < len(task.done):
        told = replace(told, last_agent=task.done[place].agent)
    return {"done": task.done[:place], "phase": "", "role": "", "attempt": 0, "assignment": None, "trouble": told}


def _overrides(context: Pieces) -> Pieces:
    overrides = context.get("overrides")
    return overrides if isinstance(overrides, dict) else {}
