"""`witan watch [ID]`: see a task, or everything, as it happens."""

from typing import TYPE_CHECKING, Any

import click

from bus.envelope import Record, open_envelope
from bus.errors import Missing
from bus.log import Log, replay
from bus.messages.call import CallParked
from bus.messages.kinds import read_commit
from cli.config import Settings
from cli.exits import BUDGET, FAILED, OK, PERSON
from cli.follow import COUNCILS, Picture, following, lines_of, picture_of
from cli.ids import TASK, task_of
from cli.money import ways_on
from cli.options import placed
from cli.output import Form, clean, formatted, talk
from cli.progress import Progress
from cli.reach import on_log
from cli.ticker import Ticker

if TYPE_CHECKING:
    from bus.jetstream import JetStreamLog

CALLS = "evt.call.>"


@click.command("watch")
@click.argument("task", metavar="[ID]", required=False, type=TASK)
@placed
@formatted
def verb(task: str | None, settings: Settings, form: Form) -> int:
    """See task ID from its first event to its end: 0 when it completed, 1 when it failed or was cancelled.

    It also ends with 4 when the task waits for money, and with 5 when it waits for a person.

    Without ID: everything that happens from now on, until Ctrl-C.
    """
    return watch_task(settings, task_of(settings, task), form) if task else on_log(settings, _everything(form))


def watch_task(settings: Settings, task: str, form: Form) -> int:
    """Stay with one task until it has ended or waits for a person."""

    async def look(log: "JetStreamLog") -> int:
        if await log.last(f"evt.task.{task}") is None:
            raise Missing(f"there is no task {task}")
        progress = Progress(task)
        with picture_of(form) as picture:
            await stay(log, progress, picture, await log.head())
        return outcome_of(progress)

    return on_log(settings, look)


async def stay(log: Log, progress: Progress, picture: Picture, head: int, *also: str) -> None:
    """Show what the task had come to at the head, then what happens to it, until nothing more comes by itself.

    Of its calls it is told which one waits, or all of them where somebody also wants to see the steps. How the run
    at work stands says its newest call; to read all calls of all tasks since the log began would be too much.
    """
    subject = f"evt.task.{progress.id}"
    async for batch in replay(log, [subject], until=head):
        for record in batch:
            picture.show(record, progress)
    if asked := progress.task.trouble.council:
        async for batch in replay(log, [f"{COUNCILS}{asked}"], until=head):
            for record in batch:
                picture.show(record, progress)
    newest = await log.last(progress.calls) if progress.calls else None
    if newest and newest.seq <= head and _waits(newest):
        picture.show(newest, progress)
    if not progress.rests:
        await _go_on(log, progress, picture, head, *also)


async def _go_on(log: Log, progress: Progress, picture: Picture, head: int, *also: str) -> None:
    subject = f"evt.task.{progress.id}"
    async for record in following(log, [subject, CALLS, f"{COUNCILS}*", *also], head):
        mine = record.subject == subject or open_envelope(record).flow == progress.id
        if mine and (also or not record.subject.startswith("evt.call.") or _waits(record)):
            picture.show(record, progress)
        if progress.rests:
            return


def _waits(record: Record) -> bool:
    """Whether it leaves a call that waits."""
    return isinstance(read_commit(record).events[-1], CallParked)


def outcome_of(progress: Progress) -> int:
    """The exit code for how a task stands; somebody who must say how to go on is told what is asked."""
    if progress.status == "waiting":
        talk(f"{progress.id} waits for a person: {clean(progress.reason)}")
        talk(f'Look with `witan trace {progress.id}`; go on with `witan reset {progress.id} --reason "…"`.')
        return PERSON
    if progress.blocked:
        talk(f"{progress.id} is {progress.status}. {ways_on(progress.id, progress.blocked)}")
        return BUDGET
    return OK if progress.status == "completed" else FAILED


def _everything(form: Form) -> Any:
    async def look(log: "JetStreamLog") -> int:
        ticker = Ticker(form)
        async for record in following(log, ["evt.>"], await log.head()):
            for line in lines_of(record):
                ticker.show(line)
        return 0

    return look
