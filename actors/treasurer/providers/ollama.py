"""Ollama: models that run on one's own machine, asked over its own interface."""

import asyncio
import os
import shutil
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from actors.treasurer.asking import Model, Prompt, ProviderFailed, Reply, Standing, Stop, ToolSpec
from actors.treasurer.providers.chat_request import tool_of
from actors.treasurer.providers.failures import Charged, Failure, Refusal, failed, said_in
from actors.treasurer.providers.loading import aside, load_sockets
from actors.treasurer.providers.ollama_client import Malformed, address_of, client_at
from actors.treasurer.providers.ollama_words import Known, heard_in, is_remote, known_of, told
from bus.messages.base import ToolCall
from bus.messages.call import Usage

if TYPE_CHECKING:
    import ollama

NAME, HOST, KEY, CONTEXT = "ollama", "OLLAMA_HOST", "OLLAMA_API_KEY", "OLLAMA_CONTEXT_LENGTH"
CONTEXT_USUAL_TOKENS, OUTPUT_MAX_TOKENS = 32_768, 8_192
"""A longer context fits into few machines; who has one says so with Ollama's own variable."""
REPLY_MAX_CHARACTERS, CALLS_MAX = 4 * 1024 * 1024, 1000
LOOK_S = 2.5
GOOD_MODEL = "qwen3:8b"
UNREADABLE = (ValueError, TypeError, AttributeError, RecursionError)
"""What the client raises over a line that is not what it takes it for."""
T = TypeVar("T")


class _Hearing:
    """What was heard of one reply so far."""

    def __init__(self, model: str = "") -> None:
        self.model = model
        self.begun, self.done = False, ""
        self.texts: list[str] = []
        self.calls: list[ToolCall] = []
        self.size = 0
        self.usage: Usage | None = None


class Ollama:
    """The adapter. Which models can do what is asked of the server once."""

    name = NAME

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._client: ollama.AsyncClient | None = None
        self._known: dict[str, Known] = {}

    async def load(self) -> None:
        if self._client is None:
            await aside(self._connected)

    async def standing(self) -> Standing:
        await self.load()
        try:
            names = await self._guarded(self._names(), _Hearing(), LOOK_S)
        except ProviderFailed as failure:
            there = shutil.which("ollama", path=self._environ.get("PATH")) is not None
            return Standing(
                NAME, False, failure.reason, "ollama serve" if there else "Install Ollama; then: ollama serve"
            )
        if not names:
            return Standing(NAME, False, f"{self._where()} answers but has no model", f"ollama pull {GOOD_MODEL}")
        return Standing(NAME, True, f"{self._where()} answers and has {', '.join(names)}", "")

    async def models(self) -> list[Model]:
        await self.load()
        names = await self._guarded(self._names(), _Hearing(), LOOK_S)
        shown = await asyncio.gather(*(self._shown(name) for name in names))
        return [
            Model(NAME, name, not known.remote, known.context_max_tokens, _output(known), known.tools)
            for name, known in zip(names, shown, strict=True)
            if known is not None and known.talks
        ]

    async def ask(self, prompt: Prompt, heard: Callable[[str], None], limit_s: float) -> Reply:
        hearing = _Hearing(prompt.model)
        await self.load()
        return await self._guarded(self._ask(prompt, heard, hearing), hearing, limit_s)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()  # type: ignore[no-untyped-call]

    async def _ask(self, prompt: Prompt, heard: Callable[[str], None], hearing: _Hearing) -> Reply:
        """A model that refuses to be told of tools is told of them in words."""
        import ollama

        known = await self._shown(prompt.model) or Known(prompt.context_max_tokens, True)
        try:
            return await self._once(prompt, known, heard, hearing)
        except ollama.ResponseError as error:
            if hearing.begun:
                raise
            if known.tools and "does not support tools" in str(error.error):
                known = self._known[prompt.model] = known._replace(tools=False)
                return await self._once(prompt, known, heard, hearing)
            if Refusal(error.status_code if error.status_code > 0 else 400, {}, str(error.error)).too_long:
                return Reply("", (), "context", Usage(), prompt.model)
            raise

    async def _once(self, prompt: Prompt, known: Known, heard: Callable[[str], None], hearing: _Hearing) -> Reply:
        wanted = prompt.tools if prompt.json_schema is None else ()
        by_words = not known.tools
        room = min(prompt.context_max_tokens, known.context_max_tokens)
        thinking: Any = {"low": False}.get(prompt.effort) if not known.in_steps else prompt.effort
        stream = await self._connected().chat(
            prompt.model,
            told(prompt._replace(tools=wanted), by_words),
            tools=None if by_words else [tool_of(tool) for tool in wanted],
            stream=True,
            format=prompt.json_schema,
            think=thinking if known.thinks else None,
            options={
                "num_ctx": room,
                "num_predict": prompt.output_max_tokens,
            },
        )
        async with aclosing(stream) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                _take(piece, hearing, heard)
        return _reply(prompt, wanted if by_words else (), hearing, room)

    async def _names(self) -> list[str]:
        listed = await self._connected().list()
        return sorted(each.model for each in listed.models if each.model)

    async def _shown(self, name: str) -> Known | None:
        """What the server shows of a model; None when it cannot say."""
        if name not in self._known:
            with suppress(ProviderFailed):
                shown = await self._guarded(self._connected().show(name), _Hearing(), LOOK_S)
                self._known[name] = known_of(name, shown, self._context_max_tokens(), self._where())
        return self._known.get(name)

    async def _guarded(self, work: Coroutine[Any, Any, T], hearing: _Hearing, limit_s: float) -> T:
        """Whatever goes wrong in it, told as the treasurer is told it."""
        import httpx
        import ollama

        try:
            async with asyncio.timeout(limit_s):
                return await work
        except TimeoutError:
            how = f"fell silent after {hearing.size} characters" if hearing.begun else "said nothing"
            failure = self._broken("timeout", f"Ollama {how}, and its time is over", hearing)
        except ollama.ResponseError as error:
            failure = self._refused(error, hearing)
        except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout):
            failure = ProviderFailed("help", f"nothing answers at {self._where()}", charged="nothing")
        except (httpx.HTTPError, httpx.InvalidURL, Malformed, *UNREADABLE) as error:
            said = said_in(str(error), self._secrets()) or type(error).__name__
            failure = self._broken("model_error", f"what Ollama sends cannot be used: {said}", hearing)
        # Raised outside of the handlers: the client's errors hold the request, and that may hold a key.
        failure.__context__ = None
        raise failure

    def _refused(self, error: "ollama.ResponseError", hearing: _Hearing) -> ProviderFailed:
        status = error.status_code if error.status_code > 0 else 500
        told_so = failed("Ollama", Refusal(status, {}, str(error.error)), self._secrets())
        if "system memory" in str(error.error):
            return ProviderFailed("help", told_so.reason, charged="nothing")
        if status == 404:
            return ProviderFailed("help", f"{told_so.reason}; type: ollama pull {hearing.model}", charged="nothing")
        charged = self._charged(hearing) if hearing.begun or told_so.charged != "nothing" else told_so.charged
        return ProviderFailed(told_so.failure, told_so.reason, told_so.wait_s, charged)

    def _broken(self, kind: Failure, reason: str, hearing: _Hearing) -> ProviderFailed:
        return ProviderFailed(kind, reason, charged=self._charged(hearing), usage=hearing.usage)

    def _charged(self, hearing: _Hearing) -> Charged:
        if not is_remote(hearing.model, self._where()):
            return "nothing"
        return "usage" if hearing.usage else "unknown"

    def _connected(self) -> "ollama.AsyncClient":
        if self._client is None:
            load_sockets()
            self._client = client_at(self._where(), self._environ.get(KEY, "").strip())
        return self._client

    def _context_max_tokens(self) -> int:
        said = self._environ.get(CONTEXT, "")
        return int(said) if said.isdecimal() and int(said) > 0 else CONTEXT_USUAL_TOKENS

    def _secrets(self) -> tuple[str, ...]:
        return (self._environ.get(KEY, "").strip(),)

    def _where(self) -> str:
        return address_of(self._environ.get(HOST, ""))


def _take(piece: "ollama.ChatResponse", hearing: _Hearing, heard: Callable[[str], None]) -> None:
    hearing.begun = True
    hearing.model = piece.model or hearing.model
    for call in piece.message.tool_calls or ():
        hearing.calls.append(ToolCall(call.function.name, dict(call.function.arguments)))
    if said := piece.message.content:
        hearing.texts.append(said)
        hearing.size += len(said)
        heard(said)
    if hearing.size > REPLY_MAX_CHARACTERS or len(hearing.calls) > CALLS_MAX:
        raise Malformed("it does not end")
    if piece.done:
        hearing.done = piece.done_reason or "stop"
        hearing.usage = Usage(input=max(0, piece.prompt_eval_count or 0), output=max(0, piece.eval_count or 0))


def _reply(prompt: Prompt, by_words: Sequence[ToolSpec], hearing: _Hearing, context_tokens: int) -> Reply:
    if not hearing.done:
        raise Malformed("it ended before the reply did")
    usage, text, calls = hearing.usage or Usage(), "".join(hearing.texts), hearing.calls
    if by_words and not calls:
        text, call = heard_in(text, by_words)
        calls = [call] if call else []
    stop: Stop = "tools" if calls else "end"
    if hearing.done == "length":
        stop = "length" if usage.output >= prompt.output_max_tokens else "context"
    if usage.input >= context_tokens:
        stop = "context"  # it fills the window to the brim: its beginning was left out
    return Reply(text, tuple(calls), stop, usage, hearing.model)


def _output(known: Known) -> int:
    return min(OUTPUT_MAX_TOKENS, known.context_max_tokens // 2)
