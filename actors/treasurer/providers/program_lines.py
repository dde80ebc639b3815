"""What `claude` and `codex` print, line by line: what was said, what it took, and how it went wrong."""

from math import ceil
from typing import Annotated, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import Meta

from actors.treasurer.asking import ProviderFailed, Stop
from actors.treasurer.providers.anthropic_faults import Charged, Failure, fault, said
from actors.treasurer.providers.anthropic_stream import STOPS
from actors.treasurer.providers.failures import TOO_LONG
from bus.messages.call import Usage

Tokens = Annotated[int, Meta(ge=0)]
OWN_TOOLS = {"command_execution", "file_change", "mcp_tool_call", "collab_tool_call", "web_search"}
_LOGIN = ("invalid api key", "/login", "not logged in", "unauthorized", "401", "authentication")


class Heard(NamedTuple):
    """All that a program said."""

    text: str
    stop: Stop
    usage: Usage
    model: str
    micro: int | None = None


class Lines(Protocol):
    """Reads one program's lines."""

    def hear(self, line: bytes, now_s: float) -> str:
        """The piece of text that this line adds; ProviderFailed when it says that there will be no answer."""
        ...

    def heard(self) -> Heard | None:
        """The answer, once it is complete."""
        ...

    def failed(self, failure: Failure, reason: str) -> ProviderFailed:
        """How it stands when no more lines come."""
        ...


class _Kind(msgspec.Struct):
    type: str = ""


class _Counted(msgspec.Struct):
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cache_creation_input_tokens: Tokens = 0
    cache_read_input_tokens: Tokens = 0
    cached_input_tokens: Tokens = 0


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""


class _StreamEvent(msgspec.Struct):
    type: str = ""
    delta: _Delta | None = None


class _Rate(msgspec.Struct):
    status: str = ""
    resetsAt: float | None = None


class _ClaudeLine(msgspec.Struct):
    type: str
    subtype: str = ""
    model: str = ""
    tools: list[object] = []
    event: _StreamEvent | None = None
    rate_limit_info: _Rate | None = None
    error_status: int | None = None
    retry_delay_ms: float = 0
    is_error: bool = False
    api_error_status: int | None = None
    result: str = ""
    errors: list[str] = []
    stop_reason: str | None = None
    usage: _Counted | None = None
    total_cost_usd: Annotated[float, Meta(ge=0)] | None = None


class _Item(msgspec.Struct):
    type: str = ""
    text: str = ""


class _Trouble(msgspec.Struct):
    message: str = ""


class _CodexLine(msgspec.Struct):
    type: str
    item: _Item | None = None
    usage: _Counted | None = None
    error: _Trouble | None = None
    message: str = ""


Line = TypeVar("Line", _ClaudeLine, _CodexLine)
_kinds = msgspec.json.Decoder(_Kind)
_claude_lines = msgspec.json.Decoder(_ClaudeLine)
_codex_lines = msgspec.json.Decoder(_CodexLine)


def _read(decoder: msgspec.json.Decoder[Line], line: bytes, last: set[str]) -> Line | None:
    """Lines that are not the last word may be of forms that are not known here."""
    try:
        return decoder.decode(line)
    except msgspec.ValidationError:
        if _kinds.decode(line).type in last:
            raise
        return None


class ClaudeLines:
    """`claude -p --output-format stream-json`. Its last line holds the whole answer and what it took."""

    def __init__(self) -> None:
        self._decoder = _claude_lines
        self._model, self._resets_s, self._began = "", 0.0, False
        self._heard: Heard | None = None

    def hear(self, line: bytes, now_s: float) -> str:
        told, self._began = _read(self._decoder, line, {"result"}), True
        if told is None:
            return ""
        match told.type, told.subtype:
            case "system", "init":
                self._model = told.model
                if told.tools:
                    raise self.failed("model_error", f"it has tools of its own: {told.tools[:5]}")
            case "system", "api_retry":
                raise self._refused(told.error_status, "it would try again", told.retry_delay_ms / 1000)
            case "stream_event", _ if told.event and told.event.type == "content_block_delta" and told.event.delta:
                return told.event.delta.text if told.event.delta.type == "text_delta" else ""
            case "rate_limit_event", _ if told.rate_limit_info and told.rate_limit_info.status == "rejected":
                self._resets_s = told.rate_limit_info.resetsAt or 0.0
            case "result", _:
                self._result(told, now_s)
        return ""

    def heard(self) -> Heard | None:
        return self._heard

    def failed(self, failure: Failure, reason: str) -> ProviderFailed:
        return ProviderFailed(failure, said(reason), charged="unknown" if self._began else "nothing")

    def _result(self, told: _ClaudeLine, now_s: float) -> None:
        """It ends with `success` also when the API refused."""
        counted = told.usage or _Counted()
        usage = Usage(
            counted.input_tokens,
            counted.output_tokens,
            counted.cache_read_input_tokens,
            counted.cache_creation_input_tokens,
        )
        if told.is_error or told.subtype != "success":
            why = told.result or "; ".join(told.errors) or told.subtype
            rest_s = max(0.0, self._resets_s - now_s) if self._resets_s else 0.0
            refused = self._refused(told.api_error_status, why, rest_s)
            if usage != Usage():
                refused.charged, refused.usage = "usage", usage
            raise refused
        micro = None if told.total_cost_usd is None else ceil(round(told.total_cost_usd * 1_000_000, 3))
        self._heard = Heard(told.result, STOPS.get(told.stop_reason or "", "end"), usage, self._model, micro)

    def _refused(self, status: int | None, why: str, wait_s: float) -> ProviderFailed:
        if status is None or status < 400:
            return self.failed(
                "help" if _wants_login(why) else "context" if TOO_LONG.search(why) else "model_error", why
            )
        told = fault(status, "", why, wait_s)
        return ProviderFailed(told.failure, said(told.reason), told.wait_s, told.charged)


class CodexLines:
    """`codex exec --json`. An `error` may be followed by another try; `turn.failed` is the end."""

    def __init__(self, model: str) -> None:
        self._decoder = _codex_lines
        self._model, self._said, self._trouble, self._began = model, "", "", False
        self._heard: Heard | None = None

    def hear(self, line: bytes, now_s: float) -> str:
        told, self._began = _read(self._decoder, line, {"turn.completed", "turn.failed"}), True
        if told is None:
            return ""
        match told.type:
            case "item.started" | "item.completed" if told.item and told.item.type in OWN_TOOLS:
                raise self.failed("model_error", f"it used a tool of its own: {told.item.type}")
            case "item.completed" if told.item and told.item.type == "agent_message":
                self._said = told.item.text
                return told.item.text
            case "error":
                self._trouble = told.message
            case "turn.failed":
                raise self.failed("model_error", told.error.message if told.error else "")
            case "turn.completed":
                counted = told.usage or _Counted()
                cached = min(counted.cached_input_tokens, counted.input_tokens)
                usage = Usage(counted.input_tokens - cached, counted.output_tokens, cached)
                self._heard = Heard(self._said, "end", usage, self._model)
        return ""

    def heard(self) -> Heard | None:
        return self._heard

    def failed(self, failure: Failure, reason: str) -> ProviderFailed:
        why = reason or self._trouble or "it gives no reason"
        charged: Charged = "unknown" if self._began else "nothing"
        words = f"{why} {self._trouble}".lower()
        if failure == "model_error" and _wants_login(words):
            return ProviderFailed("help", said(why), charged="nothing")
        if failure == "model_error" and ("rate limit" in words or "usage limit" in words or "429" in words):
            return ProviderFailed("rate_limit", said(why), charged="nothing")
        if failure == "model_error" and TOO_LONG.search(words):
            failure = "context"
        return ProviderFailed(failure, said(why), charged=charged)


def _wants_login(words: str) -> bool:
    return any(each in words.lower() for each in _LOGIN)
