"""`witan auth status`: which providers can be used here, why, and what to type for the others."""

import os

import click

from cli.exits import ENVIRONMENT, OK
from cli.output import Form, clean, formatted, print_rows, talk

LIMIT_S = 1.8


@click.group("auth")
def verb() -> None:
    """Who can be asked for thoughts from here."""


@verb.command("status")
@formatted
def status(form: Form) -> int:
    """Print each provider: whether it can be used here, why, and what to export, install or start if not.

    No key is printed. Needs no running Witan. Ends with 0 when at least one can be used, with 3 when none can.
    """
    from actors.redaction import Redactor
    from actors.secrets import secrets_of
    from actors.treasurer.choosing import INSTALL
    from actors.treasurer.providers.all import providers
    from cli.survey import survey

    redactor = Redactor(secrets_of(os.environ))
    standings = [found.standing for found in survey(providers(os.environ), LIMIT_S)]
    rows = [
        [each.provider, each.usable, clean(redactor.text(each.why)), clean(redactor.text(each.what_next))]
        for each in standings
    ]
    print_rows(["provider", "usable", "why", "next"], rows, form)
    usable = [each.provider for each in standings if each.usable]
    talk(
        f"Can be used: {', '.join(usable)}. Their models: witan models" if usable else f"Nobody can be asked. {INSTALL}"
    )
    return OK if usable else ENVIRONMENT
