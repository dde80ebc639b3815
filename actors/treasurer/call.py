"""The calls of one run: what their events make of them."""

from typing import NamedTuple, assert_never

from bus.messages import call as said


class Begun(NamedTuple):
    """A completion that is being bought, as far as the log knows."""

    turn: int
    again: int
    reservation: str


class Calls:
    """Which turns have their reply, and what the last one cost."""

    __slots__ = ("answered", "begun", "failed", "micro", "parked", "replies")

    def __init__(self) -> None:
        self.answered: tuple[int, int] = (0, -1)
        """The last turn that was answered, and which try of it: they only grow."""
        self.begun: Begun | None = None
        self.failed: list[said.ModelFailed] = []
        """Who failed to give the reply to the last turn, one after the other."""
        self.parked: said.CallParked | None = None
        """What the run waits for, or waited for last."""
        self.micro = 0
        self.replies = 0

    def has_begun(self, turn: int, again: int) -> bool:
        """Whether this very try was begun, and nobody knows yet how it ended."""
        return self.begun is not None and (self.begun.turn, self.begun.again) == (turn, again)

    def cost_of(self, turn: int, again: int) -> tuple[int, bool]:
        """What this try has cost as far as the log says, and whether it may be more: for somebody who was not there."""
        if (turn, again) == self.answered and self.micro:
            return self.micro, False
        return 0, (turn, again) <= self.answered or self.has_begun(turn, again)


def evolve(calls: Calls, event: said.CallEvent) -> Calls:
    """What the calls are after the event."""
    match event:
        case said.CallStarted():
            calls.begun = Begun(event.turn, event.again, event.reservation)
        case said.CallParked():
            calls.parked = event
        case said.ModelReplied() | said.ModelFailed():
            if event.turn != calls.answered[0] or isinstance(event, said.ModelReplied):
                calls.failed = []
            if isinstance(event, said.ModelFailed) and event.model:
                calls.failed = [*calls.failed, event]
            calls.answered, calls.begun = (event.turn, event.again), None
            calls.micro = event.micro
            calls.replies += isinstance(event, said.ModelReplied)
        case said.TranscriptCondensed():
            pass
        case _:
            assert_never(event)
    return calls
