"""A run: one attempt by one agent at one phase."""

from msgspec import field

from bus.messages.base import Artifact, Event


class RunStarted(Event, frozen=True):
    """`recovery` is the failure that this run is to make good; empty when nothing went wrong before."""

    task: str
    phase: str
    role: str
    mind: str
    attempt: int = 1
    recovery: str = ""


class RunFinished(Event, frozen=True):
    """`tree` is the git tree of the workspace when the run was over; empty where a run had none."""

    artifacts: list[Artifact] = field(default_factory=list)
    tree: str = ""
    summary: str = ""


class RunFailed(Event, frozen=True):
    """`failure` is one of the types that `actors.recovery` knows."""

    reason: str
    failure: str = "unknown"


class RunStopped(Event, frozen=True):
    reason: str


RunEvent = RunStarted | RunFinished | RunFailed | RunStopped
