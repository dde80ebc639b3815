"""Roles: who an agent is, what it may use and where it may write, read from files that a user can add to."""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, field

from actors.territory import problems
from actors.tools import TOOLS
from bus.errors import Invalid
from bus.messages.agent import EVERYWHERE, Glob
from bus.subjects import Token

MODEL = "Mend the file; `actors/roles/coder.toml` is a good model."


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of agent."""

    name: Token
    about: Annotated[str, Meta(min_length=1, max_length=500)]
    prompt: Annotated[str, Meta(min_length=1, max_length=20_000)]
    """Its standing instructions."""
    tools: list[str]
    territory: Annotated[list[Glob], Meta(max_length=50)] = field(default_factory=lambda: [EVERYWHERE])
    """Where in a repository it may write; an empty list is nowhere."""
    turns_max: Annotated[int, Meta(ge=1, le=1000)] = 40
    network: bool = False
    """Whether its commands reach the network."""
    playbooks: list[Token] = []
    model: Annotated[str, Meta(max_length=200)] = ""
    """A glob of `provider/model` that its mind must be, or several with commas between; empty: whatever is best."""
    context_max_tokens: Annotated[int, Meta(ge=2000, le=1_000_000)] = 60_000
    """So long a conversation may become; what is older is told in short then."""


def read_role(path: Path) -> Role:
    """One file; an error names the path inside it."""
    try:
        role = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Role)
    except (OSError, msgspec.ValidationError, ValueError) as error:
        raise Invalid(f"{path}: {error}", MODEL) from error
    for place, complaint in _complaints(role, path.stem):
        raise Invalid(f"{path}: $.{place}: {complaint}", MODEL)
    return role


def _complaints(role: Role, stem: str) -> list[tuple[str, str]]:
    """What its fields say wrongly, each with its path inside the file."""
    known = ", ".join(TOOLS)
    found = [
        (f"tools[{place}]", f'unknown tool "{tool}"; the tools are {known}')
        for place, tool in enumerate(role.tools)
        if tool not in TOOLS
    ]
    for name, words in (("tools", role.tools), ("playbooks", role.playbooks)):
        twice = (place for place, word in enumerate(words) if word in words[:place])
        found += [(f"{name}[{place}]", f'"{words[place]}" stands twice') for place in twice]
    if role.name != stem:
        found.append(("name", f'"{role.name}" is not the name of the file, "{stem}"'))
    if "finish" not in role.tools:
        found.append(("tools", 'without "finish" no phase would ever end'))
    if role.playbooks and "playbook" not in role.tools:
        found.append(("playbooks", 'without the tool "playbook" none of them can be opened'))
    found += [("territory", complaint) for complaint in problems(role.territory)]
    return found


def read_roles(*folders: Path) -> dict[str, Role]:
    """All of them by name; a later folder's file replaces an earlier one's."""
    found = [read_role(path) for folder in folders for path in sorted(folder.glob("*.toml"))]
    return {role.name: role for role in found}
