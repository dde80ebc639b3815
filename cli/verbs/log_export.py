"""`witan log export`: the whole log as JSON lines, or only its head, to be kept elsewhere."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click
import msgspec

from bus.envelope import Record
from bus.log import replay
from bus.verify import Walk
from cli.bar import bar
from cli.config import Settings
from cli.options import placed
from cli.output import talk
from cli.reach import on_log

if TYPE_CHECKING:
    from bus.jetstream import JetStreamLog


@click.command("export")
@click.option("--head", "only_head", is_flag=True, help="Only where the log ends and the digest of all up to there.")
@click.option("--out", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write to FILE, not to stdout.")
@placed
def verb(only_head: bool, file: Path | None, settings: Settings) -> None:
    """Print every commit as one JSON object a line, verified on the way.

    witan log export --head --out head.json   # keep it elsewhere; `witan log verify --head head.json` proves the rest
    """

    async def look(log: "JetStreamLog") -> Walk:
        end = await log.head()
        walk = Walk()
        with _target(file) as out, bar("exporting") as advance:
            async for batch in replay(log, until=end):
                walk.take(batch)
                advance(walk.seq, end)
                if not only_head:
                    out.writelines(map(_line, batch))
            walk.finish(end)
            if only_head:
                out.write(msgspec.json.encode(walk.head) + b"\n")
        return walk

    walk = on_log(settings, look)
    where = f" to {file}" if file else ""
    talk(f"{'The head' if only_head else f'{walk.count} commits'} up to seq {walk.seq}{where}, every link verified.")


def _line(record: Record) -> bytes:
    return b'{"seq":%d,"subject":"%b","commit":%b}\n' % (record.seq, record.subject.encode(), record.body)


def _target(file: Path | None) -> "nullcontext[IO[bytes]] | IO[bytes]":
    return open(file, "wb") if file else nullcontext(sys.stdout.buffer)
