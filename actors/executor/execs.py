"""What was done for one run: which calls have begun, which have ended."""

from typing import assert_never

from bus.messages import exec as said
from bus.messages.base import TestResults

OUTSIDE = ("freeze", "cancel")
"""Who ends a command in this way is not the command itself: its outcome is lost."""


class Execs:
    """By call, how often it was repeated: the last that began, the last that ended."""

    __slots__ = ("aside", "begun", "ended", "lost", "tests")

    def __init__(self) -> None:
        self.begun: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.lost: dict[str, int] = {}
        """Those of them whose outcome is lost: the agent makes them once more."""
        self.aside: dict[str, int] = {}
        """Those that run in the background."""
        self.tests: TestResults | None = None
        """What the last test run of this run came to."""

    def has_begun(self, call: str, again: int) -> bool:
        return self.begun.get(call, -1) >= again

    def has_ended(self, call: str, again: int) -> bool:
        return self.ended.get(call, -1) >= again

    def comes_behind_lost(self, call: str, again: int) -> bool:
        """Whether a call before it in the same reply was lost with it; that one is made once more first."""
        return any(tries >= again and is_behind(call, before) for before, tries in self.lost.items())


def is_behind(call: str, before: str) -> bool:
    """Whether one call stands behind the other in the same reply; a call is named `<turn>-<place>`."""
    turn, _, place = call.partition("-")
    other_turn, _, other_place = before.partition("-")
    return turn == other_turn and int(place) > int(other_place)


def evolve(execs: Execs, event: said.ExecEvent) -> Execs:
    """What was done, after the event."""
    match event:
        case said.ExecStarted():
            execs.begun[event.call] = event.again
        case said.ExecEnded():
            execs.tests = event.tests or execs.tests
            _ended(execs, event.call, event.again, event.ended_by in OUTSIDE)
        case said.ExecLost():
            _ended(execs, event.call, event.again, True)
        case said.ToolEnded():
            _ended(execs, event.call, event.again, False)
        case said.ExecBackgrounded():
            execs.aside[event.call] = event.again
        case said.ExecSilent():
            pass
        case _:
            assert_never(event)
    return execs


def _ended(execs: Execs, call: str, again: int, lost: bool) -> None:
    execs.ended[call] = again
    execs.aside.pop(call, None)
    if lost:
        execs.lost[call] = again
    else:
        execs.lost.pop(call, None)
