"""SQL of the user's own, in a process of its own, on a snapshot: it can read the tables and nothing else."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec

from bus.errors import Invalid, Refused, Unavailable
from projections.statements import SAY

MEMORY_BYTES = 3 * 1024**3
"""Of address space, which is more than what is used; a list buffer knows no other limit."""
SECONDS = 20.0
ROWS_MAX = 10_000
REPLY_MAX_BYTES = 32 * 1024 * 1024
HOME = Path(__file__).parent.parent

Setting = str | bool | int | float | list[str]
READS = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
SETTINGS: dict[str, Setting] = {
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "temp_directory": "",
    "memory_limit": "1GB",
    "threads": "2",
}


class Table(NamedTuple):
    """What a statement answered."""

    columns: list[tuple[str, str]]
    rows: list[list[Any]]
    truncated: bool


class Order(msgspec.Struct):
    """What the child is told on its standard input."""

    path: str
    sql: str
    params: list[str | int | float | bool | None] = []
    seconds: float = SECONDS
    rows: int = ROWS_MAX


def run_sql(path: Path | str, sql: str, params: Sequence[Any] = (), seconds: float = SECONDS) -> Table:
    """Run one statement that reads."""
    order = Order(str(path), sql, list(params), seconds)
    search = os.pathsep.join(filter(None, [str(HOME), os.environ.get("PYTHONPATH", "")]))
    child = [sys.executable, "-P", "-m", "projections.sandbox"]
    try:
        done = subprocess.run(
            child,
            input=msgspec.json.encode(order),
            capture_output=True,
            timeout=seconds + 10,
            env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": search},
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"the statement was stopped after {seconds:g} s", "Ask for less: filter it.") from error
    try:
        said = json.loads(done.stdout)
    except ValueError as error:
        raise Refused("the statement needed more than its memory or time", "Ask for less: filter it.") from error
    if "code" in said:
        kind = {"invalid": Invalid, "unavailable": Unavailable}.get(said["code"], Refused)
        raise kind(said["message"], said["hint"])
    return Table([(name, type) for name, type in said["columns"]], said["rows"], said["truncated"])


def _fence(seconds: float) -> None:
    """What no statement can talk its way around."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds * 2) + 5, int(seconds * 2) + 6))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _only_reads(sql: str) -> None:
    statements = duckdb.extract_statements(sql)
    if len(statements) != 1:
        raise Invalid(f"{len(statements)} statements; one at a time", "Send a single SELECT.")
    if statements[0].type not in READS:
        raise Refused(f"{statements[0].type.name} is not a question", "Only SELECT, FROM, WITH, SHOW and EXPLAIN.")


def _answer(order: Order) -> dict[str, Any]:
    _only_reads(order.sql)
    db = duckdb.connect(order.path, read_only=True, config=SETTINGS)
    facts, board = db.execute(SAY["position"]).fetchall()[0]
    db.execute(SAY["upto"], {"seq": facts})
    db.execute(SAY["folded_at"], {"seq": board})
    db.execute(SAY["limit_time"], {"ms": int(order.seconds * 1000)})
    db.execute(SAY["lock"])
    db.execute(order.sql, order.params or None)
    columns = [(str(name), str(kind)) for name, kind, *_ in db.description or []]
    rows = db.fetchmany(order.rows + 1)
    return {"columns": columns, "rows": rows[: order.rows], "truncated": len(rows) > order.rows}


def _reply(order: Order) -> dict[str, Any]:
    try:
        return _answer(order)
    except (Invalid, Refused) as error:
        return error.answer()
    except duckdb.InterruptException:
        return Unavailable(f"stopped after {order.seconds:g} s", "Ask for less: filter it.").answer()
    except (duckdb.OutOfMemoryException, MemoryError):
        return Refused("the statement needs too much memory", "Ask for less: filter it.").answer()
    except duckdb.PermissionException as error:
        return Refused(_first(error), "SQL here reads Witan's tables and nothing else.").answer()
    except duckdb.Error as error:
        return Invalid(_first(error), "`SHOW TABLES` and `DESCRIBE events` say what there is.").answer()


def _first(error: Exception) -> str:
    return str(error).split("\n\n", 1)[0][:1000]


def main() -> None:
    """The child: read an order, fence yourself in, answer."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    _fence(order.seconds)
    reply = msgspec.json.encode(_reply(order), enc_hook=str)
    if len(reply) > REPLY_MAX_BYTES:
        reply = msgspec.json.encode(Refused("the answer is too large", "Ask for less: filter it.").answer())
    sys.stdout.buffer.write(reply)


if __name__ == "__main__":
    main()
