"""The Guardian's orders: what their events make of them."""

from typing import assert_never

from bus.messages import guardian as said

MAIN = "evt.guardian.main"


class Order:
    """One order to one pipeline, or, in the entity `main`, the freeze of everything and who must obey it."""

    __slots__ = ("acknowledged", "actors", "frozen", "given", "waived")

    def __init__(self) -> None:
        self.given = False
        self.frozen = ""
        self.waived = False
        self.actors: set[str] = set()
        self.acknowledged: set[str] = set()

    @property
    def missing(self) -> list[str]:
        return sorted(self.actors - self.acknowledged)


def evolve(order: Order, event: said.GuardianEvent) -> Order:
    """What the order is after the event."""
    match event:
        case (
            said.PauseOrdered()
            | said.ResumeOrdered()
            | said.OverrideOrdered()
            | said.MergeApproved()
            | said.DiscardOrdered()
        ):
            order.given = True
        case said.SandboxWaived():
            order.waived = True
        case said.ActorJoined():
            order.actors.add(event.actor)
        case said.FreezeOrdered():
            order.frozen, order.acknowledged = event.order, set()
        case said.FreezeAcknowledged():
            order.acknowledged.add(event.actor)
        case said.ThawOrdered():
            order.frozen = ""
        case said.FreezeUnanswered() | said.LetterBuried():
            pass
        case _:
            assert_never(event)
    return order
