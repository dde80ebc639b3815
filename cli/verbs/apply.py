"""`witan apply ID`: bring what a task has made into the branch that it began at."""

import click

from bus.ids import fresh_id
from cli.config import Settings
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, formatted


@click.command("apply")
@click.argument("task", metavar="ID", type=TASK)
@click.option("--reason", default="", help="Kept with the order.")
@click.option("--id", "id", help="Repeat this order under its id: it is executed once.")
@click.option("--wait", "wait_s", type=click.FloatRange(0), default=120.0, help="So many seconds at most; 120.")
@placed
@formatted
def verb(task: str, reason: str, id: str | None, wait_s: float, settings: Settings, form: Form) -> int:
    """Approve the work of task ID, and merge its branch into the branch that it began at.

    The approval is recorded. A target that is dirty, or checked out elsewhere, is not touched: then it says so and
    ends with 1.

    witan apply 01JD --reason "read the diff, looks right"
    """
    from cli.orders import order_work

    body: dict[str, object] = {"task_id": task_of(settings, task), "reason": reason}
    return order_work(settings, form, "guardian.approve_merge", body, id or fresh_id(), wait_s)
