"""`witan briefing ID`: what an agent that takes a task up is told about it."""

from datetime import UTC, datetime
from typing import Any

import click

from bus.errors import Missing
from cli.config import Settings
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, clean, formatted, print_json, print_rows, talk
from cli.reading import Views

RECENT_ROWS, ROWS = 200, 1000


@click.command("briefing")
@click.argument("task", metavar="ID", type=TASK)
@placed
@formatted
def verb(task: str, settings: Settings, form: Form) -> None:
    """What there is to know about task ID, in at most 600 tokens.

    The task, its last events, requirements, files, open questions, failing tests, and the failures of the 24 hours
    before the log's end with what was done against them; the most relevant of each. With --json one object, with --csv
    a line a row.
    """
    from actors.treasurer.briefing import BRIEFING_MAX_TOKENS, brief

    task = task_of(settings, task)
    views = Views(settings)
    known = next(iter(views.ask("tasks", {"id": task}).dicts), None)
    if known is None:
        raise Missing(f"nothing is known of the task {task} yet")
    briefing = brief(_facts(views, task, known))
    match form:
        case Form.JSON:
            parts = {title.replace(" ", "_"): lines for title, lines in briefing.parts}
            print_json({"task_id": task, "tokens": briefing.tokens, **parts})
        case Form.CSV:
            print_rows(["part", "line"], [[title, each] for title, lines in briefing.parts for each in lines], form)
        case Form.TABLE:
            click.echo(clean(briefing.text))
            talk(f"{briefing.tokens} tokens, of at most {BRIEFING_MAX_TOKENS}")


def _facts(views: Views, task: str, known: dict[str, Any]) -> Any:
    """Everything that the views say about it; events the oldest first."""
    from actors.treasurer.briefing import LOG_LINES, Facts, Requirement

    def rows(view: str, **filters: str | int) -> list[dict[str, Any]]:
        return views.ask(view, {"limit": ROWS, **filters}).dicts

    runs = rows("runs", task=task)
    asked = rows("activity", task=task, type="PersonAsked", limit=5) if known["status"] == "waiting" else []
    return Facts(
        task=f"{known['text']} ({known['status']}, {known['progress']} phases done)",
        log=[row["line"] for row in reversed(rows("activity", task=task, limit=LOG_LINES))],
        requirements=[Requirement(row["item"], row["text"], row["done"]) for row in rows("checklist", task=task)],
        files=[path for run in runs for path in run["files_written"]],
        questions=[row["line"] for row in reversed(asked[:1])],
        troubles=_troubles(views, task),
        quality=_quality(runs),
    )


def _troubles(views: Views, task: str) -> list[Any]:
    """The newest of all failures; how long ago is counted from the end of the log."""
    from actors.treasurer.briefing import Trouble

    total = views.ask("recoveries", {"limit": ROWS})
    found, offset = total.dicts, ROWS
    while total.truncated and total.rows:
        total = views.ask("recoveries", {"limit": ROWS, "offset": offset})
        found, offset = [*found, *total.dicts][-RECENT_ROWS:], offset + ROWS
    if not found:
        return []
    ends = _moment(total.at)
    return [
        Trouble(
            row["failure"],
            row["error"] or "",
            row["strategy"] or "",
            row["outcome"],
            (ends - _moment(row["started"])).total_seconds() / 3600,
            "" if row["task"] == task else row["task"] or "",
        )
        for row in found
    ]


def _moment(value: Any) -> datetime:
    """As the daemon tells it, a text; as the file does, a time."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _quality(runs: list[dict[str, Any]]) -> list[str]:
    """What the last tests of the task said."""
    import msgspec

    results = [run["test_results"] for run in runs if run["test_results"]]
    if not results:
        return []
    last = results[-1]
    told = msgspec.json.decode(last) if isinstance(last, str) else last
    return [f"the test {name} fails" for name in told.get("failures") or ()]
