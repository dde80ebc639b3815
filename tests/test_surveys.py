"""Who can be asked is found out after the start and beside it: no package of a provider is loaded on the loop."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.decider import Done, Effect
from actors.treasurer import minds
from actors.treasurer.asking import Asking, Model, Prompt, Provider, ProviderFailed, Reply, Standing, Surveyed
from actors.treasurer.minds import Minds
from bus.messages.call import Usage

PROMPT = Prompt("m", "", (), (), 100, 1000)
LOOK = """
import asyncio, concurrent.futures.thread, sys, threading
from functools import partial
from actors.decider import Effect
from actors.treasurer.asking import Asking, Prompt, Text, Turn
from actors.treasurer.minds import Minds
from actors.treasurer.providers.all import providers
from tests.fake_anthropic import KEY, FakeAnthropic
from tests.fake_ollama import FakeOllama
from tests.fake_openai import FakeOpenAI

class Finder:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            on_loop.append(name)

async def main():
    heard = asyncio.Queue()
    mind = Minds(partial(providers, environ), lambda *_: None)
    sys.meta_path.insert(0, Finder())
    await mind.open(heard.put_nowait)
    found = (await heard.get()).told
    usable = {each.provider for each in found.standings if each.usable}
    assert usable == {"anthropic", "ollama", "openai"}, found.standings
    for name in sorted(usable):
        model = next(each.name for each in found.models if each.provider == name)
        prompt = Prompt(model, "be brief", (Turn("user", (Text("hello"),)),), (), 100, 8000)
        mind.perform(Effect(name, Asking(name, prompt, 20, "")))
        print(name, type((await heard.get()).told.outcome).__name__)
    await mind.close()

on_loop = []
with FakeAnthropic() as claude, FakeOllama() as llama, FakeOpenAI() as gpt:
    environ = {
        "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": claude.url, "OLLAMA_HOST": llama.url,
        "OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": f"{gpt.url}/v1", "PATH": "",
    }
    asyncio.run(main())
print(*on_loop)
"""


class Somebody:
    """A provider that is loaded when it is let."""

    name = "somebody"

    def __init__(self, local: bool = True) -> None:
        self.loads, self.local = asyncio.Event(), local
        self.fails: Exception | None = None

    async def load(self) -> None:
        await self.loads.wait()

    async def standing(self) -> Standing:
        if self.fails:
            raise self.fails
        return Standing(self.name, True, "here")

    async def models(self) -> list[Model]:
        return [Model(self.name, "m", self.local, 1000, 100)]

    async def ask(self, prompt: Prompt, heard: Callable[[str], None], limit_s: float) -> Reply:
        return Reply("yes", (), "end", Usage(), "m")

    async def close(self) -> None: ...


async def opened(who: Provider, when: Callable[[], Any] | None = None) -> tuple[Minds, "asyncio.Queue[Any]"]:
    heard: asyncio.Queue[Any] = asyncio.Queue()
    mind = Minds(lambda: [who], lambda *_: None, when=when)
    await mind.open(heard.put_nowait)
    return mind, heard


def test_no_package_of_a_provider_is_loaded_on_the_loop_by_a_survey_or_a_request() -> None:
    words = [sys.executable, "-c", LOOK]
    looked = subprocess.run(words, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=60)
    assert looked.returncode == 0, looked.stderr
    *asked, on_loop = looked.stdout.split("\n")[:-1]
    assert asked == ["anthropic Reply", "ollama Reply", "openai Reply"]
    assert on_loop == ""


def test_the_survey_begins_when_everything_else_is_ready() -> None:
    async def play() -> None:
        who, ready = Somebody(), asyncio.Event()
        loaded: list[str] = []

        async def load() -> None:
            loaded.append("at work" if ready.is_set() else "too early")

        who.load = load  # type: ignore[method-assign]
        mind, heard = await opened(who, ready.wait)
        for _ in range(10):
            await asyncio.sleep(0)
        ready.set()
        assert isinstance((await heard.get()).told, Surveyed)
        assert loaded == ["at work"]
        await mind.close()

    asyncio.run(play())


@pytest.mark.parametrize("local", [True, False])
def test_the_price_list_is_read_beside_the_loop_before_anything_can_be_bought(
    monkeypatch: pytest.MonkeyPatch, local: bool
) -> None:
    read_on: list[threading.Thread] = []
    monkeypatch.setattr(minds, "load_list", lambda: read_on.append(threading.current_thread()))

    async def play() -> None:
        who = Somebody(local)
        who.loads.set()
        mind, heard = await opened(who)
        assert [model.local for model in (await heard.get()).told.models] == [local]
        assert [thread is threading.current_thread() for thread in read_on] == ([] if local else [False])
        await mind.close()

    asyncio.run(play())


def test_what_loading_takes_does_not_count_against_the_time_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minds, "SURVEY_S", 0.05)

    async def play() -> None:
        who = Somebody()
        mind, heard = await opened(who)
        asyncio.get_running_loop().call_later(0.2, who.loads.set)
        found = (await heard.get()).told
        assert [each.usable for each in found.standings] == [True] and len(found.models) == 1
        mind.perform(Effect("k", Asking(who.name, PROMPT, 20, "")))
        done: Done = await heard.get()
        assert (done.key, done.told.outcome.text) == ("k", "yes")
        await mind.close()

    asyncio.run(play())


def test_an_adapter_that_fails_is_told_as_one_that_cannot_be_used() -> None:
    async def play(error: Exception) -> str:
        who = Somebody()
        who.loads.set()
        who.fails = error
        mind, heard = await opened(who)
        (standing,) = (await heard.get()).told.standings
        await mind.close()
        assert not standing.usable
        return str(standing.why)

    assert asyncio.run(play(ValueError("odd"))) == "its adapter failed: ValueError"
    assert asyncio.run(play(ProviderFailed("help", "no"))) == "no"


def test_minds_that_are_closed_before_everything_is_ready_ask_nobody() -> None:
    async def play() -> None:
        who, never = Somebody(), asyncio.Event()
        mind, heard = await opened(who, never.wait)
        await mind.close()
        assert heard.empty()

    asyncio.run(play())
