"""The budget: what its events make of it, and whether a call still fits under every cap."""

from typing import NamedTuple, assert_never

import msgspec

from bus.messages import budget as said

SUBJECT = "evt.budget.main"
WARN_PERCENT = 80


class Caps(NamedTuple):
    """In millionths of a dollar; for a UTC day, a month, a task, and the council's day."""

    day: int
    month: int
    task: int
    council: int


class Short(NamedTuple):
    """The cap that a call does not fit under."""

    scope: said.Scope
    window: str
    left: int


class Budget(msgspec.Struct):
    """What is spent and what is reserved, by day, month and task."""

    caps: Caps = Caps(0, 0, 0, 0)
    by_hand: bool = False
    days: dict[str, int] = {}
    months: dict[str, int] = {}
    council: dict[str, int] = {}
    tasks: dict[str, int] = {}
    extra: dict[str, int] = {}
    open: dict[str, said.FundsReserved] = {}
    warned: set[tuple[str, str]] = set()

    def cuts(self, task: str, day: str, purpose: str) -> list[tuple[said.Scope, str, int, int]]:
        """The caps that a call counts against: scope, window, taken already, cap."""
        caps, month = self.caps, day[:7]
        cuts: list[tuple[said.Scope, str, int, int]] = [
            ("day", day, self.days.get(day, 0), caps.day),
            ("month", month, self.months.get(month, 0), caps.month),
            ("task", task, self.tasks.get(task, 0), caps.task + self.extra.get(task, 0)),
        ]
        if purpose != "run":
            cuts.append(("council", day, self.council.get(day, 0), caps.council))
        return cuts

    def short(self, wish: said.FundsReserved) -> Short | None:
        """The first cap that it would break; none: it fits."""
        for scope, window, taken, cap in self.cuts(wish.task, wish.at_day, wish.purpose):
            if taken + wish.micro > cap:
                return Short(scope, window, cap - taken)
        return None

    def warnings(self, wish: said.FundsReserved) -> list[said.BudgetWarned]:
        """What is to be said now that this much more is taken; once for each window."""
        return [
            said.BudgetWarned(scope=scope, percent=WARN_PERCENT, window=window)
            for scope, window, taken, cap in self.cuts(wish.task, wish.at_day, wish.purpose)
            if (scope, window) not in self.warned and (taken + wish.micro) * 100 >= cap * WARN_PERCENT
        ]

    def take(self, wish: said.FundsReserved, micro: int) -> None:
        """So much more, or less, is taken from everything that the call counts against."""
        day, month = wish.at_day, wish.at_day[:7]
        self.days[day] = self.days.get(day, 0) + micro
        self.months[month] = self.months.get(month, 0) + micro
        self.tasks[wish.task] = self.tasks.get(wish.task, 0) + micro
        if wish.purpose != "run":
            self.council[day] = self.council.get(day, 0) + micro


def evolve(budget: Budget, event: said.BudgetEvent) -> Budget:
    """What the budget is after the event."""
    match event:
        case said.CapsRevised():
            budget.caps = Caps(event.day, event.month, event.task, event.council)
            budget.by_hand = budget.by_hand or event.by_hand
            budget.warned.clear()  # of the old caps
        case said.TaskToppedUp():
            budget.extra[event.task] = budget.extra.get(event.task, 0) + event.micro
            budget.warned.discard(("task", event.task))
        case said.FundsReserved():
            budget.open[event.reservation] = event
            budget.take(event, event.micro)
        case said.FundsSettled():
            reserved = budget.open.pop(event.reservation, None)
            if reserved is not None:
                budget.take(reserved, event.micro - reserved.micro)
        case said.BudgetWarned():
            budget.warned.add((event.scope, event.window))
        case said.BudgetExhausted():
            pass
        case _:
            assert_never(event)
    return budget
