"""`witan escalate ID`: stop the work on a task until a person, or a council that one convenes, has decided."""

from typing import get_args

import click

from bus.ids import fresh_id
from bus.messages.routing import Urgency
from cli.config import Settings
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, formatted, print_one, talk
from cli.reach import send


@click.command("escalate")
@click.argument("task", metavar="ID", type=TASK)
@click.option("--reason", required=True, help="What has to be decided; kept with the event.")
@click.option("--urgency", type=click.Choice(get_args(Urgency)), default="medium", help="medium if not said.")
@click.option("--id", "id", help="Repeat this command under its id: it is executed once.")
@placed
@formatted
def verb(task: str, reason: str, urgency: str, id: str | None, settings: Settings, form: Form) -> None:
    """Take task ID away from its agent: it waits until a person says how it goes on.

    witan escalate 01JD --reason "which of the two formats?"
    """
    body: dict[str, object] = {"task_id": task_of(settings, task), "reason": reason, "urgency": urgency}
    answer = send(settings, "cmd.orchestrator.escalate_task", body, id or fresh_id())
    print_one({"task_id": body["task_id"], **answer}, form)
    talk(
        f"Ask a council with `witan council convene {body['task_id']}`, or go on with `witan reset {body['task_id']}`."
    )
