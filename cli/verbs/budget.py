"""`witan budget …`: what is spent, how much may be, and more for one task."""

import time
from typing import Any

import click

from bus.days import day_of
from bus.errors import WitanError
from bus.ids import fresh_id
from cli.config import Settings
from cli.ids import TASK, task_of
from cli.listing import Listing
from cli.money import DOLLARS, usd, waiting, ways_on
from cli.options import placed
from cli.output import Form, formatted, print_json, print_one, print_rows, talk
from cli.reach import send
from cli.reading import Views

CAPS = ("scope", "window", "spent_usd", "reserved_usd", "cap_usd", "percent", "state", "usd_per_hour",
        "hours_to_exhaustion")  # fmt: skip
SPEND = ("what", "name", "calls", "failed", "usd", "input", "output", "cache_read", "cache_share", "ms_p50")
MIX = ("role", "calls", "local", "paid", "local_share", "local_share_goal", "workers_to_architect",
       "workers_to_architect_goal")  # fmt: skip
CUTS = ("day", "month", "role", "provider", "model", "task")
IDLE_S, ROWS_MAX = 3600, 20_000
_id = click.option("--id", "id", help="Repeat this order under its id: it is executed once.")
_reason = click.option("--reason", default="", help="Kept with the order.")


@click.group("budget", cls=Listing)
def verb() -> None:
    """What is spent and reserved, under which cap, and how long the rest lasts; set caps, top a task up."""


@verb.command("list")
@click.option("--limit", type=click.IntRange(0), default=10, help="So many tasks, days, models …; 10 if not said.")
@placed
@formatted
def listed(limit: int, settings: Settings, form: Form) -> None:
    """Print every cap that counts now, then calls, money and tokens by day, month, task, model, provider and role.

    With --json one object with everything; with --csv the caps alone. Days and months are those of UTC.
    """
    views = Views(settings)
    answer = views.ask("budget", {"limit": ROWS_MAX})
    caps = current(_shown(answer.dicts, limit), time.time(), answer.at)
    spend = _cut(views.ask("spend", {"limit": ROWS_MAX}).dicts, limit)
    mix = views.ask("mix").dicts
    match form:
        case Form.JSON:
            print_json({"seq": answer.seq, "at": answer.at, "budget": caps, "spend": spend, "mix": mix})
        case Form.CSV:
            print_rows(CAPS, [[row[name] for name in CAPS] for row in caps], form)
        case Form.TABLE:
            _print("caps", CAPS, caps)
            _print("spend", SPEND, [row for rows in spend.values() for row in rows])
            _print("local and paid", MIX, mix)
    _warn(caps)
    for task, scope in waiting(views).items():
        talk(f"{task} is blocked: budget. {ways_on(task, scope)}")
    if not caps:
        talk("No caps yet: nothing has been bought. They are set when Witan starts, or with `witan budget set`.")


@verb.command("set")
@click.option("--daily", type=DOLLARS, metavar="USD", help="For all tasks in one day, in UTC.")
@click.option("--monthly", type=DOLLARS, metavar="USD", help="For all tasks in one month.")
@click.option("--task", type=DOLLARS, metavar="USD", help="For each task.")
@click.option("--council", type=DOLLARS, metavar="USD", help="For the council in one day.")
@_reason
@_id
@placed
@formatted
def set_caps(reason: str, id: str | None, settings: Settings, form: Form, **caps: float | None) -> None:
    """Spend no more than this; what is not named stays as it is. What waits for money goes on if it now fits.

    witan budget set --daily 2.00 --task 0.50
    """
    said: dict[str, object] = {f"{name}_usd": amount for name, amount in caps.items() if amount is not None}
    if not said:
        raise click.UsageError("Name a cap: --daily, --monthly, --task or --council.")
    _order(settings, form, "set_caps", id, said, reason)
    _say_what_is_over(settings, {"day": caps["daily"], "month": caps["monthly"], "council": caps["council"]})


@verb.command("top-up")
@click.argument("task", metavar="ID", type=TASK)
@click.argument("amount", metavar="USD", type=DOLLARS)
@_reason
@_id
@placed
@formatted
def top_up(task: str, amount: float, reason: str, id: str | None, settings: Settings, form: Form) -> None:
    """Let task ID spend so many dollars more than the cap of a task. The caps of day and month still hold."""
    if amount == 0:
        raise click.UsageError("Say how many dollars more, like 0.50.")
    _order(settings, form, "top_up", id, {"task_id": task_of(settings, task), "usd": amount}, reason)


def _say_what_is_over(settings: Settings, wished: dict[str, float | None]) -> None:
    """A cap below what is gone already is kept, and means that nothing more is paid."""
    try:
        answer = Views(settings, quiet=True).ask("budget", {"limit": ROWS_MAX})
    except WitanError:
        return
    for row in current(_shown(answer.dicts, 0), time.time(), answer.at):
        cap, gone = wished[row["scope"]], row["spent_usd"] + row["reserved_usd"]
        if cap is not None and cap < gone:
            about = f"the {row['scope']} {row['window']}" if row["scope"] != "council" else "councils today"
            talk(f"${usd(gone)} are spent or reserved for {about} already: nothing more is paid under this cap.")


def warn(views: Views) -> None:
    """Say which caps of today and of this month are all but used up."""
    answer = views.ask("budget", {"limit": ROWS_MAX})
    _warn(current(_shown(answer.dicts, 0), time.time(), answer.at))


def _warn(caps: list[dict[str, Any]]) -> None:
    for row in caps:
        if row["scope"] != "task" and row["state"] != "ok":
            talk(f"{row['percent']:g} % of the cap of the {row['scope']} {row['window']} are spent or reserved.")


def current(caps: list[dict[str, Any]], now_s: float, at: str | None) -> list[dict[str, Any]]:
    """The windows of today; the log does not know that a day has gone by on which nothing happened."""
    today, told = day_of(now_s), []
    for row in caps:
        window = today[:7] if row["scope"] == "month" else today
        if row["scope"] != "task" and row["window"] < window:
            fresh = {"window": window, "spent_usd": 0.0, "reserved_usd": 0.0, "left_usd": row["cap_usd"]}
            fresh |= {"spent_micro": 0, "reserved_micro": 0, "exhausted": None, "updated": None}
            fresh |= {"percent": 0.0, "state": "ok"} if row["cap_micro"] else {"percent": 100.0, "state": "exhausted"}
            rate = row["usd_per_hour"]
            row = {**row, **fresh, "hours_to_exhaustion": round(row["cap_usd"] / rate, 2) if rate else None}
        told.append(_at_rest(row, now_s, at))
    return told


def _shown(rows: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """The newest window of each cap, and the tasks that spent last."""
    newest = [next((row for row in rows if row["scope"] == scope), None) for scope in ("day", "month", "council")]
    return [row for row in newest if row] + [row for row in rows if row["scope"] == "task"][:limit]


def _cut(rows: list[dict[str, Any]], limit: int) -> dict[str, list[dict[str, Any]]]:
    return {what: [row for row in rows if row["what"] == what][:limit] for what in CUTS}


def _at_rest(row: dict[str, Any], now_s: float, at: str | None) -> dict[str, Any]:
    """Nothing has happened for an hour: nothing is spent."""
    from datetime import datetime

    if at and now_s - datetime.fromisoformat(at).timestamp() > IDLE_S:
        return {**row, "usd_per_hour": 0.0, "hours_to_exhaustion": None}
    return row


def _print(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """Amounts with their cents; columns that hold nothing are left out."""
    shown = [name for name in columns if any(row[name] is not None for row in rows)]
    cells = [[usd(row[name]) if "usd" in name else row[name] for name in shown] for row in rows]
    if rows:
        print_rows(shown, cells, Form.TABLE, title=title)


def _order(settings: Settings, form: Form, command: str, id: str | None, body: dict[str, object], reason: str) -> None:
    answer = send(settings, f"cmd.treasurer.{command}", body | ({"reason": reason} if reason else {}), id or fresh_id())
    print_one({name: value for name, value in answer.items() if name != "ok"}, form)
