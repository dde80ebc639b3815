"""What a durable timer says when it fires."""

import msgspec


class Due(msgspec.Struct, frozen=True, tag_field="type", tag=True):
    """The moment has come."""


class LeasesDue(Due, frozen=True):
    """Some assignment may have been silent for too long."""


class FreezeDue(Due, frozen=True):
    """Whoever has not acknowledged the freeze by now is late."""

    order: str


class StepDue(Due, frozen=True):
    """A run goes on with its next step."""

    agent: str
    run: str


class RecoveryDue(Due, frozen=True):
    """A phase may be tried again."""

    task: str


class AgentDue(Due, frozen=True):
    """The agent that was named for a task's phase has been waited for long enough."""

    task: str


class CallsDue(Due, frozen=True):
    """Some call has waited long enough for money or for a provider."""


AnyDue = LeasesDue | FreezeDue | StepDue | RecoveryDue | AgentDue | CallsDue
