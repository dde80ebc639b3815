"""A playbook: each version of its text. One entity a playbook, and one that lists them all."""

from bus.messages.base import Event


class PlaybookListed(Event, frozen=True):
    """In the list: there is an entity for a playbook of this name. It stays listed when the playbook is withdrawn."""

    name: str


class PlaybookRevised(Event, frozen=True):
    """`version` is the sha256 of the file; the text itself is in the blob store under it."""

    version: str
    description: str
    origin: str
    """`witan` or the folder that it was found in."""


class PlaybookWithdrawn(Event, frozen=True):
    """There is no such file any more."""


PlaybookEvent = PlaybookListed | PlaybookRevised | PlaybookWithdrawn
