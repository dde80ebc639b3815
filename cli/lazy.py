"""A group of verbs that loads a verb when it is typed, and says every error in one way."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from bus.errors import WitanError
from cli.exits import FAILED, INTERRUPTED, Absent, exit_of

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Verbs(click.Group):
    """Verb by verb: the module that holds it, and one line about it."""

    def __init__(
        self, name: str, table: Mapping[str, tuple[str, str]], help: str, params: Sequence[click.Parameter] = ()
    ) -> None:
        stubs: dict[str, click.Command] = {verb: click.Command(verb, help=line) for verb, (_, line) in table.items()}
        super().__init__(name, commands=stubs, help=help, context_settings=CONTEXT, params=list(params))
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._table:
            return None
        verb = import_module(self._table[cmd_name][0]).verb
        assert isinstance(verb, click.Command)
        return verb

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, line) for verb, (_, line) in self._table.items()])

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run, and leave with the exit code that the outcome has."""
        words = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        try:
            outcome = super().main(words, prog_name, **extra)
            sys.stdout.flush()
        except BrokenPipeError:
            _nobody_reads()
            outcome = FAILED
        except click.Abort:
            outcome = INTERRUPTED
        except click.ClickException as error:
            error.show()
            _as_json(words, {"ok": False, "code": "usage", "message": error.format_message(), "hint": ""})
            outcome = error.exit_code
        except Exception as error:
            outcome = _tell(_as_ours(error), words)
        sys.exit(outcome if isinstance(outcome, int) else 0)


def _as_ours(error: Exception) -> WitanError:
    """Every way to fail in the words that a person is told."""
    if isinstance(error, WitanError):
        return error
    if os.environ.get("WITAN_DEBUG"):
        raise error
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return Absent(f"{where}{error.strerror or error}", "Look at the file's place, owner and room.")
    return WitanError(f"this is a bug: {type(error).__name__}: {error}", "See where with WITAN_DEBUG=1.")


def _tell(error: WitanError, words: list[str]) -> int:
    click.echo(f"witan: {error}", err=True)
    if error.what_next:
        click.echo(f"  {error.what_next}", err=True)
    _as_json(words, error.answer())
    return exit_of(error.code)


def _as_json(words: list[str], answer: dict[str, object]) -> None:
    if "--json" in words:
        import msgspec

        click.echo(msgspec.json.encode(answer))


def _nobody_reads() -> None:
    """Let the interpreter flush into nothing when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
