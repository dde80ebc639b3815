"""`witan query VIEW`: ask a view."""

import click
from click.shell_completion import CompletionItem

from cli.config import Settings
from cli.options import placed
from cli.output import Form, formatted, print_rows
from cli.pieces import pieces_of
from cli.reading import Value, Views, print_answer


class ViewName(click.ParamType[str]):
    """The name of a view; the shell completes it."""

    name = "view"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from projections.statements import VIEWS

        return [CompletionItem(name, help=view.about) for name, view in VIEWS.items() if name.startswith(incomplete)]


VIEW = ViewName()


@click.command("query")
@click.argument("view", required=False, type=VIEW)
@click.argument("filters", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--limit", type=click.IntRange(0), help="So many rows; `query_limit` if not said.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out so many rows first.")
@click.option("--list", "listed", is_flag=True, help="Every view: what it is, and what it can be filtered by.")
@placed
@formatted
def verb(
    view: str | None,
    filters: tuple[str, ...],
    limit: int | None,
    offset: int,
    listed: bool,
    settings: Settings,
    form: Form,
) -> None:
    """Ask VIEW, and filter by its columns.

    witan query tasks status=running --limit 10
    """
    if listed:
        return _document(form)
    if not view:
        raise click.UsageError("Name a view; `witan query --list` documents them all.")
    print_answer(Views(settings).ask(view, {**params_of(filters, limit, settings), "offset": offset}), form)


def params_of(filters: tuple[str, ...], limit: int | None, settings: Settings) -> dict[str, Value]:
    """The filters as typed, and how many rows."""
    said: dict[str, Value] = {name: str(value) for name, value in pieces_of(filters, "KEY=VALUE").items()}
    return {**said, "limit": settings.query_limit if limit is None else limit}


def _document(form: Form) -> None:
    from projections.statements import VIEWS

    rows = [[view.name, view.about, ", ".join(view.filters)] for view in VIEWS.values()]
    print_rows(["view", "about", "filters"], rows, form)
