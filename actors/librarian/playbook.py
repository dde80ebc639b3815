"""A playbook on the log, and the list of all that there ever were: what their events make of them."""

from typing import assert_never

from bus.messages import playbook as said

LIST = "evt.playbook.librarian.list"
"""Nobody can be asked which entities a kind has, so their names have an entity of their own; with an owner in its
subject, because a playbook may have any name."""


def subject_of(name: str) -> str:
    """The entity of the playbook with this name."""
    return f"evt.playbook.{name}"


class Kept:
    """The version of a playbook that is in use; in the list, the names."""

    __slots__ = ("names", "version")

    def __init__(self) -> None:
        self.version = ""
        """Empty: there is none, or it was withdrawn."""
        self.names: dict[str, None] = {}


def evolve(kept: Kept, event: said.PlaybookEvent) -> Kept:
    """What is kept after the event."""
    match event:
        case said.PlaybookListed():
            kept.names[event.name] = None
        case said.PlaybookRevised():
            kept.version = event.version
        case said.PlaybookWithdrawn():
            kept.version = ""
        case _:
            assert_never(event)
    return kept
