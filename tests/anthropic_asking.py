"""What the tests of Anthropic's adapter share: prompts, and ways to ask."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from actors.treasurer.asking import (
    Prompt,
    ProviderFailed,
    Reply,
    Text,
    ToolSpec,
    Turn,
)
from actors.treasurer.providers.anthropic import Anthropic
from tests.fake_anthropic import KEY, Answer, FakeAnthropic

SONNET = "claude-sonnet-5-5"
READ = ToolSpec("read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})
RUN = ToolSpec("run", "Run a command.", {"type": "object", "properties": {"command": {"type": "string"}}})
HELLO = (Turn("user", (Text("Say hello."),)),)
LIMIT_S = 20.0


def prompt(*turns: Turn, model: str = SONNET, tools: tuple[ToolSpec, ...] = (), **more: Any) -> Prompt:
    return Prompt(model, "You are a coder.", turns or HELLO, tools, 1000, 200_000, **more)


def provider(server: FakeAnthropic, **environ: str) -> Anthropic:
    return Anthropic({"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": server.url, **environ})


T = TypeVar("T")


def through(mind: Anthropic, work: Callable[[Anthropic], Coroutine[Any, Any, T]]) -> T:
    """One provider's whole life."""

    async def live() -> T:
        try:
            return await work(mind)
        finally:
            await mind.close()

    return asyncio.run(live())


def put(mind: Anthropic, said: Prompt, limit_s: float = LIMIT_S, heard: list[str] | None = None) -> Reply:
    return through(mind, lambda mind: mind.ask(said, ([] if heard is None else heard).append, limit_s))


def ask(answer: Answer, said: Prompt | None = None, limit_s: float = LIMIT_S) -> tuple[Reply, list[str]]:
    heard: list[str] = []
    with FakeAnthropic(answer) as server:
        return put(provider(server), said or prompt(), limit_s, heard), heard


def fail(answer: Answer, said: Prompt | None = None, limit_s: float = LIMIT_S) -> ProviderFailed:
    with pytest.raises(ProviderFailed) as raised:
        ask(answer, said, limit_s)
    return raised.value
