"""`witan config …`: what is configured, and where that is written; what every command wants."""

import click
import msgspec

from cli.config import Config, Settings, documented, load
from cli.output import Form, formatted, print_rows


@click.group("config")
def verb() -> None:
    """What is configured, and where that is written."""


@verb.command("show")
@click.option("--origin", is_flag=True, help="Where each value was said.")
@formatted
def show(origin: bool, form: Form) -> None:
    """Print every setting; a flag wins over WITAN_…, over witan.toml, over the user's file, over the default."""
    config = load()
    about = {name: text for name, text, _ in documented()}
    columns = ["setting", "value", "origin", "meaning"]
    rows = [[name, value, _origin(config, name), about[name.split(".")[0]]] for name, value in _values(config.settings)]
    if form is Form.TABLE:
        kept = 3 if origin else 2
        columns, rows = columns[:kept], [row[:kept] for row in rows]
    print_rows(columns, rows, form)


@verb.command("commands")
@formatted
def commands(form: Form) -> None:
    """Print every command: the subject to publish to, and the fields of its JSON object."""
    from bus.messages.kinds import COMMANDS_OF

    rows = [
        [f"guardian.{name}" if actor == "guardian" else f"cmd.{actor}.{name}", _fields(kind), kind.__doc__ or ""]
        for actor, known in COMMANDS_OF.items()
        for name, kind in known.items()
    ]
    print_rows(["subject", "fields", "meaning"], rows, form)


def _values(settings: Settings) -> list[tuple[str, object]]:
    told: list[tuple[str, object]] = []
    for name, value in msgspec.structs.asdict(settings).items():
        if isinstance(value, dict):
            told += [(f"{name}.{key}", one) for key, one in value.items()]
        else:
            told.append((name, str(value) if name == "state_dir" else value))
    return told


def _origin(config: Config, name: str) -> str:
    """Of a table that one source says whole, all entries have one origin."""
    return config.origins.get(name) or config.origins[name.split(".")[0]]


def _fields(kind: type[msgspec.Struct]) -> str:
    known = msgspec.structs.fields(kind)
    return ", ".join(field.name if field.required else f"[{field.name}]" for field in known)
