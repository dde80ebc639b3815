"""Rows on stdout: a table for a person, JSON lines for a pipe, CSV for a spreadsheet."""

import csv
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any, TypeVar

import click

CELL = 300
SHA256_SHOWN = 12
CHANGES = {"+": "green", "-": "red", "@": "cyan"}
_is_sha256 = re.compile(r"[0-9a-f]{64}").fullmatch
_is_time = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?").fullmatch

F = TypeVar("F", bound=Callable[..., Any])


class Form(Enum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def formatted(verb: F) -> F:
    """Give a verb `--json` and `--csv`; it is called with `form`."""
    for name, form in (("--csv", Form.CSV), ("--json", Form.JSON)):
        line = f"Print {form.value.upper()}{' lines' if form is Form.JSON else ''}."
        verb = click.option(name, "form", flag_value=form, type=click.UNPROCESSED, callback=_chosen, help=line)(verb)
    return verb


def _chosen(ctx: click.Context, _: click.Parameter, given: object) -> Form:
    """What was asked for, else what fits where it goes."""
    if isinstance(given, Form):
        return given
    already = ctx.params.get("form")
    if isinstance(already, Form):
        return already
    return Form.TABLE if sys.stdout.isatty() else Form.JSON


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[object]], form: Form, title: str = "") -> None:
    """All rows, in the form that was chosen."""
    match form:
        case Form.TABLE:
            _print_table(columns, rows, title)
        case Form.JSON:
            for row in rows:
                print_json(dict(zip(columns, row, strict=True)))
        case Form.CSV:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([_flat(value) for value in row] for row in rows)


def print_json(what: object) -> None:
    """One JSON value on one line."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(what, enc_hook=str).decode() + "\n")


def print_one(facts: dict[str, object], form: Form) -> None:
    """One thing: its fields below one another for a person."""
    if form is Form.TABLE:
        width = max(map(len, facts), default=0)
        for name, value in facts.items():
            click.echo(f"{name:<{width}}  {clean(_flat(value))}")
    else:
        print_rows(list(facts), [list(facts.values())], form)


def talk(text: str) -> None:
    """A sentence for the person; never data."""
    click.echo(text, err=True)


def clean(text: str) -> str:
    """Text from the log, without what would steer a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)


def coloured() -> bool:
    """Whether the person wants colours; as no-color.org has it, an empty NO_COLOR says nothing."""
    return not os.environ.get("NO_COLOR")


def print_change(text: str, tinted: bool = True) -> None:
    """A line of a difference, for a terminal."""
    colour = CHANGES.get(text[:1]) if tinted and coloured() else None
    line = clean(text.expandtabs(8))
    click.echo(click.style(line, fg=colour) if colour else line)


def _flat(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict | list):
        import msgspec

        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_short(value), justify=_side(value)) for value in row))
    Console(soft_wrap=False).print(table)


def _short(value: object) -> str:
    """A cell: times to the second, of a text its first line, of a sha256 its beginning; JSON and CSV say all."""
    text = clean(_flat(value))
    if _is_time(text):
        return text[:19].replace("T", " ")
    if _is_sha256(text):
        return text[:SHA256_SHOWN]
    first, _, more = text.strip("\n").partition("\n")
    return f"{first[: CELL - 1]}…" if more or len(first) > CELL else first


def _side(value: object) -> Any:
    return "right" if isinstance(value, int | float) and not isinstance(value, bool) else "left"
