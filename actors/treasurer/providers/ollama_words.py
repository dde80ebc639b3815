"""A prompt in Ollama's words, also for a model that knows nothing of tools, and what such a model says in return."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from actors.treasurer.asking import Answered, Asked, Prompt, Text, ToolSpec, Turn
from actors.treasurer.providers.chat_request import messages_of, spoken
from bus.messages.base import Pieces, ToolCall

if TYPE_CHECKING:
    import ollama

BY_WORDS = """

You can have something done by ending your reply with one JSON object, and nothing after it:
{"tool": "<name>", "input": {…}}
One object in a reply; you then get its answer. These are the tools, each with the JSON schema of its input:
"""
LOOKED_AT_CHARACTERS, BRACES_MAX = 64 * 1024, 200
FENCE = "```"


class Known(NamedTuple):
    """What Ollama shows of a model."""

    context_max_tokens: int
    tools: bool
    thinks: bool = False
    in_steps: bool = False
    """How much it thinks can be said, and not only whether."""
    talks: bool = True
    remote: bool = False
    """It runs with somebody else, for money."""


def known_of(name: str, shown: "ollama.ShowResponse", most_tokens: int, where: str) -> Known:
    """An old server does not say what a model can do, but its template does."""
    about = dict(shown.modelinfo or {})
    family = str(about.get("general.architecture", ""))
    context = about.get(f"{family}.context_length")
    can = shown.capabilities
    return Known(
        min(context, most_tokens) if isinstance(context, int) and context > 0 else most_tokens,
        tools="tools" in can if can is not None else ".Tools" in (shown.template or ""),
        thinks="thinking" in (can or ()),
        in_steps=family in ("gptoss", "gpt-oss"),
        talks=can is None or "completion" in can,
        remote=is_remote(name, where),
    )


def is_remote(model: str, where: str) -> bool:
    """With Ollama's own service, and not on a machine of one's own."""
    return model.endswith((":cloud", "-cloud")) or (urlsplit(where).hostname or "").endswith("ollama.com")


def told(prompt: Prompt, by_words: bool) -> list[Pieces]:
    """The messages; the tools are in them when the model cannot be told of them otherwise."""
    system = prompt.system + (_described(prompt.tools) if by_words and prompt.tools else "")
    messages: list[Pieces] = [{"role": "system", "content": system}] if system else []
    turns = tuple(_in_words(prompt.turns)) if by_words else prompt.turns
    names = {block.id: block.tool for turn in turns for block in turn.blocks if isinstance(block, Asked)}
    for message in messages_of(turns):
        messages.append(_ollamas(message, names))
    return [{**message, "content": _sayable(message["content"])} for message in messages]


def _ollamas(message: dict[str, Any], names: dict[str, str]) -> Pieces:
    """Here a call has no id, its input is no text, and its answer goes by the tool's name."""
    if message["role"] == "tool":
        return {"role": "tool", "tool_name": names[message["tool_call_id"]], "content": message["content"]}
    if "tool_calls" not in message:
        return message
    calls = [each["function"] for each in message["tool_calls"]]
    inputs = [{"name": call["name"], "arguments": json.loads(call["arguments"])} for call in calls]
    return {**message, "content": message["content"] or "", "tool_calls": [{"function": each} for each in inputs]}


def _in_words(turns: Sequence[Turn]) -> Iterator[Turn]:
    """The same conversation with a model that has no tools."""
    names: dict[str, str] = {}
    for turn in turns:
        blocks: list[Text | Asked | Answered] = []
        for block in turn.blocks:
            match block:
                case Asked():
                    names[block.id] = block.tool
                    blocks.append(Text(json.dumps({"tool": block.tool, "input": block.input}, ensure_ascii=False)))
                case Answered():
                    blocks.append(Text(spoken(block) or "(nothing)", f"the tool {names.get(block.id, '')}"))
                case _:
                    blocks.append(block)
        yield Turn(turn.role, tuple(blocks))


def _described(tools: Sequence[ToolSpec]) -> str:
    return BY_WORDS + "\n".join(f"- {tool.name}: {tool.about}\n  {json.dumps(tool.schema)}" for tool in tools)


def _sayable(text: object) -> str:
    return str(text or "").encode(errors="replace").decode()


def heard_in(text: str, tools: Sequence[ToolSpec]) -> tuple[str, ToolCall | None]:
    """The call that a reply ends with, and what stands before it. Whatever is not quite a call is text."""
    words = text.rstrip()
    words = words.removesuffix(FENCE).rstrip() if words.endswith(FENCE) else words
    start = max(0, len(words) - LOOKED_AT_CHARACTERS)
    for _ in range(BRACES_MAX):
        start = words.find("{", start)
        if start < 0 or not words.endswith("}"):
            break
        call = _call_in(words[start:], {tool.name for tool in tools})
        if call is not None:
            before = words[:start].rstrip()
            return before.removesuffix("json").removesuffix(FENCE).rstrip() if FENCE in before else before, call
        start += 1
    return text, None


def _call_in(words: str, tools: set[str]) -> ToolCall | None:
    try:
        found = json.loads(words)
    except (ValueError, RecursionError):
        return None
    match found:
        case {"tool": str(tool), "input": dict(given)} if len(found) == 2 and tool in tools:
            return ToolCall(tool, given)
    return None
