"""A task's way through its phases, folded from its own commits for the eye of a person."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from actors.apart import in_short
from actors.orchestrator.task import Task, evolve
from bus.envelope import Commit
from bus.messages import council, exec, step
from bus.messages import task as said
from bus.messages.call import CallParked, CallStarted, ModelFailed, ModelReplied

BLOCKED = "blocked: budget"
STEPS_SHOWN = 6

OVER = (
    said.PhaseRequested, said.PhaseAssigned, said.AssignmentLost, said.PhaseCompleted, said.PhaseFailed,
    said.PersonAsked, said.TaskReset, said.TaskCompleted, said.TaskFailed, said.TaskCancelled,
)  # fmt: skip
"""After these the run whose call waited is not the one that the task goes on with."""


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
    blocked: str = ""
    """The scope of the cap that the newest call waits under; empty: no call waits for money."""
    phases: dict[str, PhaseLine] = field(default_factory=dict)
    steps: deque[str] = field(default_factory=lambda: deque(maxlen=STEPS_SHOWN))
    """What was done last, newest last, where somebody hands the steps over too."""

    @property
    def status(self) -> str:
        return BLOCKED if self.blocked else self.task.status

    @property
    def ended(self) -> bool:
        return self.task.closed

    @property
    def rests(self) -> bool:
        """Nothing more comes soon by itself: it is over, waits for money, or a person must say how to go on."""
        return self.ended or bool(self.blocked) or self.status == "waiting"

    @property
    def calls(self) -> str:
        """The subject of the calls of the run that is at work; empty: none is."""
        at_work = self.task.assignment
        return f"evt.call.{at_work.agent}.{at_work.run}" if at_work and not self.rests else ""

    def take(self, commit: Commit[Any], seq: int) -> None:
        """Go on by one commit and its place."""
        self.seq = seq
        for event in commit.events:
            self.task = evolve(self.task, event)
            self._follow(event, commit.at)

    def take_step(self, commit: Commit[Any]) -> None:
        """Take note of what a run of the task does, and of its calls."""
        for event in commit.events:
            match event:
                case step.ToolRequested(call=call, tool=tool, input=given):
                    what = next((in_short(value) for value in given.values()), "")
                    self.steps.append(f"… {commit.by} {call} {tool} {what}")
                case step.StepRefused(call=call, tool=tool, reason=reason):
                    self.steps.append(f"✘ {commit.by} {call} {tool} refused: {reason}")
                case exec.ExecBackgrounded(call=call):
                    self.steps.append(f"… {call} goes on in the background")
                case step.StepEnded(call=call, ok=ok, failure=failure):
                    self.steps.append(f"✔ {call}" if ok else f"✘ {call} {failure}")
                case step.StepRecoveryStarted(failure=failure, strategy=strategy, tries=tries):
                    self.steps.append(f"↻ {failure}, try {tries}: {strategy}")
                case CallStarted(reason=reason):
                    self._unblock()
                    self.steps.append(f"… asks {reason}")
                case CallParked(why="budget", scope=scope) if not self.ended:
                    self.blocked, self.reason = scope, f"the cap of the {scope} is used up"
                case CallParked(why=why, scope=scope):
                    self.steps.append(f"… a call waits for the {why}: {scope}")
                case ModelReplied() | ModelFailed():
                    self._unblock()

    def take_council(self, commit: Commit[Any]) -> None:
        """Take note of what a council on the task does."""
        for event in commit.events:
            match event:
                case council.CouncilConvened(phase=phase):
                    self._at_council(phase, "a council is convened")
                case council.MembersChosen(members=members):
                    self._at_council("", f"the council sits: {', '.join(each.model for each in members) or 'nobody'}")
                case council.OpinionAsked(purpose="judge", model=model):
                    self._at_council("", f"the council's judge weighs: {model}")
                case council.CandidateMade(candidate=candidate) | council.OpinionMissing(member=candidate):
                    said = (
                        "has answered" if isinstance(event, council.CandidateMade) else f"is missing: {event.failure}"
                    )
                    self.steps.append(f"… council: {candidate} {said}")
                case council.CouncilEnded(outcome=outcome, by=by, reason=reason):
                    self.steps.append(f"… council: {outcome}{' by ' + by if by else ''}: {reason}")

    def _at_council(self, phase: str, note: str) -> None:
        """The phase that waits for a council, and how far that is."""
        waiting = [line for line in self.phases.values() if line.status == "council"]
        line = self._line(phase) if phase else waiting[-1] if waiting else None
        if line is not None:
            line.status, line.note = "council", note

    def _after_council(self, phase: str, told: str) -> str:
        line = self._line(phase)
        line.status, line.note = "failed", f"the council: {told}"
        return ""

    def _follow(self, event: said.TaskEvent, at: str) -> None:
        if isinstance(event, OVER):
            self._unblock()
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
            case said.RecoveryStarted(phase=name):
                self._line(name).note = f"{event.failure}, try {event.tries}: {event.strategy}"
            case said.RecoveryEnded(phase=name, failure=failure, ok=ok):
                self._line(name).note = f"{failure} was {'' if ok else 'not '}made good"
            case said.PhaseReopened(phase=name, because=because):
                names = [*self.phases]
                for later in names[names.index(name) if name in names else len(names) :]:
                    self.phases[later] = PhaseLine(later, "reopened", note=because if later == name else "")
            case said.CouncilAsked(phase=name, reason=reason):
                self._at_council(name, "a council is asked")
                self.reason = reason
            case said.CouncilAnswered(phase=name):
                self.reason = self._after_council(name, "a solution" if event.solution else event.outcome)
            case said.PersonAsked(question=reason):
                self.reason = reason
            case said.PipelinePaused() | said.TaskFailed() | said.TaskCancelled():
                self.reason = event.reason
            case said.PipelineResumed() | said.TaskReset() | said.TaskCompleted():
                self.reason = ""

    def _unblock(self) -> None:
        if self.blocked:
            self.blocked = self.reason = ""

    def _line(self, name: str) -> PhaseLine:
        return self.phases.setdefault(name, PhaseLine(name))
