"""`witan guardian …`: what only the Guardian may order."""

import click

from bus.ids import fresh_id
from cli.config import Settings
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, formatted, print_one
from cli.pieces import pieces_of
from cli.reach import send

_task = click.argument("task", metavar="ID", type=TASK)
_reason = click.option("--reason", default="", help="Kept with the order.")
_id = click.option("--id", "id", help="Repeat this order under its id: it is executed once.")


@click.group("guardian")
def verb() -> None:
    """Pause, resume, override, freeze, thaw, waive the sandbox."""


@verb.command("pause")
@_task
@_reason
@_id
@placed
@formatted
def pause(task: str, reason: str, id: str | None, settings: Settings, form: Form) -> None:
    """Let the current phase of task ID finish, and start no other."""
    _order(settings, form, "pause_pipeline", id, pipeline_id=task_of(settings, task), reason=reason)


@verb.command("resume")
@_task
@_reason
@_id
@placed
@formatted
def resume(task: str, reason: str, id: str | None, settings: Settings, form: Form) -> None:
    """Go on with the next phase of task ID."""
    _order(settings, form, "resume_pipeline", id, pipeline_id=task_of(settings, task), reason=reason)


@verb.command("override")
@_task
@click.option("--set", "words", multiple=True, metavar="KEY=VALUE", help="Text for one key; repeatable.")
@click.option("--json-override", "object", metavar="JSON", help="An object; its values may be anything.")
@click.option("--reason", required=True, help="Kept with the order.")
@_id
@placed
@formatted
def override(
    task: str, words: tuple[str, ...], object: str | None, reason: str, id: str | None, settings: Settings, form: Form
) -> None:
    """Put this into the context of every phase of task ID from the next one on.

    witan guardian override 01JD --set style=terse --reason "the reviewer asked for it"
    """
    said = pieces_of([object] if object else [], "--json-override") | pieces_of(words, "--set")
    if not said:
        raise click.UsageError("Say what to override, with --set key=value or --json-override '{…}'.")
    _order(settings, form, "override_pipeline", id, pipeline_id=task_of(settings, task), override=said, reason=reason)


@verb.command("freeze")
@_reason
@_id
@placed
@formatted
def freeze(reason: str, id: str | None, settings: Settings, form: Form) -> None:
    """Let nobody start anything."""
    _order(settings, form, "freeze", id, reason=reason)


@verb.command("thaw")
@_reason
@_id
@placed
@formatted
def thaw(reason: str, id: str | None, settings: Settings, form: Form) -> None:
    """End the freeze."""
    _order(settings, form, "thaw", id, reason=reason)


@verb.command("waive-sandbox")
@click.option("--reason", required=True, help="Kept with the order.")
@_id
@placed
@formatted
def waive_sandbox(reason: str, id: str | None, settings: Settings, form: Form) -> None:
    """Let commands run on a machine where nothing holds them in. There is no way back but a new state folder."""
    _order(settings, form, "waive_sandbox", id, reason=reason)


def _order(settings: Settings, form: Form, command: str, id: str | None, **body: object) -> None:
    print_one(send(settings, f"guardian.{command}", body, id or fresh_id()), form)
