"""`witan cancel ID`: stop working on a task."""

import click

from bus.ids import fresh_id
from cli.config import Settings
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, formatted, print_one
from cli.reach import send


@click.command("cancel")
@click.argument("task", metavar="ID", type=TASK)
@click.option("--reason", default="", help="Kept with the event.")
@click.option("--id", "id", help="Repeat this command under its id: it is executed once.")
@placed
@formatted
def verb(task: str, reason: str, id: str | None, settings: Settings, form: Form) -> None:
    """Stop working on task ID; what it produced so far is kept.

    witan cancel 01JD --reason "no longer needed"
    """
    body: dict[str, object] = {"task_id": task_of(settings, task), "reason": reason}
    answer = send(settings, "cmd.orchestrator.cancel_task", body, id or fresh_id())
    print_one({"task_id": body["task_id"], **answer}, form)
