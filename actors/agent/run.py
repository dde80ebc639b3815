"""A run: what its events make of it."""

from typing import Literal, assert_never

from bus.messages import run as said
from bus.messages.run import ToolRequested

MARKS = 8
"""So many of the last steps are looked at for a loop."""


class OpenPlaybook:
    """The playbook that a run follows."""

    __slots__ = ("at_s", "name", "tools")

    def __init__(self, name: str, at_s: float) -> None:
        self.name, self.at_s = name, at_s
        self.tools: dict[str, None] = {}


class Run:
    """One attempt at one phase, and where its conversation stands."""

    __slots__ = (
        "again",
        "aside",
        "asked",
        "failed_now",
        "marks",
        "open",
        "phase",
        "playbook",
        "recovering",
        "recovery",
        "role",
        "status",
        "task",
        "tries",
        "turn",
    )

    def __init__(self) -> None:
        self.status: Literal["absent", "started", "ended"] = "absent"
        self.task = self.phase = self.role = self.recovery = ""
        self.turn = self.again = 0
        self.asked = False
        """The mind was asked and has not replied."""
        self.open: dict[str, ToolRequested] = {}
        """Calls without an end, in order."""
        self.aside: set[str] = set()
        """Those of them that run in the background."""
        self.failed_now = False
        """Something in this turn went wrong."""
        self.marks: list[str] = []
        self.tries: dict[str, int] = {}
        self.recovering: dict[str, str] = {}
        """By failure: the tool that failed and has not succeeded since."""
        self.playbook: OpenPlaybook | None = None

    @property
    def closed(self) -> bool:
        return self.status == "ended"

    @property
    def resting(self) -> bool:
        """Neither asked nor at work: a failed reply waits for its next try."""
        return self.status == "started" and self.turn > 0 and not self.asked and not self.open


def evolve(run: Run, event: said.RunEvent) -> Run:
    """What the run is after the event."""
    match event:
        case said.RunStarted():
            run.status, run.task, run.phase = "started", event.task, event.phase
            run.role, run.recovery = event.role, event.recovery
        case said.RunFinished() | said.RunFailed() | said.RunStopped():
            run.status = "ended"
        case said.ModelRequested():
            run.turn, run.again, run.asked, run.failed_now = event.turn, event.again, True, False
            run.aside.update(run.open)
        case said.ToolRequested():
            run.asked = False
            run.open[event.call] = event
            if run.playbook is not None:
                run.playbook.tools[event.tool] = None
        case said.StepEnded():
            _step_ended(run, event)
        case said.StepRefused():
            run.asked, run.failed_now = False, True
        case said.StepRecoveryStarted():
            run.asked = False
            run.tries[event.failure] = event.tries
            run.recovering[event.failure] = run.open[event.call].tool if event.call in run.open else ""
        case said.StepRecoveryEnded():
            run.tries.pop(event.failure, None)
            run.recovering.pop(event.failure, None)
        case said.PlaybookOpened():
            run.asked = False
            run.playbook = OpenPlaybook(event.playbook, event.at_s)
        case said.PlaybookSucceeded() | said.PlaybookFailed():
            run.playbook = None
        case said.ChecklistExtended() | said.ChecklistItemDone() | said.HelpAsked():
            run.asked = False
        case _:
            assert_never(event)
    return run


def _step_ended(run: Run, event: said.StepEnded) -> None:
    run.asked = False
    run.open.pop(event.call, None)
    run.aside.discard(event.call)
    run.failed_now = run.failed_now or not event.ok
    if event.mark:
        run.marks = [*run.marks, event.mark][-MARKS:]
