"""What the tests of all HTTP adapters have in common: a prompt, a loop to ask it in, and conversations of any kind."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st

from actors.treasurer.asking import Answered, Asked, Prompt, Provider, ProviderFailed, Reply, Text, ToolSpec, Turn

LONG_S, SHORT_S = 20.0, 0.3
READ = ToolSpec("read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})
P = TypeVar("P", bound=Provider)

FOREIGN = "\ue000"
"""Every word that is not ours begins with it."""
WORDS = st.text(max_size=30)
BLOCKS = st.one_of(
    st.builds(Text, WORDS.map(lambda words: f"own:{words}")),
    st.builds(Text, WORDS.map(lambda words: f"{FOREIGN}{words}"), st.sampled_from(["a.py", 'we"b>\n', "\ud800"])),
    st.builds(Asked, st.sampled_from("abc"), st.just("read"), st.dictionaries(WORDS, WORDS, max_size=2)),
    st.builds(Answered, st.sampled_from("abc"), WORDS.map(lambda words: f"{FOREIGN}{words}"), st.booleans()),
)
TURNS = st.lists(st.builds(Turn, st.sampled_from(["user", "assistant"]), st.lists(BLOCKS, max_size=4).map(tuple)))


def prompt(*turns: Turn, **more: Any) -> Prompt:
    turns = turns or (Turn("user", (Text("Say hello."),)),)
    given: dict[str, Any] = {"model": "qwen3:8b", "system": "You are a coder.", "tools": ()}
    return Prompt(**{**given, "turns": turns, "output_max_tokens": 500, "context_max_tokens": 8000, **more})


def run(of: Callable[[P], Coroutine[Any, Any, Any]], provider: P) -> Any:
    async def use() -> Any:
        try:
            return await of(provider)
        finally:
            await provider.close()

    return asyncio.run(use())


def ask(provider: Provider, wish: Prompt | None = None, limit_s: float = LONG_S) -> Reply:
    reply: Reply = run(lambda p: p.ask(wish or prompt(), lambda _: None, limit_s), provider)
    return reply


def failure(provider: Provider, wish: Prompt | None = None, limit_s: float = LONG_S) -> ProviderFailed:
    """The failure, which holds nothing of the request."""
    with pytest.raises(ProviderFailed) as caught:
        ask(provider, wish, limit_s)
    assert caught.value.__context__ is None
    return caught.value
