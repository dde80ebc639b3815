"""`witan models`: every model that can be asked from here."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from actors.treasurer.asking import Model
from bus.errors import WitanError
from cli.config import Settings
from cli.exits import ENVIRONMENT, OK
from cli.options import placed
from cli.output import Form, formatted, print_rows, talk
from cli.reading import Views
from cli.shelf import shelves
from cli.survey import survey

LIMIT_S = 3.0
HEALTH = ("calls", "rate", "ms_p50", "breaker", "rests_until")
COLUMNS = ("provider", "model", "local", "tools", "context", "output_max", "input_usd", "output_usd", *HEALTH)


@click.command("models")
@click.option("--provider", metavar="NAME", help="Only this one's.")
@placed
@formatted
def verb(provider: str | None, settings: Settings, form: Form) -> int:
    """Every model that can be asked from here: its limits, its price for a million tokens, and how it did so far.

    A model without a price costs nothing when it is local, and is never asked when it is not. Without a running Witan,
    health and success are those that its tables hold, if there are any.
    """
    from actors.treasurer.prices import load_list, read_prices
    from actors.treasurer.providers.all import providers

    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load_list)
        wanted = [each for each in providers(os.environ) if provider in (None, each.name)]
        if not wanted:
            raise click.UsageError(f"There is no provider {provider!r}; `witan auth status` lists them all.")
        found = survey(wanted, LIMIT_S, with_models=True)
        loading.result()
    prices = read_prices(folder / "prices.toml" for folder in shelves(settings))
    health = _health(settings)
    rows = []
    for model in (model for each in found for model in each.models):
        price = (0, 0) if model.local else prices.per_million(model.provider, model.name)
        so_far = health.get((model.provider, model.name), {})
        rows.append([*_told(model), *_usd(price), *(so_far.get(name) for name in HEALTH)])
    _print(rows, form)
    talk(f"{len(rows)} models; USD for a million tokens by {prices.version()}.")
    silent = [each.standing.provider for each in found if not each.standing.usable]
    if silent:
        talk(f"Not usable: {', '.join(silent)}. Why, and what to type: witan auth status")
    return OK if rows else ENVIRONMENT


def _told(model: Model) -> list[object]:
    return [model.provider, model.name, model.local, model.tools, model.context_max_tokens, model.output_max_tokens]


def _usd(price: tuple[int, int] | None) -> list[float | None]:
    return [None, None] if price is None else [micro / 1_000_000 for micro in price]


def _health(settings: Settings) -> dict[tuple[str, str], dict[str, Any]]:
    """How the models did so far, where anybody knows."""
    try:
        rows = Views(settings, quiet=True).ask("providers", {"limit": 10_000}).dicts
    except (WitanError, OSError):
        return {}
    return {(row["provider"], row["model"]): row for row in rows}


def _print(rows: list[list[Any]], form: Form) -> None:
    """A table leaves out what holds nothing for any model."""
    places = [
        place for place in range(len(COLUMNS)) if form is not Form.TABLE or any(row[place] is not None for row in rows)
    ]
    if rows or form is not Form.TABLE:
        print_rows([COLUMNS[place] for place in places], [[row[place] for place in places] for row in rows], form)
