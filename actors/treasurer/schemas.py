"""The tools as a model is told of them: what each is for, and the JSON schema of its input."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec

from actors.agent.playbooks import Playbook
from actors.agent.role import Role
from actors.tools import TOOLS
from actors.treasurer.asking import ToolSpec
from bus.messages.base import Pieces

FIELDS = {
    ("read", "path"): "From the top of the workspace.",
    ("write", "content"): "The whole text of the file.",
    ("list", "depth"): "How many levels of folders are shown.",
    ("run", "background"): "Do not wait for it; `wait` for it later.",
    ("git", "message"): "What a commit says.",
    ("finish", "summary"): "What was done, for those who go on from here.",
    ("wait", "call"): "The number of the call that runs in the background, as it was told to you: `3-1`.",
    ("playbook", "inputs"): "A text for each input that the playbook has.",
    ("checklist", "add"): "New items; they come behind those that there are.",
    ("checklist", "done"): "The numbers of the items that are done.",
    ("ask_for_help", "question"): "What you need to know or to have, and what you tried.",
}
_KEPT = ("type", "description", "enum", "default", "minimum", "maximum", "required", "additionalProperties")
"""Lengths and patterns are checked here all the same; not every provider takes them."""


def specs_of(role: Role, playbooks: Mapping[str, Playbook]) -> tuple[ToolSpec, ...]:
    """The tools of a role, in its order. They stay the same as long as the files do: caches depend on that."""
    return tuple(
        _with_playbooks(_spec(tool), role, playbooks) if tool == "playbook" else _spec(tool) for tool in role.tools
    )


@cache
def _spec(tool: str) -> ToolSpec:
    (whole,), parts = msgspec.json.schema_components(
        [TOOLS[tool]], schema_hook=lambda _: {"title": "anything"}, ref_template="{name}"
    )
    schema = _plain(whole, parts)
    about = str(schema.pop("description", ""))
    return ToolSpec(tool, about, {**schema, "properties": _described(tool, schema)})


def _described(tool: str, schema: Pieces) -> Pieces:
    fields = schema.get("properties")
    assert isinstance(fields, dict)
    said = {name: {"description": FIELDS[tool, name]} for name in fields if (tool, name) in FIELDS}
    return {name: {**field, **said.get(name, {})} for name, field in fields.items()}


def _plain(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> Pieces:
    """The schema without references, and without what some provider would refuse."""
    if "$ref" in schema:
        return _plain(parts[schema["$ref"]], parts)
    if "anyOf" in schema:
        (only,) = (each for each in schema["anyOf"] if each.get("type") != "null")
        return _plain(only, parts)
    plain: Pieces = {name: schema[name] for name in _KEPT if name in schema}
    if plain.get("default", ()) in (None, [], {}):
        del plain["default"]
    if isinstance(plain.get("additionalProperties"), dict):
        plain["additionalProperties"] = True
    if "properties" in schema:
        plain["properties"] = {name: _plain(each, parts) for name, each in schema["properties"].items()}
    if "items" in schema:
        plain["items"] = _plain(schema["items"], parts)
    return plain


def _with_playbooks(spec: ToolSpec, role: Role, playbooks: Mapping[str, Playbook]) -> ToolSpec:
    """Which there are for this role, and what they want to be told."""
    lines = [_about(playbooks[name]) for name in role.playbooks if name in playbooks]
    return spec._replace(about="\n".join([f"{spec.about} There are:", *lines]) if lines else spec.about)


def _about(playbook: Playbook) -> str:
    return f"- {playbook.name}{_inputs(playbook.inputs)}: {playbook.description}"


def _inputs(names: Iterable[str]) -> str:
    return f" (inputs: {', '.join(names)})" if names else ""
