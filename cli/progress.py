"""A task's way through its phases, folded from its own commits for the eye of a person."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from actors.orchestrator.task import Task, evolve
from bus.envelope import Commit
from bus.messages import task as said


@dataclass
class PhaseLine:
    """One phase as far as it has come."""

    name: str
    status: str = "waiting"
    agent: str = ""
    attempt: int = 1
    began: str = ""
    ended: str = ""
    note: str = ""

    @property
    def took_s(self) -> float | None:
        """How long it took, by the clock of those who wrote it down."""
        if not (self.began and self.ended):
            return None
        return (datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.began)).total_seconds()


@dataclass
class Progress:
    """What is known of one task so far: its state as the orchestrator sees it, and a line for each phase."""

    id: str
    task: Task = field(default_factory=Task)
    seq: int = 0
    reason: str = ""
    phases: dict[str, PhaseLine] = field(default_factory=dict)

    @property
    def status(self) -> str:
        return self.task.status

    @property
    def ended(self) -> bool:
        return self.task.closed

    def take(self, commit: Commit[Any], seq: int) -> None:
        """Go on by one commit and its place."""
        self.seq = seq
        for event in commit.events:
            self.task = evolve(self.task, event)
            self._follow(event, commit.at)

    def _follow(self, event: said.TaskEvent, at: str) -> None:
        match event:
            case said.TaskSubmitted(phases=phases):
                self.phases = {name: PhaseLine(name) for name in phases}
            case said.PhaseRequested(phase=name, attempt=attempt):
                self.phases[name] = PhaseLine(name, "requested", attempt=attempt, began=at)
            case said.PhaseAssigned(phase=name, agent=agent):
                line = self._line(name)
                line.status, line.agent = "running", agent
            case said.AssignmentLost(phase=name, agent=agent, reason=reason):
                line = self._line(name)
                line.status, line.note = "requested", f"{agent}: {reason}"
            case said.PhaseCompleted(phase=name, agent=agent):
                line = self._line(name)
                line.status, line.agent, line.ended, line.note = "completed", agent, at, ""
            case said.PhaseFailed(phase=name, agent=agent, reason=reason):
                line = self._line(name)
                line.status, line.agent, line.ended, line.note = "failed", agent, at, reason
            case (
                said.PipelinePaused(reason=reason) | said.TaskFailed(reason=reason) | said.TaskCancelled(reason=reason)
            ):
                self.reason = reason
            case said.PipelineResumed() | said.TaskReset() | said.TaskCompleted():
                self.reason = ""

    def _line(self, name: str) -> PhaseLine:
        return self.phases.setdefault(name, PhaseLine(name))
