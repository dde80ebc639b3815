"""Money as a person types and reads it, and what to type when there is none left."""

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cli.reading import Views

USD_MAX = 1_000_000
FINEST = Decimal("0.000001")
CAPS = {"day": "daily", "month": "monthly", "task": "task", "council": "council"}
"""The scope of a cap, and the option of `witan budget set` that moves it."""


class Dollars(click.ParamType[float]):
    """An amount: `2`, `2.00` or `$0.5`, down to a millionth."""

    name = "usd"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            amount = Decimal(str(value).strip().removeprefix("$"))
        except InvalidOperation:
            self.fail(f"{str(value)[:80]!r} is not an amount of dollars, like 2.00", param, ctx)
        if not amount.is_finite() or not 0 <= amount <= USD_MAX:
            self.fail(f"{str(value)[:80]} is not between 0 and {USD_MAX} dollars", param, ctx)
        if amount != amount.quantize(FINEST):
            self.fail(f"{str(value)[:80]} is finer than a millionth of a dollar", param, ctx)
        return float(amount)


DOLLARS = Dollars()


def usd(amount: float | None) -> str | None:
    """An amount for a table: cents, and as many places more as it has."""
    if amount is None:
        return None
    whole, _, rest = f"{amount:.6f}".partition(".")
    return f"{whole}.{rest[:2]}{rest[2:].rstrip('0')}"


def waiting(views: "Views", task: str | None = None) -> dict[str, str]:
    """The tasks whose newest call waits for money, and under which scope's cap."""
    calls = views.ask("calls", {"outcome": "parked", "parked": "budget", "task": task, "limit": 1000}).dicts
    return {row["task"]: row["parked_scope"] for row in reversed(calls)}


def ways_on(task: str, scope: str) -> str:
    """What to type so that a task goes on that waits for money."""
    raise_it = f"witan budget set --{CAPS.get(scope, 'daily')} USD"
    if scope == "task":
        return f"Go on with `witan budget top-up {task} USD`, or with `{raise_it}` for all tasks."
    when = {"month": "in the next month"}.get(scope, "tomorrow (UTC)")
    return f"It goes on by itself {when}, or now with `{raise_it}`."
