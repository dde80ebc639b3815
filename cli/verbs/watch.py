"""`witan watch [ID]`: see a task, or everything, as it happens."""

from typing import TYPE_CHECKING, Any

import click

from bus.errors import Missing
from cli.config import Settings
from cli.follow import following, lines_of, picture_of
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, formatted
from cli.progress import Progress
from cli.reach import on_log
from cli.ticker import Ticker

if TYPE_CHECKING:
    from bus.jetstream import JetStreamLog


@click.command("watch")
@click.argument("task", metavar="[ID]", required=False, type=TASK)
@placed
@formatted
def verb(task: str | None, settings: Settings, form: Form) -> int:
    """See task ID from its first event to its end: 0 when it completed, 1 when it failed or was cancelled.

    Without ID: everything that happens from now on, until Ctrl-C.
    """
    return watch_task(settings, task_of(settings, task), form) if task else on_log(settings, _everything(form))


def watch_task(settings: Settings, task: str, form: Form) -> int:
    """Stay with one task until it has ended."""

    async def look(log: "JetStreamLog") -> int:
        subject = f"evt.task.{task}"
        if await log.last(subject) is None:
            raise Missing(f"there is no task {task}")
        progress = Progress(task)
        with picture_of(form) as picture:
            async for record in following(log, [subject]):
                picture.show(record, progress)
                if progress.ended:
                    break
        return 0 if progress.status == "completed" else 1

    return on_log(settings, look)


def _everything(form: Form) -> Any:
    async def look(log: "JetStreamLog") -> int:
        ticker = Ticker(form)
        async for record in following(log, ["evt.>"], await log.head()):
            for line in lines_of(record):
                ticker.show(line)
        return 0

    return look
