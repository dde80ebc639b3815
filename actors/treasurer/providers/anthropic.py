"""Claude by way of the Messages API: one streamed request for each question, and no second try."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from actors.treasurer.asking import Model, Prompt, ProviderFailed, Reply, Standing
from actors.treasurer.providers.anthropic_faults import fault, said
from actors.treasurer.providers.anthropic_stream import Telling
from actors.treasurer.providers.anthropic_words import Able, request
from actors.treasurer.providers.events import Events
from actors.treasurer.providers.failures import wait_of
from actors.treasurer.providers.loading import aside, load_sockets
from bus.messages.base import Pieces

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

NAME = "anthropic"
KEY, BASE_URL = "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"
CONNECT_S, MODELS_S, DRAIN_S = 10.0, 2.0, 0.25
EVENT_MAX_BYTES = 8 * 1024 * 1024

_LIMITS = {
    "claude-opus-5-5": (1_000_000, 128_000),
    "claude-sonnet-5-5": (1_000_000, 128_000),
    "claude-haiku-5-5": (1_000_000, 128_000),
    "claude-opus-5": (1_000_000, 128_000),
    "claude-sonnet-5": (1_000_000, 128_000),
    "claude-haiku-4-5": (200_000, 64_000),
}
_WITHOUT_EFFORT = {"claude-haiku-4-5"}
"""It does not think in the adaptive way either."""
MODELS = tuple(Model(NAME, name, False, context, output) for name, (context, output) in _LIMITS.items())
"""What is there when the API cannot be asked."""


class Anthropic:
    """The key is read from the environment when a client is made, and only the client holds it."""

    name = NAME

    def __init__(self, environ: Mapping[str, str] = os.environ, models: Sequence[Model] = ()) -> None:
        self._environ = environ
        self._models = list(models)
        self._with_effort = {name for name in _LIMITS if name not in _WITHOUT_EFFORT}
        self._adaptive = set(self._with_effort)
        """Those that decide themselves how much they think."""
        self._client: AsyncAnthropic | None = None

    async def load(self) -> None:
        if self._client is None and _sendable(self._key()):
            await aside(self._connected)

    async def standing(self) -> Standing:
        key = self._key()
        if not key:
            return Standing(NAME, False, f"{KEY} is not set", f"export {KEY}=…")
        if not _sendable(key):
            return Standing(NAME, False, f"{KEY} holds characters that no key has", f"export {KEY}=… without them")
        where = self._environ.get(BASE_URL)
        return Standing(NAME, True, f"{KEY} is set" + (f"; {BASE_URL} says where to ask" if where else ""))

    async def models(self) -> list[Model]:
        """What the API lists, which costs nothing; what is known here, when it does not answer."""
        if not self._models and (await self.standing()).usable:
            with contextlib.suppress(Exception):
                await self.load()
                async with asyncio.timeout(MODELS_S):
                    self._models = await self._listed()
        return self._models or list(MODELS)

    async def ask(self, prompt: Prompt, heard: Callable[[str], None], limit_s: float) -> Reply:
        standing = await self.standing()
        if not standing.usable:
            raise ProviderFailed("help", f"{standing.why}: {standing.what_next}", charged="nothing")
        telling = Telling(prompt.output_max_tokens)
        await self.load()
        try:
            async with asyncio.timeout(limit_s):
                await self._stream(prompt, heard, telling)
                return telling.reply()
        except ProviderFailed as error:
            failed = error
        except TimeoutError:
            if telling.ended:
                return telling.reply()
            begun = "it stopped in the middle" if telling.started else "nothing came"
            failed = telling.failed("timeout", f"no reply within {limit_s:g} s: {begun}")
        except Exception as error:
            failed = self._failed(error, telling)
        # Raised anew, outside of the handlers: the errors of the client hold the request, and that holds the key.
        failed.__context__ = None
        raise failed.with_traceback(None)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _key(self) -> str:
        return self._environ.get(KEY, "").strip()

    def _connected(self) -> "AsyncAnthropic":
        if self._client is None:
            import anthropic

            load_sockets()
            self._client = anthropic.AsyncAnthropic(
                api_key=self._key(),
                base_url=self._environ.get(BASE_URL) or None,
                max_retries=0,
                timeout=anthropic.Timeout(None, connect=CONNECT_S, pool=CONNECT_S),
                http_client=anthropic.DefaultAsyncHttpxClient(follow_redirects=False),
                open_telemetry={"traces": False, "propagation": False},
            )
        return self._client

    async def _stream(self, prompt: Prompt, heard: Callable[[str], None], telling: Telling) -> None:
        able = Able(prompt.model in self._with_effort, prompt.model in self._adaptive)
        words = request(prompt, able, _schema(prompt.json_schema))
        asking = self._connected().messages.with_streaming_response.create(**words, stream=True)
        async with asking as response:
            kind = response.headers.get("content-type", "")
            if not kind.startswith("text/event-stream"):
                raise telling.failed("model_error", f"an answer of type {kind or 'none'!r} instead of a stream")
            events, chunks = Events(EVENT_MAX_BYTES), response.http_response.aiter_bytes()
            async for chunk in chunks:
                for event in events.feed(chunk):
                    piece = telling.hear(event)
                    if piece:
                        heard(piece)
                if telling.ended:
                    break
            # Read to its end, the connection can be used again.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(DRAIN_S):
                    async for _ in chunks:
                        pass

    def _failed(self, error: Exception, telling: Telling) -> ProviderFailed:
        """What the client or the stream raised. Only what was never sent is known to be free."""
        import anthropic
        import httpx2

        key, cause = self._key(), error.__cause__ or error
        if isinstance(error, anthropic.APIStatusError):
            why, rest_s = error.api_message or "it gives no reason", wait_of(error.response.headers)
            told = fault(error.status_code, error.type or "", why, rest_s)
            return ProviderFailed(told.failure, said(told.reason, key), told.wait_s, told.charged)
        if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
            why = said(f"it cannot be reached: {cause}", key)
            return ProviderFailed("model_error", why, charged="nothing")
        return telling.failed("model_error", said(f"{type(cause).__name__}: {cause}", key))

    async def _listed(self) -> list[Model]:
        found: list[Model] = []
        async for each in self._connected().models.list(limit=100):
            if each.lifecycle == "retired" or not each.max_input_tokens or not each.max_tokens:
                continue
            found.append(Model(NAME, each.id, False, each.max_input_tokens, each.max_tokens))
            can = each.capabilities
            if can is not None and can.effort.supported:
                self._with_effort.add(each.id)
            if can is not None and can.thinking and can.thinking.types.adaptive.supported:
                self._adaptive.add(each.id)
        return found


def _sendable(key: str) -> bool:
    return bool(key) and key.isascii() and key.isprintable() and " " not in key


def _schema(schema: Pieces | None) -> Pieces | None:
    """In the part of JSON schema that the API understands; the rest becomes part of the descriptions."""
    if schema is None:
        return None
    import anthropic

    try:
        return anthropic.transform_schema(schema)
    except (ValueError, AssertionError, TypeError):
        return schema
