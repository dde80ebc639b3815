"""The steps of a run: where the conversation between agent, mind and tools stands."""

from typing import Literal, assert_never, get_args

from bus.messages import step as said
from bus.messages.step import ToolRequested

MARKS = 8
"""So many of the last steps are looked at for a loop."""


def all_but(*heard: type) -> tuple[type, ...]:
    """The events of steps that somebody who hears these has no use for."""
    return tuple(each for each in get_args(said.StepEvent) if each not in heard)


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
        "failed_turns",
        "loops",
        "marks",
        "mind_tries",
        "open",
        "phase",
        "playbook",
        "recovering",
        "recovery",
        "red",
        "rest_s",
        "resting",
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
        self.resting = False
        """The mind failed, and its next try is not due yet; the pause that was set is `rest_s`."""
        self.rest_s = 0.0
        self.open: dict[str, ToolRequested] = {}
        """Calls without an end, in order."""
        self.aside: set[str] = set()
        """Those of them that the mind's present turn does not wait for: they run in the background."""
        self.failed_now = False
        """Something in this turn went wrong."""
        self.failed_turns = self.loops = 0
        """How many turns something went wrong in, and how many steps went round in circles."""
        self.red = ""
        """What the last tests of this run said, when they did not pass."""
        self.marks: list[str] = []
        self.tries: dict[str, int] = {}
        """By failure of a step: how often in a row."""
        self.recovering: dict[str, str] = {}
        """By failure: the tool that failed and has not succeeded since."""
        self.mind_tries: dict[str, int] = {}
        """By failure of the mind: how often since its last reply."""
        self.playbook: OpenPlaybook | None = None

    @property
    def closed(self) -> bool:
        return self.status == "closed"


def evolve(steps: Steps, event: said.StepEvent) -> Steps:
    """What the steps are after the event. The mind stays asked until its reply is dealt with."""
    match event:
        case said.StepsOpened():
            steps.status, steps.task, steps.phase = "open", event.task, event.phase
            steps.role, steps.recovery = event.role, event.recovery
        case said.StepsClosed():
            steps.status, steps.asked, steps.resting = "closed", False, False
        case said.ModelRequested():
            steps.failed_turns += steps.failed_now
            steps.turn, steps.again, steps.asked, steps.failed_now = event.turn, event.again, True, False
            steps.resting = False
            steps.aside.update(steps.open)
        case said.ToolRequested():
            steps.asked = steps.asked and event.again > 0
            steps.open[event.call] = event
            if steps.playbook is not None:
                steps.playbook.tools[event.tool] = None
        case said.StepEnded():
            _step_ended(steps, event)
        case said.StepRefused():
            steps.asked, steps.failed_now = False, True
        case said.StepRecoveryStarted():
            _recovery_started(steps, event)
        case said.StepRecoveryEnded():
            if steps.mind_tries.pop(event.failure, None) is None:
                steps.tries.pop(event.failure, None)
                steps.recovering.pop(event.failure, None)
        case said.PlaybookOpened():
            steps.playbook = OpenPlaybook(event.playbook, event.at_s)
        case said.PlaybookSucceeded() | said.PlaybookFailed():
            steps.playbook = None
        case said.ChecklistExtended() | said.ChecklistItemDone() | said.HelpAsked():
            pass
        case _:
            assert_never(event)
    return steps


def _step_ended(steps: Steps, event: said.StepEnded) -> None:
    request = steps.open.pop(event.call, None)
    if request is not None and request.tool == "test":
        steps.red = "" if event.ok else event.note or steps.red or f"the tests came to no result: {event.failure}"
    if request is not None and event.failure:
        steps.recovering[event.failure] = request.tool
    steps.aside.discard(event.call)
    steps.failed_now = steps.failed_now or not event.ok
    steps.loops += event.loop
    if event.mark:
        steps.marks = [*steps.marks, event.mark][-MARKS:]


def _recovery_started(steps: Steps, event: said.StepRecoveryStarted) -> None:
    """A call is named `<turn>-<place>`; the mind's own failure by its turn alone."""
    if "-" in event.call:
        steps.tries[event.failure] = event.tries
    else:
        steps.asked, steps.resting, steps.rest_s = False, True, event.wait_s
        steps.mind_tries[event.failure] = event.tries
