"""OpenAI and all who speak its chat-completions interface: DeepSeek, Gemini, OpenRouter, and servers of one's own.

It is spoken over aiohttp, which takes less than half of the processor time that httpx2 does. The `openai`
package would bring retries, a second set of time-outs and types that other providers' answers do not fit, for one POST
and one stream of events.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from actors.treasurer.asking import Model, Prompt, ProviderFailed, Reply, Standing
from actors.treasurer.prices import contexts_of
from actors.treasurer.providers import chat_http
from actors.treasurer.providers.chat_models import Listed, models_in
from actors.treasurer.providers.chat_presets import Preset
from actors.treasurer.providers.chat_request import Shape, encoded, milder, request_of
from actors.treasurer.providers.chat_stream import BROKEN_OFF, Hearing, Malformed, told_in_passing
from actors.treasurer.providers.failures import Charged, Failure, Refusal, failed, is_loopback, is_plain, said_in
from actors.treasurer.providers.loading import aside
from bus.messages.call import Usage

if TYPE_CHECKING:
    import ssl

    import aiohttp

LIST_MAX_BYTES = 16 * 1024 * 1024
LOOK_S = 2.5
T = TypeVar("T")
_read_list = msgspec.json.Decoder(Listed).decode


class OpenAI:
    """The adapter. It holds no key: each request reads it anew."""

    def __init__(self, preset: Preset, environ: Mapping[str, str] = os.environ) -> None:
        self.preset = preset
        self._environ = environ
        self._session: aiohttp.ClientSession | None = None
        self._certificates: ssl.SSLContext | None = None
        self._shapes: dict[tuple[str, bool], Shape] = {}
        """What is known of how a model, with tools or without, wants to be asked."""
        self._seen = b""
        """The list of models, when it was read to see how things stand."""

    @property
    def name(self) -> str:
        return self.preset.name

    @property
    def address(self) -> str:
        return (self._environ.get(self.preset.address_variable) or self.preset.address).rstrip("/")

    @property
    def local(self) -> bool:
        """It costs nothing: it runs here."""
        return not self.preset.address and is_loopback(self.address)

    async def load(self) -> None:
        if self._session is None and not self._trouble():
            await aside(self._prepare)

    async def standing(self) -> Standing:
        if trouble := self._trouble():
            return trouble
        try:
            seen = await self._read(self.preset.checked_at)
            self._seen = seen if self.preset.checked_at == "models" else b""
        except ProviderFailed as failure:
            next_step = f"Check {self.preset.key_variable}, your account and {self._where()}."
            return Standing(self.name, False, failure.reason, next_step)
        key = f"{self.preset.key_variable} is set and " if self._key() else ""
        return Standing(self.name, True, f"{key}{self._where()} answers")

    async def models(self) -> list[Model]:
        if trouble := self._trouble():
            raise ProviderFailed("help", trouble.why, charged="nothing")
        try:
            seen, self._seen = self._seen or await self._read("models"), b""
            listed = _read_list(seen)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            reason = f"the list of models of {self.name} cannot be read: {said_in(str(error), self._secrets())}"
            raise ProviderFailed("model_error", reason, charged="nothing") from None
        context_of = await asyncio.to_thread(contexts_of, self.name)
        return models_in(listed, self.name, self.local, context_of)

    async def ask(self, prompt: Prompt, heard: Callable[[str], None], limit_s: float) -> Reply:
        """A part of the request that is refused unread is left out and the rest asked at once: that cost nothing."""
        if trouble := self._trouble():
            raise ProviderFailed("help", f"{trouble.why}. {trouble.what_next}", charged="nothing")
        kind = (prompt.model, bool(prompt.tools) and prompt.json_schema is None)
        shape, tried, ends_s = self._shapes.get(kind, self.preset.dialect.shape), set[Shape](), monotonic() + limit_s
        hearing = Hearing()
        await self.load()
        while True:
            tried.add(shape)
            answer = await self._guarded(self._once(prompt, shape, hearing, heard), hearing, ends_s - monotonic())
            if isinstance(answer, Reply):
                return answer
            other = milder(shape, answer.words) if answer.status in (400, 422) else None
            if other is None or other in tried:
                raise failed(self.name, answer, self._secrets())
            shape = self._shapes[kind] = other

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _once(
        self, prompt: Prompt, shape: Shape, hearing: Hearing, heard: Callable[[str], None]
    ) -> Reply | Refusal:
        body = encoded(request_of(prompt, self.preset.dialect, shape))
        url = f"{self.address}/chat/completions"
        asking = self._http().post(url, data=chat_http.sent(body), headers=self._headers(), allow_redirects=False)
        async with asking as response:
            if response.status == 200:
                await chat_http.hear(response, hearing, heard)
            else:
                refusal = await chat_http.refusal_of(response)
                return Reply("", (), "context", Usage(), prompt.model) if refusal.too_long else refusal
        if hearing.error or hearing.ended in BROKEN_OFF:
            refusal = told_in_passing(hearing)
            if refusal.too_long and not hearing.size:
                return Reply("", (), "context", hearing.usage or Usage(), prompt.model)
            told = failed(self.name, refusal, self._secrets())
            raise ProviderFailed(told.failure, told.reason, told.wait_s, self._charged(hearing), hearing.usage)
        if not hearing.ended:
            raise Malformed("it ended before the reply did")
        return hearing.reply(prompt, len(body))

    async def _guarded(self, work: Coroutine[Any, Any, T], hearing: Hearing, limit_s: float) -> T:
        """Whatever goes wrong in it, told as the treasurer is told it."""
        import aiohttp

        try:
            async with asyncio.timeout(limit_s):
                return await work
        except ProviderFailed as error:
            failure = error
        except TimeoutError:
            how = f"fell silent after {hearing.size} characters" if hearing.model else "said nothing"
            failure = self._broken("timeout", f"{self.name} {how}, and its time is over", hearing)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError) as error:
            why = f"{self._where()} cannot be reached: {said_in(str(error), self._secrets())}"
            failure = ProviderFailed("model_error" if self.preset.address else "help", why, charged="nothing")
        except (aiohttp.ClientError, ValueError, Malformed) as error:
            said = said_in(str(error), self._secrets()) or type(error).__name__
            failure = self._broken("model_error", f"what {self.name} sends cannot be used: {said}", hearing)
        # Raised outside of the handlers: the client's errors hold the request, and that holds the key.
        failure.__context__ = None
        raise failure

    def _broken(self, kind: Failure, reason: str, hearing: Hearing) -> ProviderFailed:
        return ProviderFailed(kind, reason, charged=self._charged(hearing), usage=hearing.usage)

    def _charged(self, hearing: Hearing) -> Charged:
        """What a broken reply may have cost: its count is the last word only when it came with the end."""
        if self.local:
            return "nothing"
        return "usage" if hearing.usage and hearing.ended else "unknown"

    async def _read(self, path: str) -> bytes:
        """What the server has at this place, whole."""

        async def read() -> bytes:
            url = f"{self.address}/{path}"
            async with self._http().get(url, headers=self._headers(), allow_redirects=False) as response:
                if response.status != 200:
                    raise failed(self.name, await chat_http.refusal_of(response), self._secrets())
                return await chat_http.bytes_of(response, LIST_MAX_BYTES)

        await self.load()
        return await self._guarded(read(), Hearing(), LOOK_S)

    def _http(self) -> "aiohttp.ClientSession":
        if self._session is None:
            self._session = chat_http.session(self.address, self._certificates)
        return self._session

    def _prepare(self) -> None:
        self._certificates = chat_http.loaded(self.address)

    def _headers(self) -> dict[str, str]:
        key = self._key()
        told = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "witan"}
        return {**told, "authorization": f"Bearer {key}"} if key else told

    def _key(self) -> str:
        return self._environ.get(self.preset.key_variable, "").strip()

    def _secrets(self) -> tuple[str, ...]:
        return (self._key(),)

    def _where(self) -> str:
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    def _trouble(self) -> Standing | None:
        """Why it cannot even be asked."""
        preset, key = self.preset, self._key()
        if not self.address:
            example = f"export {preset.address_variable}=http://127.0.0.1:8000/v1"
            return Standing(self.name, False, f"{preset.address_variable} is not set", example)
        if not is_plain(self.address):
            why = f"{preset.address_variable} is not the address of a server (a key does not belong into it)"
            return Standing(self.name, False, why, f"export {preset.address_variable}=https://…/v1")
        if preset.key_needed and not key:
            return Standing(self.name, False, f"{preset.key_variable} is not set", f"export {preset.key_variable}=…")
        if not (key.isascii() and key.isprintable()) or " " in key:
            why = f"{preset.key_variable} holds characters that no key has"
            return Standing(self.name, False, why, f"export {preset.key_variable}=…")
        return None
