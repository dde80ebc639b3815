"""A provider's model: whether it rests, and how often it failed in a row."""

from typing import assert_never

from bus.messages import provider as said
from bus.subjects import token

FAILURES_MAX = 4
"""So many failures in a row open the breaker."""
REST_FIRST_S, REST_MAX_S = 15.0, 600.0
NAMELESS = "_"


class Health:
    """What its events make of it. The treasurer itself counts failures in a row."""

    __slots__ = ("opened", "said_nothing", "until_s")

    def __init__(self) -> None:
        self.until_s = 0.0
        self.opened = 0
        """How often the breaker opened since the last reply."""
        self.said_nothing = True

    @property
    def rest_s(self) -> float:
        """How long the next rest is."""
        return float(min(REST_FIRST_S * 2**self.opened, REST_MAX_S))


def evolve(health: Health, event: said.ProviderEvent) -> Health:
    """How it stands after the event."""
    health.said_nothing = False
    match event:
        case said.BreakerOpened():
            health.until_s = max(health.until_s, event.until_s)
            health.opened += 1
        case said.BreakerClosed():
            health.until_s, health.opened = 0.0, 0
        case said.RateLimited():
            health.until_s = max(health.until_s, event.until_s)
        case _:
            assert_never(event)
    return health


def subject_of(provider: str, model: str) -> str:
    """The entity of a model; what may not stand in a subject is written as its code, and no name as no letter is."""
    name = "".join(each if each.isascii() and (each.isalnum() or each == "-") else f"_{ord(each):x}" for each in model)
    return f"evt.provider.{token(provider)}.{token(name[:64] or NAMELESS)}"
