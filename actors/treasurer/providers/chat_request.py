"""A prompt in the words of the chat-completions interface that OpenAI began and others speak."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import msgspec

from actors.treasurer.asking import Answered, Asked, Prompt, Text, ToolSpec, Turn
from actors.treasurer.quoting import quoted
from bus.messages.base import Pieces

UNANSWERED = "(this call was not answered)"
UNSIGNED: Pieces = {"google": {"thought_signature": "skip_thought_signature_validator"}}
"""Google signs the calls of its models and wants the signature back; this is its own word for a call that has none."""


class Shape(NamedTuple):
    """Which of the interface's dialects a model understands."""

    limit: Literal["max_completion_tokens", "max_tokens"] = "max_tokens"
    structured: Literal["json_schema", "json_object", "words"] = "json_schema"
    effort: Literal["asked", "none", "omitted"] = "asked"
    counted: bool = True
    """Usage is asked for."""


class Dialect(NamedTuple):
    """What one provider does its own way."""

    shape: Shape = Shape()
    efforts: str = ""
    """The models that can be told how much to think."""
    signs: bool = False
    """Calls must carry a signature."""
    remembers: bool = True
    """A model may think between its calls though its thoughts are not shown to it again."""


def request_of(prompt: Prompt, dialect: Dialect, shape: Shape) -> Pieces:
    """The body of the request. An output limit is always in it."""
    system = prompt.system
    if prompt.json_schema is not None and shape.structured != "json_schema":
        system += "\n\nReply with one JSON object, and nothing else, that this JSON schema describes:\n"
        system += _json(prompt.json_schema)
    messages: list[Pieces] = [{"role": "system", "content": system}] if system else []
    messages += messages_of(prompt.turns, dialect.signs)
    body: Pieces = {
        "model": prompt.model,
        "messages": messages,
        shape.limit: prompt.output_max_tokens,
        "stream": True,
    }
    if shape.counted:
        body["stream_options"] = {"include_usage": True}
    if prompt.json_schema is None and prompt.tools:
        body["tools"] = [tool_of(tool) for tool in prompt.tools]
    if prompt.json_schema is not None and shape.structured != "words":
        body["response_format"] = _format(prompt.json_schema, shape)
    if dialect.efforts and re.match(dialect.efforts, prompt.model) and shape.effort != "omitted":
        body["reasoning_effort"] = prompt.effort if shape.effort == "asked" else "none"
    if not dialect.remembers and ("tools" in body or any("tool_calls" in message for message in messages)):
        body["thinking"] = {"type": "disabled"}
    return body


def milder(shape: Shape, words: str) -> Shape | None:
    """What to say instead after a refusal that names a part of the request; None: it names none."""
    if "reasoning_effort" in words and shape.effort != "omitted":
        return shape._replace(effort="none" if shape.effort == "asked" else "omitted")
    if re.search("response_format|json_schema|structured output", words, re.IGNORECASE) and shape.structured != "words":
        return shape._replace(structured="json_object" if shape.structured == "json_schema" else "words")
    if "stream_options" in words and shape.counted:
        return shape._replace(counted=False)
    if "max_completion_tokens" in words or "max_tokens" in words:
        newer = shape.limit == "max_tokens"
        return shape._replace(limit="max_completion_tokens" if newer else "max_tokens")
    return None


def messages_of(turns: tuple[Turn, ...], signed: bool = False) -> Iterator[Pieces]:
    """Each call is followed by its answer, whatever the turns say: everything else would be refused.

    Words from elsewhere are said by the user, whoever repeats them.
    """
    waiting: list[str] = []
    for turn in turns:
        answers, texts, calls = _sorted(turn)
        for call in waiting:
            answer = spoken(answers.pop(call)) if call in answers else UNANSWERED
            yield {"role": "tool", "tool_call_id": call, "content": answer}
        strays = [Text(spoken(block), f"the answer to call {block.id}") for block in answers.values()]
        own = [text for text in texts if not text.source] if turn.role == "assistant" else []
        foreign = [text for text in texts if text.source] if own else texts
        if words := together([*strays, *foreign]):
            yield {"role": "user", "content": words}
        waiting = [call.id for call in calls]
        said = together(own)
        if said or calls:
            message: Pieces = {"role": "assistant", "content": said or None}
            if calls:
                message["tool_calls"] = [_call(call, signed) for call in calls]
            yield message
    for call in waiting:
        yield {"role": "tool", "tool_call_id": call, "content": UNANSWERED}


def _sorted(turn: Turn) -> tuple[dict[str, Answered], list[Text], list[Asked]]:
    """The blocks of each kind; only a model itself calls tools. A long conversation is gone through at each call."""
    answers: dict[str, Answered] = {}
    texts: list[Text] = []
    calls: list[Asked] = []
    for block in turn.blocks:
        if isinstance(block, Answered):
            answers[block.id] = block
        elif isinstance(block, Text):
            texts.append(block)
        elif turn.role == "assistant":
            calls.append(block)
    return answers, texts, calls


def together(texts: Iterable[Text]) -> str:
    """Several texts as one message."""
    return "\n\n".join(quoted(text) for text in texts if text.text.strip())


def spoken(answer: Answered) -> str:
    """An answer as the model reads it."""
    return answer.text if answer.ok else f"This call failed:\n{answer.text}"


def tool_of(tool: ToolSpec) -> Pieces:
    return {"type": "function", "function": {"name": tool.name, "description": tool.about, "parameters": tool.schema}}


def _call(call: Asked, signed: bool) -> Pieces:
    told: Pieces = {"id": call.id, "type": "function", "function": {"name": call.tool, "arguments": _json(call.input)}}
    return {**told, "extra_content": UNSIGNED} if signed else told


def _format(schema: Pieces, shape: Shape) -> Pieces:
    if shape.structured == "json_object":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema, "strict": is_closed(schema)}}


def is_closed(schema: object) -> bool:
    """Whether every object in it has exactly its named fields: only such a schema may be asked for strictly."""
    if isinstance(schema, list):
        return all(is_closed(each) for each in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        fields, needed = schema.get("properties"), schema.get("required")
        if schema.get("additionalProperties") is not False or not isinstance(fields, dict):
            return False
        if not isinstance(needed, list) or set(needed) != set(fields):
            return False
    return all(is_closed(each) for each in schema.values())


def encoded(body: Pieces) -> bytes:
    """Half of a surrogate pair, which a file's name may hold, is no text for any server."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _json(pieces: Pieces) -> str:
    return encoded(pieces).decode()
