"""What passes between the decisions about trials and the hands that carry them out."""

from typing import Literal, NamedTuple

from actors.council.problem import Brief
from bus.messages.trial import CandidateTried, GatheringFailed, ProblemGathered
from bus.messages.workspace import WorkspaceOpened


class Gather(NamedTuple):
    """Find out what a problem is, as it lies in the workspace. `failing` are tests, `command` is what they ran by."""

    council: str
    brief: Brief
    opened: WorkspaceOpened | None
    failing: tuple[str, ...] = ()
    command: str = ""

    @property
    def key(self) -> str:
        return f"gather/{self.council}"


class Trial(NamedTuple):
    """Try one candidate in a tree of its own, before `until_s`. With a reason in `unheld` no command is run.

    `tree` is what its author saw; empty: whatever the workspace holds now.
    """

    council: str
    candidate: str
    solution: bytes
    opened: WorkspaceOpened | None
    territory: tuple[str, ...]
    tests: str
    now_s: float
    until_s: float
    unheld: str = ""
    again: int = 0
    tree: str = ""

    @property
    def key(self) -> str:
        return f"trial/{self.council}/{self.candidate}/{self.again}"


class Found(NamedTuple):
    """What came of it, and the text that the event names. A trial that was `interrupted` is done once more."""

    work: Gather | Trial
    event: ProblemGathered | GatheringFailed | CandidateTried
    blobs: tuple[bytes, ...] = ()
    interrupted: Literal["", "cancel", "freeze"] = ""
