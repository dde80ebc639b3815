"""A prompt in the words of the Messages API: who says what, and where the cache may begin again."""

from typing import Any, NamedTuple

from actors.treasurer.asking import Answered, Asked, Prompt, Text, ToolSpec, Turn
from actors.treasurer.quoting import quoted
from bus.messages.base import Pieces

Block = dict[str, Any]
_MARK = {"type": "ephemeral"}


class Able(NamedTuple):
    """What the model takes: a level of effort, and thinking in the adaptive way, which that level steers."""

    effort: bool
    adaptive: bool


def request(prompt: Prompt, able: Able, schema: Pieces | None) -> dict[str, Any]:
    """What `messages.create` is given. `schema` is the shape of the reply as the API accepts it.

    What the model thought in earlier turns is left out. In the adaptive way an assistant's turn need not begin with
    its thinking, as it must where a budget for it is set (see "Adaptive thinking" in the API's documentation). Sent
    back, each block would be refused as soon as anything before it has changed, and a conversation that is condensed,
    redacted or passed from one model to another changes.
    """
    said: dict[str, Any] = {
        "model": prompt.model,
        "max_tokens": prompt.output_max_tokens,
        "messages": _messages(prompt.turns, prompt.cached_turns),
    }
    if prompt.system.strip():
        said["system"] = [{"type": "text", "text": _sayable(prompt.system), "cache_control": _MARK}]
    if prompt.tools:
        said["tools"] = [_tool(tool) for tool in prompt.tools]
        said["tools"][-1]["cache_control"] = _MARK
    if able.adaptive:
        said["thinking"] = {"type": "adaptive"}
    output: dict[str, Any] = {"effort": prompt.effort} if able.effort else {}
    if schema is not None:
        output["format"] = {"type": "json_schema", "schema": schema}
        if prompt.tools:
            said["tool_choice"] = {"type": "none"}
    if output:
        said["output_config"] = output
    return said


def call_id(id: str) -> str:
    """The run's own number of a call in the letters that the API allows."""
    kept = (letter if letter.isascii() and letter.isalnum() else f"_{ord(letter):x}_" for letter in id)
    return f"call_{''.join(kept)}"


def _tool(tool: ToolSpec) -> Block:
    return {"name": tool.name, "description": _sayable(tool.about), "input_schema": tool.schema}


def _messages(turns: tuple[Turn, ...], cached: int) -> list[Block]:
    """Answers come first, as the API wants them right after their calls. What is blank is left out: it is refused."""
    messages: list[Block] = []
    for number, turn in enumerate(turns, 1):
        for role, blocks in _sides(turn):
            if not blocks:
                continue
            if messages and messages[-1]["role"] == role:
                messages[-1]["content"] += blocks
            else:
                messages.append({"role": role, "content": blocks})
        if number == cached and messages:
            messages[-1]["content"][-1]["cache_control"] = _MARK
    return messages


def _sides(turn: Turn) -> list[tuple[str, list[Block]]]:
    """Words from elsewhere are said by the user, whoever repeats them."""
    if turn.role == "user":
        answers = [_answer(block) for block in turn.blocks if isinstance(block, Answered)]
        return [("user", answers + [_text(block) for block in turn.blocks if _says(block)])]
    foreign = [_text(block) for block in turn.blocks if _says(block) and _source(block)]
    own = [block for block in turn.blocks if isinstance(block, Asked) or (_says(block) and not _source(block))]
    return [("user", foreign), ("assistant", [_ask(each) if isinstance(each, Asked) else _text(each) for each in own])]


def _says(block: Text | Asked | Answered) -> bool:
    return isinstance(block, Text) and bool(block.text.strip())


def _source(block: Text | Asked | Answered) -> str:
    return block.source if isinstance(block, Text) else ""


def _text(block: Text | Asked | Answered) -> Block:
    assert isinstance(block, Text)
    return {"type": "text", "text": _sayable(quoted(block))}


def _ask(asked: Asked) -> Block:
    return {"type": "tool_use", "id": call_id(asked.id), "name": asked.tool, "input": asked.input}


def _answer(answered: Answered) -> Block:
    words = answered.text if answered.text.strip() else "(nothing)"
    said: Block = {"type": "tool_result", "tool_use_id": call_id(answered.id), "content": _sayable(words)}
    return said if answered.ok else {**said, "is_error": True}


def _sayable(text: str) -> str:
    """Half a pair of code units has no bytes in UTF-8."""
    return text.encode(errors="replace").decode()
