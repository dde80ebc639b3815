"""A run: one attempt by one agent at one phase."""

from msgspec import field

from bus.messages.base import Artifact, Event


class RunStarted(Event, frozen=True):
    task: str
    phase: str
    role: str
    mind: str
    attempt: int = 1


class RunFinished(Event, frozen=True):
    artifacts: list[Artifact] = field(default_factory=list)


class RunFailed(Event, frozen=True):
    reason: str


class RunStopped(Event, frozen=True):
    reason: str


RunEvent = RunStarted | RunFinished | RunFailed | RunStopped
