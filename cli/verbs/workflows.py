"""`witan workflows …`: which phases a task can go through, as the files say."""

import click

from cli.config import Settings
from cli.listing import Listing
from cli.options import placed
from cli.output import Form, clean, formatted, print_rows, talk
from cli.shelf import pick, read_shelf


@click.group("workflows", cls=Listing)
def verb() -> None:
    """Which phases a task can go through, and who does each.

    Files in witan/workflows/ beside witan.toml, or in .witan/workflows/, add to Witan's own or replace them by name.
    """


@verb.command("list")
@placed
@formatted
def listed(settings: Settings, form: Form) -> None:
    """Print every workflow."""
    rows = []
    for workflow, origin, _ in read_shelf(settings).workflows.values():
        phases: object = [phase.name for phase in workflow.phases]
        if form is Form.TABLE:
            phases = " → ".join(phase.name for phase in workflow.phases)
        rows.append([workflow.name, workflow.about, phases, origin])
    print_rows(["name", "about", "phases", "origin"], rows, form)


@verb.command("show")
@click.argument("name")
@placed
@formatted
def show(name: str, settings: Settings, form: Form) -> None:
    """Print the phases of workflow NAME in their order."""
    import msgspec

    workflow, origin, path = pick(read_shelf(settings).workflows, name, "workflow")
    rows = []
    for phase in workflow.phases:
        told = msgspec.structs.asdict(phase)
        if form is Form.TABLE:
            told["needs"] = ", ".join(phase.needs)
        rows.append(told)
    if rows:
        print_rows(list(rows[0]), [list(row.values()) for row in rows], form)
    talk(f"{clean(workflow.about)} ({origin}: {path})")
