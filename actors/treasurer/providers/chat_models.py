"""Which models a server of the chat-completions interface has, as far as its own list and the price list tell."""

import re
from collections.abc import Callable

import msgspec
from msgspec import field

from actors.treasurer.asking import Model

CONTEXT_UNKNOWN_TOKENS, CONTEXT_LOCAL_UNKNOWN_TOKENS = 32_768, 8_192
CONTEXT_LARGE_TOKENS, OUTPUT_LARGE_TOKENS, OUTPUT_TOKENS = 200_000, 32_000, 8_192
"""Nobody lists what a model may say at most; models with a large context are not below the larger of these two."""
NO_CHAT = re.compile(
    r"embed|whisper|tts|dall-e|image|audio|realtime|transcri|moderation|sora|davinci|babbage|imagen|\bveo|\baqa\b"
    r"|-live|computer-use|-instruct$|codex|deep-research|^o\d-pro|^gpt-5[^/]*-pro",
    re.IGNORECASE,
)


class _TopProvider(msgspec.Struct):
    context_length: int | None = None
    max_completion_tokens: int | None = None


class _Meta(msgspec.Struct):
    n_ctx_train: int | None = None


class _Entry(msgspec.Struct):
    """OpenRouter says `context_length` and more, vLLM `max_model_len`, llama.cpp `meta`, OpenAI nothing but the id."""

    id: str
    context_length: int | None = None
    max_model_len: int | None = None
    top_provider: _TopProvider | None = None
    meta: _Meta | None = None
    supported_parameters: list[str] | None = None


class Listed(msgspec.Struct):
    data: list[_Entry] = field(default_factory=list)


def models_in(listed: Listed, provider: str, local: bool, context_of: Callable[[str], int | None]) -> list[Model]:
    """Those that hold a conversation, by name."""
    names = {entry.id.removeprefix("models/"): entry for entry in listed.data}
    return [
        _model(provider, name, entry, local, context_of(name))
        for name, entry in sorted(names.items())
        if local or not NO_CHAT.search(name)
    ]


def _model(provider: str, name: str, entry: _Entry, local: bool, known: int | None) -> Model:
    top, meta = entry.top_provider or _TopProvider(), entry.meta or _Meta()
    unknown = CONTEXT_LOCAL_UNKNOWN_TOKENS if local else CONTEXT_UNKNOWN_TOKENS
    told = (top.context_length, entry.context_length, entry.max_model_len, meta.n_ctx_train, known, unknown)
    context = next(tokens for tokens in told if tokens and tokens > 0)
    usual = OUTPUT_LARGE_TOKENS if context >= CONTEXT_LARGE_TOKENS else min(OUTPUT_TOKENS, context // 2)
    output = min(top.max_completion_tokens or usual, context)
    tools = entry.supported_parameters is None or "tools" in entry.supported_parameters
    return Model(provider, name, local, context, output, tools)
