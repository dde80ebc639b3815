"""`witan history [ID]`: what every task took, how often things go well, and what goes wrong."""

import click

from cli.config import Settings
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, formatted, talk
from cli.reading import Views, print_answer

SHOWN = ("task", "status", "phases", "runs", "turns", "steps", "errors", "recovered", "seconds", "text", "reason")
ERRORS = ("failure", "n", "steps", "replies", "runs", "share", "strategies", "last_task", "example")


@click.command("history")
@click.argument("what", metavar="[ID|stats|errors]", required=False, type=TASK)
@click.option("--limit", type=click.IntRange(0), default=50, help="So many rows; 50 if not said.")
@placed
@formatted
def verb(what: str | None, limit: int, settings: Settings, form: Form) -> None:
    """Every task, the newest first: runs, turns, steps, errors, seconds, and how many failures were made good.

    witan history stats: success rates and times by role, phase and tool, steps a run, recoveries.

    witan history errors: every type of failure, where last, what was tried, and how often that helped.
    """
    views = Views(settings)
    if what == "stats":
        print_answer(views.ask("history_stats", {"limit": limit}), form)
    elif what == "errors":
        print_answer(views.ask("history_errors", {"limit": limit}), form, ERRORS)
    elif what:
        task = task_of(settings, what)
        print_answer(views.ask("history", {"task": task}), form, SHOWN)
        talk(f"Step by step: witan trace {task}")
    else:
        print_answer(views.ask("history", {"limit": limit}), form, SHOWN)
