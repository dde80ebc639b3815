"""A playbook: each version of its text."""

from bus.messages.base import Event


class PlaybookRevised(Event, frozen=True):
    """`version` is the sha256 of the file; the text itself is in the blob store under it."""

    version: str
    description: str
    origin: str
    """`witan` or the folder that it was found in."""


class PlaybookWithdrawn(Event, frozen=True):
    """There is no such file any more."""


PlaybookEvent = PlaybookRevised | PlaybookWithdrawn
