"""`witan rebuild`: make the tables anew from the log, or prove that they say what the log says."""

import click

from cli.config import Settings
from cli.options import placed
from cli.output import Form, formatted


@click.command("rebuild")
@click.option("--verify", "only_compare", is_flag=True, help="Change nothing: build beside, compare, and say so.")
@placed
@formatted
def verb(only_compare: bool, settings: Settings, form: Form) -> None:
    """Throw the tables away and make them anew from the log."""
