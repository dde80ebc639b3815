"""Asks all providers at once how they stand and what they have; who does not answer in time is told as silent."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Thread
from typing import Any, NamedTuple

from actors.treasurer.asking import Model, Provider, ProviderFailed, Standing

CLOSE_S = 0.2


class Found(NamedTuple):
    """One provider: how it stands, and its models if they were asked for."""

    standing: Standing
    models: list[Model]


def survey(providers: Sequence[Provider], limit_s: float, with_models: bool = False) -> list[Found]:
    """All of them side by side, in the order that they were given."""

    async def work() -> list[Found]:
        asyncio.get_running_loop().set_default_executor(_Loose())
        found = await asyncio.gather(*(_look_at(each, limit_s, with_models) for each in providers))
        await asyncio.gather(*(_let_go(each) for each in providers))
        return found

    return asyncio.run(work())


async def _look_at(provider: Provider, limit_s: float, with_models: bool) -> Found:
    standing = Standing(provider.name, False, f"no answer within {limit_s:g} s", "Check the address and the network.")
    try:
        await provider.load()
        async with asyncio.timeout(limit_s):
            standing = await provider.standing()
            return Found(standing, await provider.models() if with_models and standing.usable else [])
    except TimeoutError:
        silent = f"its models did not come within {limit_s:g} s"
        return Found(standing._replace(usable=False, why=silent) if standing.usable else standing, [])
    except ProviderFailed as failed:
        return Found(Standing(provider.name, False, failed.reason), [])
    except Exception as error:
        return Found(Standing(provider.name, False, f"its adapter failed: {type(error).__name__}"), [])


async def _let_go(provider: Provider) -> None:
    with suppress(Exception):
        async with asyncio.timeout(CLOSE_S):
            await provider.close()


class _Loose(ThreadPoolExecutor):
    """Its threads are not waited for: a name server that does not answer would hold the program's end."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        Thread(target=run, daemon=True).start()
        return future
