"""`witan sql "SELECT …"`: a question of one's own, answered from a copy that nobody writes."""

import asyncio
import sys

import click

from cli.config import Settings
from cli.exits import Absent
from cli.options import placed
from cli.output import Form, formatted, print_rows, talk
from cli.reach import Snapshot, connected, daemon_of, file_of, snapshot


@click.command("sql")
@click.argument("text", metavar="SELECT")
@placed
@formatted
def verb(text: str, settings: Settings, form: Form) -> None:
    """Ask any question in DuckDB's SQL of the facts (`events`) and of every view. `-` reads it from stdin.

    It runs in a process of its own, that can reach neither files nor the network.

    witan sql "SELECT type, count(*) FROM events GROUP BY type ORDER BY 2 DESC"
    """
    from projections.sandbox import run_sql

    if settings.nats_url or daemon_of(settings):
        path, seq = asyncio.run(_copy(settings))
        where = f"a snapshot at seq {seq}"
    else:
        path = file_of(settings)
        where = f"{path}; no Witan runs here"
        if not path.exists():
            raise Absent(f"no Witan runs here, and there is no {path}", "Start it with `witan up --detach`.")
    table = run_sql(path, sys.stdin.read() if text == "-" else text)
    print_rows([name for name, _ in table.columns], table.rows, form)
    more = "; there is more: say LIMIT and OFFSET" if table.truncated else ""
    talk(f"{len(table.rows)} row{'' if len(table.rows) == 1 else 's'} from {where}{more}")


async def _copy(settings: Settings) -> Snapshot:
    async with connected(settings) as connection:
        return await snapshot(connection)
