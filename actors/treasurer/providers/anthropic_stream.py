"""A reply of the Messages API, put together from its server-sent events."""

from typing import Annotated

import msgspec
from msgspec import Meta

from actors.treasurer.asking import ProviderFailed, Reply, Stop
from actors.treasurer.providers.anthropic_faults import Failure, fault, said
from bus.messages.base import Pieces, ToolCall
from bus.messages.call import Usage

STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "tools",
    "max_tokens": "length",
    "refusal": "refusal",
    "pause_turn": "paused",
    "model_context_window_exceeded": "context",
}

Tokens = Annotated[int, Meta(ge=0)]


class _Counted(msgspec.Struct):
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None


class _Message(msgspec.Struct):
    model: str
    usage: _Counted


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    name: str = ""
    input: Pieces = {}


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""


class _Event(msgspec.Struct):
    """Whatever an event holds that is of use here; there may be others, and more in these."""

    type: str
    index: Tokens = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Counted | None = None
    error: _Error | None = None


_DECODER = msgspec.json.Decoder(_Event)


class _Call:
    """A tool call as it comes: whole at its start, or in pieces of JSON."""

    def __init__(self, name: str, whole: Pieces) -> None:
        self.name, self.whole, self.pieces = name, whole, [""]

    def call(self) -> ToolCall:
        text = "".join(self.pieces)
        return ToolCall(self.name, msgspec.json.decode(text, type=dict[str, object]) if text.strip() else self.whole)


class Telling:
    """What was told so far."""

    def __init__(self, output_max_tokens: int) -> None:
        self.model = ""
        self.started = self.ended = False
        self.stop = ""
        self._limit = output_max_tokens
        self._counted: dict[str, int] = {}
        self._output_known = False
        self._texts: list[str] = []
        self._text_at = -1
        self._calls: dict[int, _Call] = {}

    def hear(self, data: bytes) -> str:
        """The piece of text that this event adds."""
        try:
            event = _DECODER.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self.failed("model_error", f"an event that cannot be read: {error}") from None
        match event:
            case _Event(type="message_start", message=_Message() as message):
                self.started, self.model = True, message.model
                self._count(message.usage)
            case _Event(type="content_block_start", content_block=_Block() as block):
                return self._begin(event.index, block)
            case _Event(type="content_block_delta", delta=_Delta() as delta):
                return self._add(event.index, delta)
            case _Event(type="message_delta"):
                self._delta(event)
            case _Event(type="message_stop"):
                self.ended = True
            case _Event(type="error"):
                wrong = event.error or _Error()
                told = fault(200, wrong.type, wrong.message)
                raise self.failed(told.failure, told.reason, told.wait_s)
            case _:
                pass
        return ""

    def failed(self, failure: Failure, reason: str, wait_s: float = 0) -> ProviderFailed:
        """How it stands when nothing more comes. What a broken stream has put out, nobody tells: at most the limit."""
        if not self.started:
            return ProviderFailed(failure, said(reason), wait_s, "unknown")
        return ProviderFailed(failure, said(reason), wait_s, "usage", self.usage())

    def usage(self) -> Usage:
        told = self._counted
        return Usage(
            input=told.get("input_tokens", 0),
            output=told.get("output_tokens", 0) if self._output_known else self._limit,
            cache_read=told.get("cache_read_input_tokens", 0),
            cache_write=told.get("cache_creation_input_tokens", 0),
        )

    def reply(self) -> Reply:
        """All of it, when the stream has ended as it should."""
        if not self.started or not self.ended or not self.stop:
            raise self.failed("model_error", "the stream broke off before the reply was complete")
        stop = STOPS.get(self.stop) or ("tools" if self._calls else "end")
        return Reply("".join(self._texts), self._made(stop), stop, self.usage(), self.model)

    def _made(self, stop: Stop) -> tuple[ToolCall, ...]:
        """What a refusal interrupts does not count; a call that was cut short is no call."""
        calls: list[ToolCall] = []
        for each in self._calls.values() if stop != "refusal" else ():
            try:
                calls.append(each.call())
            except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
                if stop == "tools":
                    raise self.failed("model_error", f"a call of {each.name} that cannot be read: {error}") from None
        return tuple(calls)

    def _begin(self, index: int, block: _Block) -> str:
        if block.type == "tool_use":
            self._calls[index] = _Call(block.name, block.input)
        return self._say(index, block.text) if block.type == "text" else ""

    def _add(self, index: int, delta: _Delta) -> str:
        if delta.type == "input_json_delta" and index in self._calls:
            self._calls[index].pieces.append(delta.partial_json)
        return self._say(index, delta.text) if delta.type == "text_delta" else ""

    def _say(self, index: int, text: str) -> str:
        if text and self._text_at not in (-1, index):
            text = f"\n\n{text}"
        if text:
            self._text_at = index
            self._texts.append(text)
        return text

    def _delta(self, event: _Event) -> None:
        if event.delta is not None and event.delta.stop_reason:
            self.stop = event.delta.stop_reason
        if event.usage is not None:
            self._count(event.usage)
            self._output_known = self._output_known or event.usage.output_tokens is not None

    def _count(self, counted: _Counted) -> None:
        """They are totals: the last one holds."""
        for name in counted.__struct_fields__:
            tokens = getattr(counted, name)
            if tokens is not None:
                self._counted[name] = tokens
