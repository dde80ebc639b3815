"""A server that speaks Ollama's interface: lines of JSON for a chat, the list of models, and what each can do."""

import json
from typing import Any

from tests.fake_http import Answer, FakeServer, Piece, Request, in_json

LINES = "application/x-ndjson"
AT = "2026-11-21T11:00:00.123456789Z"


def shown(context_tokens: int = 40_960, *can: str, family: str = "qwen3") -> dict[str, Any]:
    """What /api/show says of a model."""
    return {
        "template": "{{ .Prompt }}",
        "details": {"family": family, "parameter_size": "8.2B", "quantization_level": "Q4_K_M"},
        "model_info": {"general.architecture": family, f"{family}.context_length": context_tokens},
        "capabilities": ["completion", *can],
    }


class FakeOllama(FakeServer):
    """`models` are there; what is not queued is answered with `reply`."""

    def __init__(self, reply: str = "All is well.", models: dict[str, dict[str, Any]] | None = None) -> None:
        super().__init__()
        self.reply = reply
        self.models = {"qwen3:8b": shown(40_960, "tools")} if models is None else models

    def usual(self, request: Request) -> Answer:
        match request.method, request.path:
            case "GET", "/api/tags":
                listed = [{"name": name, "model": name, "modified_at": AT, "size": 1} for name in self.models]
                return in_json({"models": listed})
            case "POST", "/api/show" | "/api/chat" if request.json["model"] not in self.models:
                return in_json({"error": f"model '{request.json['model']}' not found"}, 404)
            case "POST", "/api/show":
                return in_json(self.models[request.json["model"]])
            case "POST", "/api/chat":
                return said(self.reply, model=request.json["model"])
        return in_json({"error": "404 page not found"}, 404)

    @property
    def chats(self) -> list[Any]:
        """The bodies of the chats that were asked for."""
        return [request.json for request in self.asked if request.path == "/api/chat"]

    def _next(self, request: Request) -> Answer:
        return self.queue.popleft() if self.queue and request.path == "/api/chat" else self.usual(request)


def line(model: str = "qwen3:8b", content: str = "", done: bool = False, **more: Any) -> bytes:
    """One line of a chat."""
    calls = more.pop("calls", None)
    message = {"role": "assistant", "content": content, **({"tool_calls": calls} if calls else {})}
    told = {"model": model, "created_at": AT, "message": message, "done": done, **more}
    return json.dumps(told, ensure_ascii=False).encode() + b"\n"


def end(model: str = "qwen3:8b", reason: str = "stop", read: int = 26, written: int = 12) -> bytes:
    """The last line, which has the counts."""
    counts = {"prompt_eval_count": read, "eval_count": written, "total_duration": 5_000_000, "load_duration": 1_000}
    return line(model, "", True, done_reason=reason, **counts)


def said(text: str = "", *calls: tuple[str, dict[str, Any]], model: str = "qwen3:8b", reason: str = "stop") -> Answer:
    """A whole reply; a call comes in one piece."""
    words = [line(model, word) for word in text.replace(" ", " \0").split("\0")] if text else []
    asked = [line(model, calls=[{"function": {"name": name, "arguments": given}}]) for name, given in calls]
    return streamed(*words, *asked, end(model, reason))


def streamed(*pieces: Piece) -> Answer:
    return Answer(pieces, kind=LINES)
