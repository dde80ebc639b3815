"""Events one by one, as they come: a line for a person, a JSON object for a pipe, a row for a spreadsheet."""

import csv
import sys
from collections.abc import Mapping

import click

from cli.output import Form, clean, coloured, print_json

COLOURS = {"task": "cyan", "run": "green", "agent": "blue", "guardian": "magenta", "slots": "bright_black"}
SHOWN = 200


class Ticker:
    """Prints rows that all have the same fields."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._begun = False

    def show(self, row: Mapping[str, object]) -> None:
        match self._form:
            case Form.TABLE:
                click.echo(sentence(row))
            case Form.JSON:
                print_json(row)
                sys.stdout.flush()
            case Form.CSV:
                self._write_csv(row)

    def _write_csv(self, row: Mapping[str, object]) -> None:
        import msgspec

        writer = csv.writer(sys.stdout, lineterminator="\n")
        if not self._begun:
            writer.writerow(row)
            self._begun = True
        flat = [msgspec.json.encode(cell).decode() if isinstance(cell, dict | list) else cell for cell in row.values()]
        writer.writerow(flat)
        sys.stdout.flush()


def sentence(row: Mapping[str, object]) -> str:
    """One event in one line: place, time, who, what, and its fields."""
    kind = str(row["kind"])
    event = row["event"]
    fields = "  ".join(f"{name}={_short(value)}" for name, value in event.items()) if isinstance(event, dict) else ""
    where, what = f"{kind:<8} {row['id']}", str(row["type"])
    if coloured():
        where, what = click.style(where, fg=COLOURS.get(kind)), click.style(what, bold=True)
    return f"{row['seq']:>7}  {str(row['at'])[11:23]}  {where}  {what}  {fields}".rstrip()


def _short(value: object) -> str:
    import msgspec

    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = clean(" ".join(text.split()))
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
