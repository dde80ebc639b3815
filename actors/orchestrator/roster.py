"""The roster: which agents there are, and what each may carry at once."""

from typing import assert_never

import msgspec

from actors.territory import Territory
from bus.messages import agent as said

SUBJECT = "evt.agent.roster"


class Member(msgspec.Struct, frozen=True):
    role: str
    capacity: int
    territory: Territory = Territory((said.EVERYWHERE,))


class Roster:
    """Every agent that ever joined, by name."""

    __slots__ = ("members",)

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}


def member_of(event: said.AgentJoined) -> Member:
    return Member(event.role, event.capacity, Territory(tuple(event.territory)))


def evolve(roster: Roster, event: said.AgentEvent) -> Roster:
    """What the roster is after the event."""
    match event:
        case said.AgentJoined():
            roster.members[event.agent] = member_of(event)
        case said.WorkAssigned() | said.WorkRevoked():
            pass
        case _:
            assert_never(event)
    return roster
