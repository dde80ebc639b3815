"""The purse: funds are reserved before a call and settled after it. It appends to the budget and to nothing else."""

from actors.desk import Desk
from actors.treasurer.budget import SUBJECT, Budget, Caps, Short
from bus.days import next_day_s, next_month_s
from bus.errors import Refused
from bus.messages import budget as said

MICRO = 1_000_000


def micro_of(usd: float) -> int:
    """Millionths of a dollar, rounded down: a cap is never more than what was said."""
    return int(round(usd * MICRO, 3))


def ends_at_s(short: Short, now_s: float) -> float:
    """When the window of a cap is over; a task's has no end but a top-up, so it is looked at again the next day."""
    return next_month_s(now_s) if short.scope == "month" else next_day_s(now_s)


def reserve(desk: Desk, wish: said.FundsReserved) -> Short | None:
    """Take the most that the call can cost from every cap; or say which cap it would break."""
    budget: Budget = desk.state(SUBJECT)
    if wish.micro == 0:
        return None
    short = budget.short(wish)
    if short is None:
        desk.append(SUBJECT, *budget.warnings(wish), wish, flow=wish.task)
    return short


def settle(desk: Desk, reservation: str, micro: int, unknown: bool = False) -> None:
    """Give back what the call did not cost; said twice, done once."""
    budget: Budget = desk.state(SUBJECT)
    reserved = budget.open.get(reservation)
    if reserved is not None:
        cost = reserved.micro if unknown else micro
        settled = said.FundsSettled(reservation=reservation, micro=cost, unknown=unknown)
        desk.append(SUBJECT, settled, flow=reserved.task)


def in_words(short: Short, wish: said.FundsReserved) -> str:
    """Why a call is not made."""
    cap = {"task": f"the task {short.window}", "council": f"councils on {short.window}"}.get(short.scope, short.window)
    left = max(short.left, 0)
    return f"it can cost ${wish.micro / MICRO:.4f} and ${left / MICRO:.4f} is left under the cap of {cap}"


def exhausted(desk: Desk, short: Short, wanted: int, flow: str) -> None:
    """Say that there is no money for a call."""
    told = said.BudgetExhausted(scope=short.scope, window=short.window, wanted=wanted, left=max(short.left, 0))
    desk.append(SUBJECT, told, flow=flow)


def configure(desk: Desk, caps: Caps) -> None:
    """The settings' caps, unless a command has said others."""
    budget: Budget = desk.state(SUBJECT)
    if not budget.by_hand and budget.caps != caps:
        desk.append(SUBJECT, said.CapsRevised(day=caps.day, month=caps.month, task=caps.task, council=caps.council))


def set_caps(desk: Desk, wish: said.SetCaps) -> None:
    """A person says how much may be spent."""
    budget: Budget = desk.state(SUBJECT)
    if not desk.knows(SUBJECT, desk.message.id):
        named = (wish.daily_usd, wish.monthly_usd, wish.task_usd, wish.council_usd)
        if all(usd is None for usd in named):
            raise Refused("no cap is named", "Name one: daily_usd, monthly_usd, task_usd or council_usd.")
        caps = Caps(*(old if usd is None else micro_of(usd) for usd, old in zip(named, budget.caps, strict=True)))
        revised = said.CapsRevised(day=caps.day, month=caps.month, task=caps.task, council=caps.council, by_hand=True)
        desk.append(SUBJECT, revised)
    desk.answer(**{f"{name}_usd": micro / MICRO for name, micro in budget.caps._asdict().items()})


def top_up(desk: Desk, wish: said.TopUp) -> None:
    """One task may spend more than the others."""
    if not desk.knows(SUBJECT, desk.message.id):
        micro = micro_of(wish.usd)
        desk.append(SUBJECT, said.TaskToppedUp(task=wish.task_id, micro=micro, reason=wish.reason), flow=wish.task_id)
    desk.answer(task_id=wish.task_id, usd=wish.usd)
