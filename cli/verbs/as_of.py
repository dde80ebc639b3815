"""`witan as-of SEQ|TIME VIEW`: a view as it was."""

import click

from cli.config import Settings
from cli.options import placed
from cli.output import Form, formatted
from cli.reading import Views, print_answer
from cli.verbs.query import VIEW, params_of


@click.command("as-of")
@click.argument("place", metavar="SEQ|TIME")
@click.argument("view", type=VIEW)
@click.argument("filters", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--limit", type=click.IntRange(0), help="So many rows; `query_limit` if not said.")
@placed
@formatted
def verb(place: str, view: str, filters: tuple[str, ...], limit: int | None, settings: Settings, form: Form) -> None:
    """VIEW as it was when the log ended at SEQ, or at TIME.

    witan as-of 120 tasks

    witan as-of 2026-11-20T12:00:00Z tasks status=running
    """
    as_of = int(place) if place.isdecimal() else place
    print_answer(Views(settings).ask(view, params_of(filters, limit, settings), as_of), form)
