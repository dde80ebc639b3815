"""The names of the places on the bus, checked token by token on write and on read."""

import re
from typing import Annotated, NamedTuple

from msgspec import Meta

from bus.errors import Invalid

TOKEN_PATTERN = r"\A[A-Za-z0-9_-]{1,64}\Z"
Token = Annotated[str, Meta(pattern=TOKEN_PATTERN)]

_is_token = re.compile(TOKEN_PATTERN).match

EVENTS, COMMANDS, TIMERS, DEAD = "EVENTS", "COMMANDS", "TIMERS", "DEAD"
ARTIFACTS = "ARTIFACTS"


class Route(NamedTuple):
    """Where an entity's commits go: `evt.<kind>.<id>` or `evt.<kind>.<owner>.<id>`."""

    kind: str
    id: str
    owner: str = ""

    @property
    def subject(self) -> str:
        middle = f"{self.owner}." if self.owner else ""
        return f"evt.{self.kind}.{middle}{self.id}"


def token(text: str) -> str:
    """The text itself, if it may stand in a subject."""
    if not _is_token(text):
        raise Invalid(
            f"{text[:80]!r} cannot be part of a subject",
            "Use 1 to 64 letters, digits, `_` or `-`.",
        )
    return text


def route_of(subject: str) -> Route:
    """The entity that a subject names."""
    match subject.split("."):
        case ["evt", kind, id]:
            return Route(token(kind), token(id))
        case ["evt", kind, owner, id]:
            return Route(token(kind), token(id), token(owner))
    raise Invalid(f"{subject[:200]!r} is not the subject of an entity")


def command_of(subject: str) -> tuple[str, str]:
    """The actor and the command that a subject names."""
    match subject.split("."):
        case ["cmd", actor, command] | [("guardian" as actor), command]:
            return token(actor), token(command)
    raise Invalid(
        f"{subject[:200]!r} is not the subject of a command",
        "Publish to `cmd.<actor>.<command>` or `guardian.<command>`.",
    )
