"""A Messages API on loopback: it speaks the real wire format, refuses what the real one does, and fails when told."""

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

KEY = "sk-ant-api03-" + "k" * 24
VERSION = "2026-10-21"
LIMITS = {"claude-haiku-4-5": (200_000, 64_000)}
MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-haiku-4-5")

Step = bytes | Literal["hold", "cut"]
"""Bytes to send; wait until the client is gone; or cut the connection where it is."""


class Answer(NamedTuple):
    """What one request gets. Without `chunked` a body is sent as it is and the connection closed."""

    steps: tuple[Step, ...] = ()
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    type: str = "text/event-stream; charset=utf-8"
    silent: bool = False
    """Not even a status: the client waits for the first byte."""


class Asked(NamedTuple):
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class FakeAnthropic:
    """Answers in the order of `answers`, then with `usual`."""

    def __init__(self, usual: Answer | None = None) -> None:
        self.answers: list[Answer] = []
        self.usual = usual or streamed(text("hello"))
        self.asked: list[Asked] = []
        self.connections = 0
        self.gone = threading.Event()
        """Set when a client closed a connection whose answer was held."""
        self.held = threading.Event()
        self.lists_models = True
        self.refuses = True
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [asked.body for asked in self.asked if asked.path == "/v1/messages"]

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._talk(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = Asked(head[0].split()[1].partition("?")[0], headers, json.loads(body) if body else {})
        self.asked.append(asked)
        return await self._send(self._answer(asked), reader, writer)

    def _answer(self, asked: Asked) -> Answer:
        if asked.path == "/v1/models":
            return _listing() if self.lists_models else error(404, "not_found_error", "Not found")
        if (wrong := unauthorized(asked.headers)) and self.refuses:
            return error(401, "authentication_error", wrong)
        answer = self.answers.pop(0) if self.answers else self.usual
        wrong = complaint(asked.body) if self.refuses else ""
        return error(400, "invalid_request_error", wrong) if wrong else answer

    async def _send(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if not answer.silent:
            lines = [f"HTTP/1.1 {answer.status} -", f"content-type: {answer.type}", "transfer-encoding: chunked"]
            lines += [f"{name}: {value}" for name, value in (*answer.headers, ("request-id", "req_1"))]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        for step in answer.steps:
            if step == "cut":
                writer.transport.abort()
                return False
            if step == "hold":
                await writer.drain()
                self.held.set()
                await reader.read(1)
                self.gone.set()
                return False
            assert isinstance(step, bytes)
            writer.write(f"{len(step):x}\r\n".encode() + step + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


def event(type: str, **more: Any) -> bytes:
    return f"event: {type}\ndata: {json.dumps({'type': type, **more})}\n\n".encode()


def begin(input: int = 10, read: int = 0, written: int = 0, model: str = "claude-sonnet-5-5") -> bytes:
    usage = {
        "input_tokens": input,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 1,
        "service_tier": "standard",
    }
    message: dict[str, Any] = {
        "id": "msg_01", "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    return event("message_start", message=message)


def text(*pieces: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block and its deltas."""
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces]


def thought(*pieces: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    deltas: list[dict[str, Any]] = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    block = {"type": "thinking", "thinking": "", "signature": ""}
    return block, [*deltas, {"type": "signature_delta", "signature": "c2ln"}]


def call(name: str, *pieces: str, id: str = "toolu_01") -> tuple[dict[str, Any], list[dict[str, Any]]]:
    block = {"type": "tool_use", "id": id, "name": name, "input": {}}
    return block, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def body(
    *blocks: tuple[dict[str, Any], list[dict[str, Any]]], stop: str = "end_turn", output: int = 7
) -> Iterator[bytes]:
    """All that comes after the beginning."""
    for index, (block, deltas) in enumerate(blocks):
        yield event("content_block_start", index=index, content_block=block)
        yield event("ping")
        yield from (event("content_block_delta", index=index, delta=delta) for delta in deltas)
        yield event("content_block_stop", index=index)
    delta = {"stop_reason": stop, "stop_sequence": "END" if stop == "stop_sequence" else None}
    yield event("message_delta", delta=delta, usage={"output_tokens": output})
    yield event("message_stop")


def streamed(
    *blocks: tuple[dict[str, Any], list[dict[str, Any]]], stop: str = "end_turn", output: int = 7, **usage: Any
) -> Answer:
    return Answer((begin(**usage), *body(*blocks, stop=stop, output=output)))


def raw(*steps: Step, **more: Any) -> Answer:
    return Answer(steps, **more)


def recut(answer: Answer, size: int) -> Answer:
    """The same bytes in pieces of another size."""
    whole = b"".join(step for step in answer.steps if isinstance(step, bytes))
    return answer._replace(steps=tuple(whole[at : at + size] for at in range(0, len(whole), size)))


def error(status: int, type: str, message: str, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    said = {"type": "error", "error": {"type": type, "message": message}, "request_id": "req_1"}
    return Answer((json.dumps(said).encode(),), status, tuple(headers), "application/json")


def _listing() -> Answer:
    supported = {"supported": True}
    listed = [
        {
            "type": "model", "id": id, "display_name": id, "created_at": "2026-09-22T00:00:00Z", "lifecycle": life,
            "max_input_tokens": LIMITS.get(id, (1_000_000, 128_000))[0],
            "max_tokens": LIMITS.get(id, (1_000_000, 128_000))[1],
            "capabilities": {
                "effort": {"supported": id not in LIMITS, "low": supported, "high": supported},
                "thinking": {"supported": True, "types": {"adaptive": {"supported": id not in LIMITS}}},
            },
        }
        for id, life in [*((id, "active") for id in MODELS), ("claude-new-9", "active"), ("claude-opus-3", "retired")]
    ]  # fmt: skip
    page = {"data": listed, "has_more": False, "first_id": listed[0]["id"], "last_id": listed[-1]["id"]}
    return Answer((json.dumps(page).encode(),), type="application/json")


def unauthorized(headers: dict[str, str]) -> str:
    if headers.get("anthropic-version") != VERSION:
        return "anthropic-version: header is required"
    keys = {headers.get("x-api-key", ""), headers.get("authorization", "").removeprefix("Bearer ")}
    return "" if KEY in keys else "invalid x-api-key"


def complaint(said: dict[str, Any]) -> str:
    """Why the real API would refuse this request; empty: it would not."""
    if not said.get("stream") or not isinstance(said.get("max_tokens"), int) or not said.get("messages"):
        return "stream, max_tokens and messages: field required"
    if set(said) & {"temperature", "top_p", "top_k"}:
        return "temperature: this model does not accept it"
    if said.get("tool_choice", {}).get("type") in ("any", "tool"):
        return "tool_choice: forced tool use is not supported"
    if "effort" in said.get("output_config", {}) and said["model"] in LIMITS:
        return "This model does not support the effort parameter."
    if said.get("thinking", {"type": "adaptive"}) != {"type": "adaptive"} or (
        "thinking" in said and said["model"] in LIMITS
    ):
        return "adaptive thinking is not supported on this model"
    if json.dumps(said).count('"cache_control"') > 4:
        return "A maximum of 4 blocks with cache_control may be provided."
    if said["messages"][-1]["role"] != "user":
        return "This model does not support assistant message prefill."
    blocks = [block for part in (said.get("system", []), *(m["content"] for m in said["messages"])) for block in part]
    if any(block["type"] == "text" and not block["text"].strip() for block in blocks):
        return "messages: text content blocks must contain non-whitespace text"
    return _calls_without_answers(said["messages"])


def _calls_without_answers(messages: list[dict[str, Any]]) -> str:
    open_ids: list[str] = []
    for message in messages:
        results = [block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"]
        first = [block["tool_use_id"] for block in message["content"][: len(results)] if block["type"] == "tool_result"]
        if open_ids != results or first != results:
            return f"tool_use ids were found without tool_result blocks immediately after: {open_ids}"
        open_ids = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        if any(not re.fullmatch(r"[a-zA-Z0-9_-]+", id) for id in open_ids):
            return "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
    return ""
