"""`witan reset ID`: take a stuck or failed task up again."""

import click

from bus.ids import fresh_id
from cli.config import Settings
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, formatted, print_one
from cli.reach import send


@click.command("reset")
@click.argument("task", metavar="ID", type=TASK)
@click.option("--reason", default="", help="Kept with the event.")
@click.option("--id", "id", help="Repeat this command under its id: it is executed once.")
@placed
@formatted
def verb(task: str, reason: str, id: str | None, settings: Settings, form: Form) -> None:
    """Take the current phase of a stuck or failed task up again with a fresh agent.

    witan reset 01JD --reason "the provider was down"
    """
    body: dict[str, object] = {"task_id": task_of(settings, task), "reason": reason}
    answer = send(settings, "cmd.orchestrator.reset_task", body, id or fresh_id())
    print_one({"task_id": body["task_id"], **answer}, form)
