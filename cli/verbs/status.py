"""`witan status [ID]`: the board, or where one task stands."""

import click

from cli.config import Settings
from cli.ids import TASK, task_of
from cli.money import waiting, ways_on
from cli.options import placed
from cli.output import Form, formatted, talk
from cli.progress import BLOCKED
from cli.reading import Answer, Views, print_answer
from cli.verbs.budget import warn

SHOWN = ("id", "status", "phase", "progress", "checklist", "agent", "priority", "text", "updated", "reason")


@click.command("status")
@click.argument("task", metavar="[ID]", required=False, type=TASK)
@click.option("--limit", type=click.IntRange(0), default=50, help="So many tasks, the newest first; 50 if not said.")
@placed
@formatted
def verb(task: str | None, limit: int, settings: Settings, form: Form) -> None:
    """The board: every task, where it stands and how far it is; or one task."""
    params: dict[str, str | int | None] = {"id": task_of(settings, task)} if task else {"limit": limit}
    views = Views(settings)
    answer = views.ask("tasks", params)
    blocked = _with_blocked(answer, views)
    print_answer(answer, form, SHOWN)
    for id, scope in blocked.items():
        talk(f"{id} is {BLOCKED}. {ways_on(id, scope)}")
    warn(views)


def _with_blocked(answer: Answer, views: Views) -> dict[str, str]:
    """Write it into the rows of the tasks that wait for money; those tasks, and under which cap."""
    id, status, reason = (answer.columns.index(name) for name in ("id", "status", "reason"))
    if all(row[status] != "running" for row in answer.rows):
        return {}
    blocked = waiting(views)
    for row in answer.rows:
        if row[status] == "running" and row[id] in blocked:
            row[status], row[reason] = BLOCKED, f"the cap of the {blocked[row[id]]} is used up"
    return {row[id]: blocked[row[id]] for row in answer.rows if row[status] == BLOCKED}
