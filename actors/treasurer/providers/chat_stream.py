"""The pieces of a streamed chat completion, put together to one reply and counted the way all are."""

import msgspec
from msgspec import field

from actors.treasurer.asking import Prompt, Reply, Stop
from actors.treasurer.providers.failures import Refusal
from bus.messages.base import Pieces, ToolCall
from bus.messages.call import Usage

REPLY_MAX_CHARACTERS, CALLS_MAX = 4 * 1024 * 1024, 1000
STOPS: dict[str, Stop] = {
    "length": "length",
    "content_filter": "refusal",
    "tool_calls": "tools",
    "function_call": "tools",
}
STATUSES = frozenset(str(status) for status in range(400, 600))
BROKEN_OFF = ("error", "insufficient_system_resource")
UNREADABLE = "input_that_is_no_json_object"


class Malformed(Exception):
    """It is not what the interface says."""


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | Pieces | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: object = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class Counted(msgspec.Struct):
    """Tokens as providers of this interface count them: what was cached is part of the prompt."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: int | None = None

    def usage(self) -> Usage:
        """The same, each token once. Who leaves hidden thoughts out of the output has them in the total."""
        details = self.prompt_tokens_details or _Details()
        prompt, output = max(0, self.prompt_tokens or 0), max(0, self.completion_tokens or 0)
        cached = max(0, details.cached_tokens or self.prompt_cache_hit_tokens or 0)
        written = max(0, details.cache_write_tokens or 0)
        return Usage(
            input=max(0, prompt - cached - written),
            output=max(output, (self.total_tokens or 0) - prompt),
            cache_read=cached,
            cache_write=written,
        )


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Counted | None = None
    model: str | None = None
    error: object = None


class _Slot(msgspec.Struct):
    id: str
    index: int | None
    name: str = ""
    arguments: list[str] = field(default_factory=list)


_decode = msgspec.json.Decoder(_Chunk).decode


class Hearing:
    """What was heard of one reply so far."""

    __slots__ = ("ended", "error", "model", "refusals", "size", "slots", "texts", "usage")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.refusals: list[str] = []
        self.slots: list[_Slot] = []
        self.ended = ""
        self.usage: Usage | None = None
        self.model = ""
        self.error: object = None
        self.size = 0

    def take(self, line: bytes) -> str:
        """One piece; what it adds to the text."""
        try:
            chunk = _decode(line)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise Malformed(str(error)) from None
        self.model = chunk.model or self.model
        self.error = chunk.error or self.error
        self.usage = chunk.usage.usage() if chunk.usage else self.usage
        said = "".join(self._choice(choice) for choice in (chunk.choices or ())[:1])
        if self.size > REPLY_MAX_CHARACTERS or len(self.slots) > CALLS_MAX:
            raise Malformed("it does not end")
        return said

    def _choice(self, choice: _Choice) -> str:
        self.ended = choice.finish_reason or self.ended
        delta = choice.delta or _Delta()
        for call in delta.tool_calls or ():
            self._call(call)
        if delta.refusal:
            self.refusals.append(delta.refusal)
            self.size += len(delta.refusal)
        said = delta.content if isinstance(delta.content, str) else ""
        if said:
            self.texts.append(said)
            self.size += len(said)
        return said

    def _call(self, call: _Call) -> None:
        """A piece belongs to the call of its index, or to the last one. Some number all calls alike, or not at all."""
        told = call.function or _Function()
        same = [slot for slot in self.slots if slot.index == call.index]
        slot = same[-1] if same else self.slots[-1] if self.slots and call.index is None and not told.name else None
        if slot is None or (told.name and slot.name and _is_another(call, slot)):
            slot = _Slot(call.id or "", call.index)
            self.slots.append(slot)
        slot.name = slot.name or told.name or ""
        given = told.arguments
        slot.arguments.append(given if isinstance(given, str) else msgspec.json.encode(given).decode() if given else "")
        self.size += len(slot.arguments[-1])

    def reply(self, prompt: Prompt, sent_bytes: int) -> Reply:
        """The whole. Who does not count is taken to have used the most that it can have: a token has a byte or more."""
        most = Usage(input=min(sent_bytes, prompt.context_max_tokens), output=prompt.output_max_tokens)
        text, refused = "".join(self.texts), "".join(self.refusals)
        stop = STOPS.get(self.ended, "tools" if self.slots else "end")
        whole = [slot for slot in self.slots if stop != "length" or _readable(slot)]
        return Reply(
            text=text or refused,
            calls=tuple(ToolCall(slot.name, input_of("".join(slot.arguments))) for slot in whole),
            stop="refusal" if refused and not text and not whole else stop,
            usage=self.usage or most,
            model=self.model or prompt.model,
        )


def input_of(words: str) -> Pieces:
    """A call's input. What is no JSON object goes on as something that its tool refuses, so that the model is told."""
    if not words.strip():
        return {}
    try:
        found = msgspec.json.decode(words)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {UNREADABLE: words[:500]}


def _is_another(call: _Call, slot: _Slot) -> bool:
    """With a name of its own, and either another id, or none while the last one's input is complete."""
    if call.id or slot.id:
        return bool(call.id) and call.id != slot.id
    return any(slot.arguments) and _readable(slot)


def _readable(slot: _Slot) -> bool:
    return UNREADABLE not in input_of("".join(slot.arguments))


def told_in_passing(hearing: Hearing) -> Refusal:
    """An error in the middle of a stream: its code, where there is one, is the status that it would have had."""
    told = hearing.error if isinstance(hearing.error, dict) else {"message": str(hearing.error or hearing.ended)}
    code = str(told.get("code"))
    status = int(code) if code in STATUSES else 502
    words = msgspec.json.encode({"error": told}).decode()
    return Refusal(status, {}, words)
