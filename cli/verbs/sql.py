"""`witan sql "SELECT …"`: a question of one's own, answered from a snapshot in this process."""

import sys
from pathlib import Path

import click

from cli.config import Settings
from cli.exits import Absent
from cli.options import placed
from cli.output import Form, formatted, print_rows, talk
from cli.reach import ask, daemon_of


@click.command("sql")
@click.argument("text", metavar="SELECT")
@click.option("--limit", type=click.IntRange(1), default=1000, help="So many rows; 1000 if not said.")
@placed
@formatted
def verb(text: str, limit: int, settings: Settings, form: Form) -> None:
    """Ask any question in DuckDB's SQL of the facts (`events`) and of every view. `-` reads it from stdin.

    It runs here, on a copy that nobody writes; it can reach neither files nor the network.

    witan sql "SELECT type, count(*) FROM events GROUP BY type ORDER BY 2 DESC"
    """
    from projections.sandbox import run_sql

    path, where = _file(settings)
    columns, rows, truncated = run_sql(path, sys.stdin.read() if text == "-" else text, limit)
    print_rows(columns, rows, form)
    talk(f"{len(rows)} rows from {where}{'; there is more: say --limit' if truncated else ''}")


def _file(settings: Settings) -> tuple[Path, str]:
    """A file that no other process writes."""
    if settings.nats_url or daemon_of(settings):
        told = ask(settings, "snapshot")
        path = Path(told["path"])
        if not path.exists():
            raise Absent(f"the snapshot {path} is on the daemon's machine", "Run `witan sql` there.")
        return path, f"a snapshot at seq {told['seq']}"
    path = settings.state_dir / "witan.duckdb"
    if not path.exists():
        raise Absent(f"no Witan runs here, and there is no {path}", "Start it with `witan up --detach`.")
    return path, f"{path}; no Witan runs here"
