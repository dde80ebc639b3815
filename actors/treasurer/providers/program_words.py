"""What a command-line mind is told and what its answer means: calls are asked for as JSON, as its loop is its own."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from actors.treasurer.asking import Answered, Asked, Prompt, Text, Turn
from actors.treasurer.quoting import quoted
from bus.messages.base import Pieces, ToolCall

_ROLE = """You are the mind of an agent whose hands are elsewhere. You run nothing and open nothing yourself: no tool \
of your own is to be used. Whatever you want done, you ask for in your answer, and you are told what came of it."""
_CALLS = """Answer with one JSON object and nothing around it:
{"text": "what you think, in a few words", "calls": [{"tool": "name", "input": {}}]}
`calls` holds what you want done now, in this order; leave it empty when nothing is left to do.
These are the tools, each with the JSON schema of its input:"""
_SHAPE = "Answer with one JSON object and nothing around it. It has this JSON schema:"
_NOW_JSON, _NOW = "Your answer now, as one JSON object:", "Your answer now:"
_FENCE = re.compile(r"\A```[a-z]*\n(.*)\n```\Z", re.DOTALL)


class Malformed(Exception):
    """The answer is not of the form that was asked for."""


class _Answer(msgspec.Struct):
    text: str = ""
    calls: Annotated[list[ToolCall], Meta(max_length=100)] = []


def rules(prompt: Prompt) -> str:
    """The system's own words, and how to answer."""
    parts = [_ROLE, prompt.system]
    if prompt.json_schema is not None:
        parts.append(f"{_SHAPE}\n{_json(prompt.json_schema)}")
    elif prompt.tools:
        tools = (_json({"tool": tool.name, "about": tool.about, "input": tool.schema}) for tool in prompt.tools)
        parts.append("\n".join((_CALLS, *tools)))
    return "\n\n".join(part for part in parts if part.strip())


def conversation(prompt: Prompt) -> str:
    """All turns in one text. What the model itself said before is quoted as well: it may repeat what it read."""
    parts = [line for turn in prompt.turns for line in _turn(turn)]
    return "\n\n".join((*parts, _NOW_JSON if wants_json(prompt) else _NOW))


def wants_json(prompt: Prompt) -> bool:
    return prompt.json_schema is not None or bool(prompt.tools)


def understood(prompt: Prompt, text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """The thought and the calls. Words without any JSON are a thought, unless a shape was asked for."""
    if not wants_json(prompt):
        return text, ()
    found = _object(text)
    if prompt.json_schema is not None:
        required = prompt.json_schema.get("required", [])
        missing = [each for each in required if each not in found] if isinstance(required, list) and found else []
        if found is None or missing:
            raise Malformed(f"it lacks {', '.join(map(str, missing))}" if missing else "it is not one JSON object")
        return _json(found), ()
    if found is None:
        if '"calls"' in text:
            raise Malformed("it is not one JSON object")
        return text, ()
    try:
        answer = msgspec.convert(found, _Answer)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Malformed(str(error)) from None
    return answer.text, tuple(answer.calls)


def _turn(turn: Turn) -> list[str]:
    lines = []
    for block in turn.blocks:
        match block:
            case Text() if not block.text.strip():
                continue
            case Text() if turn.role == "assistant" and not block.source:
                lines.append(f"You said:\n{quoted(Text(block.text, 'your own earlier answer'))}")
            case Text():
                lines.append(quoted(block))
            case Asked():
                lines.append(f"You asked for call {block.id}:\n{_json({'tool': block.tool, 'input': block.input})}")
            case Answered():
                came = "came of it" if block.ok else "went wrong"
                lines.append(f"Call {block.id} is over. This {came}:\n{quoted(Text(block.text, f'call {block.id}'))}")
    return lines


def _object(text: str) -> Pieces | None:
    """The one JSON object in the answer: all of it, all of a fenced block, or from its first brace to its last."""
    text = text.strip()
    fenced = _FENCE.match(text)
    for candidate in (text, fenced[1] if fenced else "", text[text.find("{") : text.rfind("}") + 1]):
        try:
            return msgspec.json.decode(candidate, type=dict[str, object])
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue
    return None


def _json(pieces: object) -> str:
    return msgspec.json.encode(pieces).decode()
