"""`witan as-of SEQ|TIME VIEW`: a view as it was."""

import click

from cli.config import Settings
from cli.options import placed
from cli.output import Form, formatted
from cli.pieces import pieces_of
from cli.reading import Views, print_answer
from cli.verbs.query import VIEW


@click.command("as-of")
@click.argument("place", metavar="SEQ|TIME")
@click.argument("view", type=VIEW)
@click.argument("filters", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--limit", type=click.IntRange(0), default=100, help="So many rows; 100 if not said.")
@placed
@formatted
def verb(place: str, view: str, filters: tuple[str, ...], limit: int, settings: Settings, form: Form) -> None:
    """VIEW as it was when the log ended at SEQ, or at TIME.

    witan as-of 120 tasks

    witan as-of 2026-11-20T12:00:00Z tasks status=running
    """
    params = {name: str(value) for name, value in pieces_of(filters, "KEY=VALUE").items()}
    answer = Views(settings).ask(view, {**params, "limit": limit}, int(place) if place.isdecimal() else place)
    print_answer(answer, form)
