"""The log's contract on a nats-server in a container: a server that Witan has not brought with it."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from bus import topology
from bus.jetstream import JetStreamLog
from bus.log import Log
from tests.bus_contract import STORIES, WRITERS, Story
from tests.bus_ground import a_connection

pytestmark = pytest.mark.docker

IMAGE = "nats:2.12-alpine"


def an_engine_runs() -> bool:
    where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not where.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(where.removeprefix("unix://"))
        except OSError:
            return False
    return True


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if not an_engine_runs():
        pytest.skip("NOT SHOWN HERE: no container engine runs")
    containers = pytest.importorskip("testcontainers.core.container", reason="NOT SHOWN HERE: no testcontainers")
    ready = pytest.importorskip("testcontainers.core.wait_strategies")
    container = containers.DockerContainer(IMAGE).with_command("-js").with_exposed_ports(4222)
    container.waiting_for(ready.LogMessageWaitStrategy("Server is ready")).start()
    try:
        yield f"nats://{container.get_container_host_ip()}:{container.get_exposed_port(4222)}"
    finally:
        container.stop()


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_server_in_a_container_keeps_the_contract(url: str, story: Story) -> None:
    async def telling() -> None:
        async with AsyncExitStack() as stack:
            connections = [await stack.enter_async_context(a_connection(url)) for _ in range(WRITERS)]
            await connections[0].request("$JS.API.STREAM.DELETE.EVENTS")
            await topology.ensure(connections[0])
            logs: list[Log] = [JetStreamLog(connection) for connection in connections]
            async with asyncio.timeout(60):
                await story(logs)

    asyncio.run(telling())
