"""Money: caps, and every reservation and settlement against them, in millionths of a dollar. One entity guards all."""

from typing import Annotated, Literal

from msgspec import Meta

from bus.messages.base import Command, Event, Reason
from bus.subjects import Token

Usd = Annotated[float, Meta(ge=0, le=1_000_000)]
Micro = int
Scope = Literal["day", "month", "task", "council"]


class SetCaps(Command, frozen=True):
    """Spend no more than this; what is not named stays as it is."""

    daily_usd: Usd | None = None
    monthly_usd: Usd | None = None
    task_usd: Usd | None = None
    council_usd: Usd | None = None
    reason: Reason = ""


class TopUp(Command, frozen=True):
    """Let one task spend so much more than the cap of a task."""

    task_id: Token
    usd: Usd
    reason: Reason = ""


class CapsRevised(Event, frozen=True):
    """`by_hand`: a command said so, and the settings do not change it back."""

    day: Micro
    month: Micro
    task: Micro
    council: Micro
    by_hand: bool = False


class TaskToppedUp(Event, frozen=True):
    task: str
    micro: Micro
    reason: str = ""


class FundsReserved(Event, frozen=True):
    """The most that a call can cost. `at_day` is the day, in UTC, whose cap it counts against."""

    reservation: str
    task: str
    model: str
    role: str
    micro: Micro
    at_day: str
    purpose: str = "run"


class FundsSettled(Event, frozen=True):
    """What the call did cost. `unknown`: nobody knows, so the whole reservation is charged."""

    reservation: str
    micro: Micro
    unknown: bool = False


class BudgetWarned(Event, frozen=True):
    """So many percent of a cap are spent or reserved."""

    scope: Scope
    percent: int
    window: str


class BudgetExhausted(Event, frozen=True):
    """A call had to wait for money, or was not made at all."""

    scope: Scope
    window: str
    wanted: Micro
    left: Micro


BudgetEvent = CapsRevised | TaskToppedUp | FundsReserved | FundsSettled | BudgetWarned | BudgetExhausted
