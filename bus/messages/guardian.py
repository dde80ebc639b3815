"""The Guardian: orders to one pipeline, orders to everybody, and who has answered them."""

from typing import Annotated

from msgspec import Meta

from bus.messages.base import Command, Event, Pieces, Reason
from bus.subjects import Token


class PausePipeline(Command, frozen=True):
    """Let the current phase finish, and start no other."""

    pipeline_id: Token
    reason: Reason = ""


class ResumePipeline(Command, frozen=True):
    """Go on with the next phase."""

    pipeline_id: Token
    reason: Reason = ""


class OverridePipeline(Command, frozen=True):
    """Put this into the context of every phase from the next one on."""

    pipeline_id: Token
    override: Annotated[Pieces, Meta(min_length=1)]
    reason: Reason = ""


class Freeze(Command, frozen=True):
    """Let nobody start anything."""

    reason: Reason = ""


class Thaw(Command, frozen=True):
    """End the freeze."""

    reason: Reason = ""


class ApproveMerge(Command, frozen=True):
    """Merge the task's branch into the branch that it began at."""

    task_id: Token
    reason: Reason = ""


class DiscardWork(Command, frozen=True):
    """Throw the task's workspace and its branch away."""

    task_id: Token
    reason: Reason = ""


class WaiveSandbox(Command, frozen=True):
    """Let commands run on this machine though nothing holds them in."""

    reason: Annotated[Reason, Meta(min_length=1)]


class JoinWatch(Command, frozen=True):
    """An actor that must obey a freeze has come up."""

    actor: Token


class AcknowledgeFreeze(Command, frozen=True):
    """An actor has seen the freeze and starts nothing any more."""

    order: Token
    actor: Token


class BuryLetter(Command, frozen=True):
    """An actor gave a message up: it failed three times."""

    stream: Token
    seq: int
    reason: Reason


class PauseOrdered(Event, frozen=True):
    pipeline: str
    reason: str = ""


class ResumeOrdered(Event, frozen=True):
    pipeline: str
    reason: str = ""


class OverrideOrdered(Event, frozen=True):
    pipeline: str
    override: Pieces
    reason: str = ""


class MergeApproved(Event, frozen=True):
    task: str
    reason: str = ""


class DiscardOrdered(Event, frozen=True):
    task: str
    reason: str = ""


class SandboxWaived(Event, frozen=True):
    reason: str


class ActorJoined(Event, frozen=True):
    actor: str


class FreezeOrdered(Event, frozen=True):
    order: str
    actors: list[str]
    reason: str = ""


class FreezeAcknowledged(Event, frozen=True):
    order: str
    actor: str


class FreezeUnanswered(Event, frozen=True):
    order: str
    actors: list[str]


class ThawOrdered(Event, frozen=True):
    order: str
    reason: str = ""


class LetterBuried(Event, frozen=True):
    """A message that an actor gave up; the place is where it stands in its stream."""

    stream: str
    seq: int
    reason: str


GuardianEvent = (
    PauseOrdered
    | ResumeOrdered
    | OverrideOrdered
    | MergeApproved
    | DiscardOrdered
    | SandboxWaived
    | ActorJoined
    | FreezeOrdered
    | FreezeAcknowledged
    | FreezeUnanswered
    | ThawOrdered
    | LetterBuried
)
