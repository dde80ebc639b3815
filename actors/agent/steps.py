"""The steps of a run: where the conversation between agent, mind and tools stands."""

from typing import Literal, assert_never

from bus.messages import step as said
from bus.messages.step import ToolRequested

MARKS = 8
"""So many of the last steps are looked at for a loop."""


class OpenPlaybook:
    """The playbook that a run follows."""

    __slots__ = ("at_s", "name", "tools")

    def __init__(self, name: str, at_s: float) -> None:
        self.name, self.at_s = name, at_s
        self.tools: dict[str, None] = {}


class Steps:
    """One run, turn by turn."""

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
        "red",
        "role",
        "status",
        "task",
        "tries",
        "turn",
    )

    def __init__(self) -> None:
        self.status: Literal["absent", "open", "closed"] = "absent"
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
        self.red = ""
        """What the last tests of this run said, when they did not pass."""
        self.marks: list[str] = []
        self.tries: dict[str, int] = {}
        self.recovering: dict[str, str] = {}
        """By failure: the tool that failed and has not succeeded since."""
        self.playbook: OpenPlaybook | None = None

    @property
    def closed(self) -> bool:
        return self.status == "closed"

    @property
    def resting(self) -> bool:
        """Neither asked nor at work: a failed reply waits for its next try."""
        return self.status == "open" and self.turn > 0 and not self.asked and not self.open


def evolve(steps: Steps, event: said.StepEvent) -> Steps:
    """What the steps are after the event."""
    match event:
        case said.StepsOpened():
            steps.status, steps.task, steps.phase = "open", event.task, event.phase
            steps.role, steps.recovery = event.role, event.recovery
        case said.StepsClosed():
            steps.status = "closed"
        case said.ModelRequested():
            steps.turn, steps.again, steps.asked, steps.failed_now = event.turn, event.again, True, False
            steps.aside.update(steps.open)
        case said.ToolRequested():
            steps.asked = False
            steps.open[event.call] = event
            if steps.playbook is not None:
                steps.playbook.tools[event.tool] = None
        case said.StepEnded():
            _step_ended(steps, event)
        case said.StepRefused():
            steps.asked, steps.failed_now = False, True
        case said.StepRecoveryStarted():
            steps.asked = False
            steps.tries[event.failure] = event.tries
            steps.recovering[event.failure] = steps.open[event.call].tool if event.call in steps.open else ""
        case said.StepRecoveryEnded():
            steps.tries.pop(event.failure, None)
            steps.recovering.pop(event.failure, None)
        case said.PlaybookOpened():
            steps.asked = False
            steps.playbook = OpenPlaybook(event.playbook, event.at_s)
        case said.PlaybookSucceeded() | said.PlaybookFailed():
            steps.playbook = None
        case said.ChecklistExtended() | said.ChecklistItemDone() | said.HelpAsked():
            steps.asked = False
        case _:
            assert_never(event)
    return steps


def _step_ended(steps: Steps, event: said.StepEnded) -> None:
    steps.asked = False
    request = steps.open.pop(event.call, None)
    if request is not None and request.tool == "test":
        steps.red = event.note if event.failure == "test_failure" else ""
    steps.aside.discard(event.call)
    steps.failed_now = steps.failed_now or not event.ok
    if event.mark:
        steps.marks = [*steps.marks, event.mark][-MARKS:]
