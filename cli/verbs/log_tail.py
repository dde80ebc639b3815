"""`witan log tail`: the newest events, and those to come."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from bus.envelope import Record, open_envelope
from bus.log import Log, replay
from bus.messages.kinds import EVENTS_OF
from cli.config import Settings
from cli.follow import following, lines_of
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, formatted
from cli.reach import on_log
from cli.ticker import Ticker

if TYPE_CHECKING:
    from bus.jetstream import JetStreamLog


@click.command("tail")
@click.argument("task", metavar="[ID]", required=False, type=TASK)
@click.option("-n", "count", type=click.IntRange(0), default=20, help="So many commits; 20 if not said.")
@click.option("-f", "--follow", "stay", is_flag=True, help="Stay, and print what comes, until Ctrl-C.")
@click.option("--kind", type=click.Choice(list(EVENTS_OF)), help="Only this kind of entity.")
@click.option("--flow", metavar="ID", type=TASK, help="The same as ID.")
@placed
@formatted
def verb(
    task: str | None, count: int, stay: bool, kind: str | None, flow: str | None, settings: Settings, form: Form
) -> None:
    """Print the newest events, oldest first; with ID only what happened for that task.

    witan log tail -n 50 -f --kind guardian
    """
    pattern = f"evt.{kind}.>" if kind else "evt.>"
    wish = task or flow
    flow = task_of(settings, wish) if wish else None

    def wanted(record: Record) -> bool:
        return flow is None or open_envelope(record).flow == flow

    async def look(log: "JetStreamLog") -> None:
        ticker = Ticker(form)
        head = await log.head()
        for record in await newest(log, pattern, count, wanted, head):
            for line in lines_of(record):
                ticker.show(line)
        if stay:
            async for record in following(log, [pattern], head):
                for line in lines_of(record) if wanted(record) else ():
                    ticker.show(line)

    on_log(settings, look)


async def newest(log: Log, pattern: str, count: int, wanted: Callable[[Record], bool], head: int) -> list[Record]:
    """The last records that are wanted, looked for from the head backwards in growing steps."""
    found: deque[Record] = deque(maxlen=count)
    width = max(100, 2 * count)
    while count:
        found.clear()
        async for batch in replay(log, [pattern], max(0, head - width), head):
            found.extend(record for record in batch if wanted(record))
        if len(found) == count or width >= head:
            break
        width *= 8
    return list(found)
