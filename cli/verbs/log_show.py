"""`witan log show SEQ|SUBJECT`: one commit in full, or all of one entity."""

from typing import TYPE_CHECKING

import click
import msgspec

from bus.envelope import Record
from bus.errors import Missing
from bus.log import replay
from bus.subjects import route_of
from cli.config import Settings
from cli.options import placed
from cli.output import Form, clean, formatted, print_json, print_rows
from cli.reach import on_log

if TYPE_CHECKING:
    from bus.jetstream import JetStreamLog


@click.command("show")
@click.argument("place", metavar="SEQ|SUBJECT")
@placed
@formatted
def verb(place: str, settings: Settings, form: Form) -> None:
    """Print the commit at SEQ, or every commit of the entity at SUBJECT, with nothing left out.

    witan log show 17

    witan log show evt.task.01JD2C
    """
    subject = "" if place.isdecimal() else route_of(place).subject

    async def look(log: "JetStreamLog") -> list[Record]:
        if subject:
            return await log.read(subject)
        seq = int(place)
        return [record async for batch in replay(log, after=seq - 1, until=seq) for record in batch]

    records = on_log(settings, look)
    if not records:
        raise Missing(f"the log has nothing at {place}", "See what it has with `witan log tail`.")
    for record in records:
        _print(record, form)


def _print(record: Record, form: Form) -> None:
    commit = msgspec.json.decode(record.body)
    if form is Form.TABLE:
        click.secho(f"{record.seq}  {record.subject}", bold=True)
        click.echo(clean(msgspec.json.format(record.body, indent=2).decode()))
    elif form is Form.JSON:
        print_json({"seq": record.seq, "subject": record.subject, **commit})
    else:
        row = {"seq": record.seq, "subject": record.subject, **commit}
        print_rows(list(row), [list(row.values())], form)
