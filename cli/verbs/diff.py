"""`witan diff ID`: what a task has changed in its repository."""

import sys

import click

from cli.config import Settings
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import print_change, talk
from cli.reading import Views


@click.command("diff")
@click.argument("task", metavar="ID", type=TASK)
@click.option("--stat", "form", flag_value="--stat", help="How much changed in each file.")
@click.option("--name-only", "form", flag_value="--name-only", help="Only which files.")
@placed
def verb(task: str, form: str | None, settings: Settings) -> None:
    """The difference between the commit that task ID began at and its branch, as git says it.

    In a pipe it can be applied elsewhere: witan diff 01JD | git apply
    """
    from cli.changes import difference, workspace_of

    task = task_of(settings, task)
    workspace = workspace_of(Views(settings), task)
    said = difference(workspace, *([form] if form else []))
    if sys.stdout.isatty():
        for line in said.decode(errors="replace").splitlines():
            print_change(line, tinted=not form)
    else:
        sys.stdout.buffer.write(said)
    talk(
        f"{workspace['branch']} from {workspace['base'][:12]}, {workspace['status']}" + ("" if said else ", no change")
    )
