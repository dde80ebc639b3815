"""A server that speaks the chat-completions interface as its providers do: server-sent events, and its own bill."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.fake_http import Answer, FakeServer, Piece, Request, in_json

STREAM = "text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}


class Billed(NamedTuple):
    """One completion that the provider wants money for."""

    model: str
    prompt_tokens: int
    completion_tokens: int


class FakeOpenAI(FakeServer):
    """`models` are listed; what is not queued is answered with `reply`. Every begun completion is on the bill."""

    def __init__(self, reply: str = "All is well.", models: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__()
        self.reply = reply
        self.models = list(models) or [{"id": "gpt-4o", "object": "model", "owned_by": "openai"}]
        self.bill: list[Billed] = []

    def usual(self, request: Request) -> Answer:
        match request.method, request.path.rsplit("/v1", 1)[-1]:
            case "GET", "/models" | "/key":
                return in_json({"object": "list", "data": self.models})
            case "POST", "/chat/completions":
                asked = request.json
                prompt, completion = len(request.body) // 4 + 1, len(self.reply) // 4 + 1
                self.bill.append(Billed(asked["model"], prompt, completion))
                counts = {"prompt_tokens": prompt, "completion_tokens": completion}
                return said(self.reply, usage=counts, model=asked["model"])
        return in_json({"error": {"message": f"Unknown request URL: {request.path}"}}, 404)


def event(what: object) -> bytes:
    return f"data: {json.dumps(what)}\n\n".encode()


def chunk(delta: dict[str, Any], finish: str | None = None, model: str = "gpt-4o-2024-08-06", **more: object) -> bytes:
    """One event of a completion."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model, "choices": [choice], **more})


def counted(usage: dict[str, Any] | None, model: str = "gpt-4o-2024-08-06") -> bytes:
    """The last event, which has no choices."""
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model, "choices": [], "usage": usage})


def calling(*calls: tuple[str, str]) -> list[bytes]:
    """Parallel calls as OpenAI streams them: a head with id and name, then pieces of the input."""
    pieces = []
    for index, (name, words) in enumerate(calls):
        head = {"index": index, "id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": ""}}
        pieces.append(chunk({"tool_calls": [head]}))
        for start in range(0, len(words), 5):
            piece = {"index": index, "function": {"arguments": words[start : start + 5]}}
            pieces.append(chunk({"tool_calls": [piece]}))
    return pieces


def said(
    text: str = "",
    *calls: tuple[str, str],
    finish: str = "",
    usage: dict[str, Any] | None = USAGE,
    model: str = "gpt-4o-2024-08-06",
) -> Answer:
    """A whole completion."""
    words = [chunk({"content": word}, model=model) for word in text.replace(" ", " \0").split("\0") if word]
    end = chunk({}, finish or ("tool_calls" if calls else "stop"), model)
    role = chunk({"role": "assistant", "content": "", "refusal": None}, model=model)
    pieces: list[Piece] = [role, *words, *calling(*calls), end, counted(usage, model), DONE]
    return Answer(tuple(pieces), kind=STREAM)


def streamed(*pieces: Piece) -> Answer:
    return Answer(pieces, kind=STREAM)


def refused(
    status: int, message: str = "no", code: str | None = None, param: str | None = None, **headers: str
) -> Answer:
    """An error in OpenAI's words."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return in_json({"error": error}, status, **headers)
