"""What was done for one run: which calls have begun, which have ended."""

from typing import assert_never

from bus.messages import exec as said
from bus.messages.base import TestResults


class Execs:
    """By call, how often it was repeated: the last that began, the last that ended."""

    __slots__ = ("begun", "ended", "tests")

    def __init__(self) -> None:
        self.begun: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.tests: TestResults | None = None
        """What the last test run of this run came to."""

    def has_begun(self, call: str, again: int) -> bool:
        return self.begun.get(call, -1) >= again

    def has_ended(self, call: str, again: int) -> bool:
        return self.ended.get(call, -1) >= again


def evolve(execs: Execs, event: said.ExecEvent) -> Execs:
    """What was done, after the event."""
    match event:
        case said.ExecStarted():
            execs.begun[event.call] = event.again
        case said.ExecEnded():
            execs.ended[event.call] = event.again
            execs.tests = event.tests or execs.tests
        case said.ExecLost() | said.ToolEnded():
            execs.ended[event.call] = event.again
        case said.ExecSilent() | said.ExecBackgrounded():
            pass
        case _:
            assert_never(event)
    return execs
