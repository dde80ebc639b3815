"""Whatever thinks, on the loop's side: providers are asked here, and a script thinks as long as its file says."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import structlog

from actors.decider import Done, Effect, Progress
from actors.redaction import Redactor, Stream
from actors.treasurer.asking import (
    Asking,
    Bought,
    Failed,
    Model,
    Provider,
    ProviderFailed,
    Reply,
    SettleSoon,
    Standing,
    Survey,
    Surveyed,
)
from actors.treasurer.decide import Asked
from actors.treasurer.prices import load_list

SURVEY = "survey"
SURVEY_S = 3.0
"""A provider that has not said by then whether it can be used cannot be used now."""
ALOUD_LAST_S = 0.01
"""The last words follow when the reply is on its way to the log: it waits for nothing, and nobody waits for them."""
SETTLE_S = 0.1
"""Money that was not needed goes back in one commit with the next reservation, or with that of other calls."""
ALOUD_CHARS = 120
"""To look for secrets letter by letter would cost more than the whole rest of a call."""


class Minds:
    """Calls run side by side, each in a task of its own."""

    def __init__(
        self,
        providers: Callable[[], Sequence[Provider]] | None,
        publish: Callable[[str, bytes], None],
        redactor: Redactor | None = None,
        when: Callable[[], Coroutine[Any, Any, object]] | None = None,
    ) -> None:
        """Without providers only scripts think. They are looked for after `when`: loading them takes its time."""
        self._redactor = redactor or Redactor({})
        self._load, self._when = providers, when
        self._providers: dict[str, Provider] = {}
        self._publish = publish
        self._tell: Callable[[Progress | Done], None] = lambda _: None
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger().bind(actor="treasurer")

    async def open(self, tell: Callable[[Progress | Done], None]) -> None:
        """Who can be asked is told when it is known: somebody who does not answer holds nobody up."""
        self._tell = tell
        if self._load:
            self._start(SURVEY, self._survey)

    async def close(self) -> None:
        """What is under way is given up; nobody will know what it came to."""
        self._tell = lambda _: None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for provider in self._providers.values():
            await provider.close()

    def perform(self, effect: Effect) -> None:
        match effect.what:
            case Asked() as asked:
                self._start(effect.key, partial(_after, asked.said.delay_s, asked))
            case Survey():
                self._start(effect.key, self._survey)
            case SettleSoon() as soon:
                self._start(effect.key, partial(_after, SETTLE_S, soon))
            case Asking() as asking:
                self._start(effect.key, partial(self._ask, asking))

    def _start(self, key: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        async def run() -> None:
            self._tell(Done(key, await work()))

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _survey(self) -> Surveyed:
        if self._when:
            await self._when()
        if self._load and not self._providers:
            loaded = await asyncio.to_thread(self._load)
            self._providers = {provider.name: provider for provider in loaded}
        looks = await asyncio.gather(*(self._look_at(provider) for provider in self._providers.values()))
        found = [model for _, models in looks for model in models]
        if not all(model.local for model in found):
            await asyncio.to_thread(load_list)  # or the first purchase would hold everybody up for it
        return Surveyed(found, [standing for standing, _ in looks])

    async def _look_at(self, provider: Provider) -> tuple[Standing, list[Model]]:
        try:
            await provider.load()
            async with asyncio.timeout(SURVEY_S):
                standing = await provider.standing()
                return standing, await provider.models() if standing.usable else []
        except TimeoutError:
            return Standing(provider.name, False, f"no answer within {SURVEY_S:g} s"), []
        except ProviderFailed as failed:
            return Standing(provider.name, False, failed.reason), []
        except Exception as error:
            self._log.error("an adapter failed", provider=provider.name, exc_info=error)
            return Standing(provider.name, False, f"its adapter failed: {type(error).__name__}"), []

    async def _ask(self, asking: Asking) -> Bought:
        began = time.perf_counter()
        aloud = _Aloud(partial(self._publish, asking.topic), self._redactor.stream())
        outcome: Reply | Failed
        try:
            provider = self._providers[asking.provider]
            heard = aloud.hear if asking.topic else _deaf
            outcome = await provider.ask(asking.prompt, heard, asking.limit_s)
        except ProviderFailed as failed:
            outcome = Failed(failed.failure, failed.reason, failed.wait_s, failed.charged, failed.usage)
        except Exception as error:
            self._log.error("an adapter failed", provider=asking.provider, exc_info=error)
            outcome = Failed("model_error", f"{type(error).__name__} in the adapter", 0, "unknown", None)
        finally:
            asyncio.get_running_loop().call_later(ALOUD_LAST_S, aloud.close)
        return Bought(outcome, round((time.perf_counter() - began) * 1000, 3))


class _Aloud:
    """What a model says while it says it, for whoever listens: a few words at a time, and without secrets."""

    def __init__(self, say: Callable[[bytes], None], stream: Stream) -> None:
        self._say, self._stream, self._words = say, stream, ""

    def hear(self, text: str) -> None:
        self._words += text
        if len(self._words) >= ALOUD_CHARS:
            self._tell(self._stream.feed(self._words.encode("utf-8", "replace")))
            self._words = ""

    def close(self) -> None:
        self._tell(self._stream.close(self._words.encode("utf-8", "replace")))

    def _tell(self, said: bytes) -> None:
        if said:
            self._say(said)


def _deaf(text: str) -> None:
    """Nobody listens."""


async def _after(seconds: float, then: Any) -> Any:
    await asyncio.sleep(seconds)
    return then
