"""`witan status [ID]`: the board, or where one task stands."""

import click

from cli.config import Settings
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, formatted
from cli.reading import Views, print_answer

SHOWN = ("id", "status", "phase", "progress", "checklist", "agent", "priority", "text", "updated", "reason")


@click.command("status")
@click.argument("task", metavar="[ID]", required=False, type=TASK)
@click.option("--limit", type=click.IntRange(0), default=50, help="So many tasks, the newest first; 50 if not said.")
@placed
@formatted
def verb(task: str | None, limit: int, settings: Settings, form: Form) -> None:
    """The board: every task, where it stands and how far it is; or one task."""
    params: dict[str, str | int | None] = {"id": task_of(settings, task)} if task else {"limit": limit}
    print_answer(Views(settings).ask("tasks", params), form, SHOWN)
