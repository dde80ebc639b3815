"""A provider's model: whether it can be asked now. Each model has an entity of its own."""

from bus.messages.base import Event


class BreakerOpened(Event, frozen=True):
    """It failed so often in a row that nobody asks it before `until_s`, in seconds of the epoch."""

    provider: str
    model: str
    failures: int
    until_s: float
    reason: str


class BreakerClosed(Event, frozen=True):
    """It replied again."""

    provider: str
    model: str


class RateLimited(Event, frozen=True):
    """It asked to be left alone until then."""

    provider: str
    model: str
    until_s: float


ProviderEvent = BreakerOpened | BreakerClosed | RateLimited
