"""One contract for the log in memory and the log on JetStream."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.jetstream import JetStreamLog
from bus.log import Log, MemoryLog
from bus.server import Server
from tests.bus_contract import STORIES, WRITERS, Story, a_race_has_one_winner_a_version, random_writers
from tests.bus_ground import a_connection, a_server, draft

Place = Callable[[Path], AbstractAsyncContextManager[list[Log]]]


@asynccontextmanager
async def in_memory(_: Path) -> AsyncIterator[list[Log]]:
    yield [MemoryLog()] * WRITERS


@asynccontextmanager
async def on_jetstream(folder: Path) -> AsyncIterator[list[Log]]:
    async with a_server(folder) as server, writers_on(server) as logs:
        yield logs


@asynccontextmanager
async def writers_on(server: Server) -> AsyncIterator[list[Log]]:
    """Three writers that share nothing but the server."""
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(a_connection(server.url)) for _ in range(WRITERS)]
        yield [JetStreamLog(each, staging=server.staging) for each in connections]


async def happens(story: Story, place: Place, folder: Path) -> None:
    async with place(folder) as logs, asyncio.timeout(60):
        await story(logs)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
@pytest.mark.parametrize("place", [in_memory, on_jetstream], ids=lambda place: place.__name__)
def test_every_log_keeps_the_contract(place: Place, story: Story, tmp_path: Path) -> None:
    asyncio.run(happens(story, place, tmp_path))


@pytest.mark.parametrize(
    ("place", "examples"), [(in_memory, 200), (on_jetstream, 8)], ids=["in_memory", "on_jetstream"]
)
def test_random_writers_leave_one_gap_free_history_for_each_entity(
    place: Place, examples: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32))
    def law(seed: int) -> None:
        async def story(logs: list[Log]) -> None:
            await random_writers(logs, seed)

        asyncio.run(happens(story, place, tmp_path_factory.mktemp("log")))

    law()


class _Careless(MemoryLog):
    """A planted fault: the guard is not looked at."""

    def append_now(self, drafts: object) -> list[int]:
        return super().append_now([replace(each, expect=None) for each in drafts])  # type: ignore[attr-defined]


def test_a_log_that_ignores_the_guard_is_found_out() -> None:
    with pytest.raises(AssertionError):
        asyncio.run(a_race_has_one_winner_a_version([_Careless()] * WRITERS))
    with pytest.raises(AssertionError):
        asyncio.run(random_writers([_Careless()] * WRITERS, 3))


def test_a_draft_carries_its_id_where_a_commit_does() -> None:
    each = draft("evt.task.a", 0, text="x" * 100)
    assert each.id.encode() in each.body[:64]
