"""The calls of one run: what their events make of them."""

from bus.messages import call as said


class Calls:
    """Which turns have their reply."""

    __slots__ = ("answered",)

    def __init__(self) -> None:
        self.answered: tuple[int, int] = (0, -1)
        """The last turn that was answered, and which try of it: they only grow."""


def evolve(calls: Calls, event: said.CallEvent) -> Calls:
    """What the calls are after the event."""
    if isinstance(event, said.ModelReplied | said.ModelFailed):
        calls.answered = (event.turn, event.again)
    return calls
