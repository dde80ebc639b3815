"""`witan watch [ID]`: see a task, or everything, as it happens."""

from typing import TYPE_CHECKING, Any

import click

from bus.errors import Missing
from cli.config import Settings
from cli.exits import FAILED, OK, PERSON
from cli.follow import following, lines_of, picture_of
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, clean, formatted, talk
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

    It also ends, with 5, when the task waits for a person.

    Without ID: everything that happens from now on, until Ctrl-C.
    """
    return watch_task(settings, task_of(settings, task), form) if task else on_log(settings, _everything(form))


def watch_task(settings: Settings, task: str, form: Form) -> int:
    """Stay with one task until it has ended or waits for a person."""

    async def look(log: "JetStreamLog") -> int:
        subject = f"evt.task.{task}"
        newest = await log.last(subject)
        if newest is None:
            raise Missing(f"there is no task {task}")
        progress = Progress(task)
        with picture_of(form) as picture:
            async for record in following(log, [subject]):
                picture.show(record, progress)
                if progress.rests and record.seq >= newest.seq:
                    break
        return outcome_of(progress)

    return on_log(settings, look)


def outcome_of(progress: Progress) -> int:
    """The exit code for how a task stands; somebody who must say how to go on is told what is asked."""
    if progress.status == "waiting":
        talk(f"{progress.id} waits for a person: {clean(progress.reason)}")
        talk(f'Look with `witan trace {progress.id}`; go on with `witan reset {progress.id} --reason "…"`.')
        return PERSON
    return OK if progress.status == "completed" else FAILED


def _everything(form: Form) -> Any:
    async def look(log: "JetStreamLog") -> int:
        ticker = Ticker(form)
        async for record in following(log, ["evt.>"], await log.head()):
            for line in lines_of(record):
                ticker.show(line)
        return 0

    return look
