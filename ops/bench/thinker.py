"""A server in a process of its own that speaks the chat-completions interface and thinks for a known time.

It says in each reply how long it thought, so that whatever a call took beyond that is known exactly.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

MODEL = "gpt-4.1"
PROSE = "The next part is about how durations are read, and what is said when one of them cannot be understood. "


class Thinker(NamedTuple):
    """A running one."""

    url: str

    def asked(self) -> int:
        """How many completions it was asked for."""
        return len(self.sizes())

    def sizes(self) -> list[int]:
        """How many bytes each of these requests had."""
        with urllib.request.urlopen(f"{self.url}/asked", timeout=10) as answer:
            sizes: list[int] = json.loads(answer.read())
            return sizes


@contextmanager
def thinking(think_s: float, spread: float = 0.0, part_bytes: int = 0, calls: int = 0) -> Iterator[Thinker]:
    """It thinks so long, more or less by this share; with `part_bytes` it writes a file of that size in each turn.

    The reply with the number `calls` is that the work is done.
    """
    words = [sys.executable, "-m", "ops.bench.thinker", str(think_s), str(spread), str(part_bytes), str(calls)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    own = {"OPENAI_API_KEY": "sk-bench-0123456789abcdef", "OLLAMA_HOST": "http://127.0.0.1:9"}
    before = {name: os.environ.get(name) for name in (*own, "OPENAI_BASE_URL")}
    try:
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        os.environ.update(own, OPENAI_BASE_URL=f"{url}/v1")
        yield Thinker(url)
    finally:
        process.terminate()
        process.wait(10)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def thought_s(text: str) -> float:
    """How long it thought, from what it said."""
    return float(text.split()[1])


class _Server:
    def __init__(self, think_s: float, spread: float, part_bytes: int, calls: int) -> None:
        self._think_s, self._spread, self._part_bytes, self._calls = think_s, spread, part_bytes, calls
        self._asked: list[int] = []

    async def serve(self) -> None:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, limit=64 * 1024 * 1024)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = next((line[15:] for line in head.split("\r\n") if line.startswith("content-length:")), "0")
                body = await reader.readexactly(int(length))
                if "/chat/completions" in head[: head.index("\r\n")]:
                    await self._think(body, writer)
                else:
                    models = {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "bench"}]}
                    told = json.dumps(self._asked) if "/asked" in head[: head.index("\r\n")] else json.dumps(models)
                    _say(writer, "application/json", told.encode())
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()

    async def _think(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        self._asked.append(len(body))
        number, size = len(self._asked), len(body)
        spread = 1 + self._spread * random.uniform(-1, 1)
        think_s = self._think_s * spread
        await asyncio.sleep(think_s)
        _say(writer, "text/event-stream", b"".join(self._reply(number, think_s, size)))

    def _reply(self, number: int, think_s: float, size: int) -> Iterator[bytes]:
        name, given = "checklist", {"add": [f"item {number}"]}
        text = f"thought {think_s:.6f} s. "
        if self._part_bytes:
            part = f"# part {number}\n" + PROSE * (self._part_bytes // len(PROSE))
            name, given = "write", {"path": f"part{number}.md", "content": part}  # type: ignore[dict-item]
            text += PROSE * (self._part_bytes // len(PROSE) // 4)
        if number == self._calls:
            name, given = "finish", {"summary": "done"}  # type: ignore[dict-item]
        call = {"index": 0, "id": f"call_{number}", "function": {"name": name, "arguments": json.dumps(given)}}
        usage = {"prompt_tokens": size // 4, "completion_tokens": 50, "total_tokens": size // 4 + 50}
        yield _chunk([{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}])
        yield _chunk([{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}])
        yield _chunk([{"index": 0, "delta": {}, "finish_reason": "tool_calls"}])
        yield _chunk([], usage)
        yield b"data: [DONE]\n\n"


def _chunk(choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> bytes:
    told = {"id": "c", "object": "chat.completion.chunk", "model": MODEL, "choices": choices, "usage": usage}
    return b"data: " + json.dumps(told).encode() + b"\n\n"


def _say(writer: asyncio.StreamWriter, kind: str, body: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


if __name__ == "__main__":
    asyncio.run(_Server(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])).serve())
