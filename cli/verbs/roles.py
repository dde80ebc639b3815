"""`witan roles …`: who can work here, as the files say."""

import click
import msgspec

from cli.config import Settings
from cli.listing import Listing
from cli.options import placed
from cli.output import Form, clean, formatted, print_one, print_rows
from cli.shelf import pick, read_shelf


@click.group("roles", cls=Listing)
def verb() -> None:
    """Who can work here: what each role may use, and where it may write.

    Files in witan/roles/ beside witan.toml, or in .witan/roles/, add to Witan's own or replace them by name.
    """


@verb.command("list")
@placed
@formatted
def listed(settings: Settings, form: Form) -> None:
    """Print every role."""
    rows = [
        [role.name, role.about, _words(role.territory, form), _words(role.playbooks, form), origin]
        for role, origin, _ in read_shelf(settings).roles.values()
    ]
    print_rows(["name", "about", "territory", "playbooks", "origin"], rows, form)


@verb.command("show")
@click.argument("name")
@placed
@formatted
def show(name: str, settings: Settings, form: Form) -> None:
    """Print all that the file of role NAME says, and where it stands."""
    role, origin, path = pick(read_shelf(settings).roles, name, "role")
    told = msgspec.structs.asdict(role)
    told |= {field: _words(told[field], form) for field in ("tools", "territory", "playbooks")}
    prompt = told.pop("prompt")
    told |= {"origin": origin, "path": str(path)}
    if form is Form.TABLE:
        print_one(told, form)
        click.echo(f"\n{clean(prompt.strip().expandtabs())}")
    else:
        print_one({**told, "prompt": prompt}, form)


def _words(words: list[str], form: Form) -> object:
    return (", ".join(words) or "none") if form is Form.TABLE else words
