"""FastStream on NATS: a step's artifact is fsynced by the server (`sync_interval: always`) before the next one runs."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import nats
import uvloop  # type: ignore[import-not-found, unused-ignore]
from faststream.nats import JStream, NatsBroker  # type: ignore[import-not-found, unused-ignore]
from nats.js.api import AckPolicy, ConsumerConfig

from ops.peers.work import STEPS, WARM_UP, Artifact, Figure, Watch, fresh, report

Waiting = dict[str, asyncio.Future[None]]
Message = dict[str, Any]


@contextmanager
def server() -> Iterator[str]:
    """A nats-server of its own on a free port, with an empty store on the disk that holds this environment."""
    with tempfile.TemporaryDirectory(dir=sys.prefix, ignore_cleanup_errors=True) as folder:
        Path(folder, "conf").write_text(f'jetstream {{ store_dir: "{folder}", sync_interval: always }}')
        program = str(Path(sys.executable).with_name("nats-server"))
        options = ["-a", "127.0.0.1", "-p", "-1", "-c", f"{folder}/conf", "-l", f"{folder}/log"]
        process = subprocess.Popen([program, *options, "--ports_file_dir", folder])
        ports = Path(folder, f"nats-server_{process.pid}.ports")
        try:
            while not (ports.exists() and ports.read_text().endswith("}")):
                if process.poll() is not None:
                    raise RuntimeError(Path(folder, "log").read_text())
                time.sleep(0.01)
            yield json.loads(ports.read_text())["nats"][0]
        finally:
            process.terminate()
            process.wait()


def doing(watch: Watch, step: str) -> Callable[[Message], Coroutine[None, None, Artifact]]:
    async def do(message: Message) -> Artifact:
        return watch.step(message["workflow"], step)

    return do


def chain(broker: Any, watch: Watch, waiting: Waiting, workers: int) -> None:
    """Five subscribers in a line: what one returns is published to the next, stored, and only then acknowledged."""
    stream = JStream(name="WORK", subjects=["work.>"])

    def listen(step: str, workers: int) -> Any:
        config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=1000)
        return broker.subscriber(f"work.{step}", stream=stream, durable=step, config=config, max_workers=workers)

    async def done(message: Message) -> None:
        waiting.pop(message["workflow"]).set_result(None)

    for step, following in pairwise((*STEPS, "done")):
        broker.publisher(f"work.{following}", stream="WORK")(listen(step, workers)(doing(watch, step)))
    listen("done", 1)(done)


async def drive(broker: Any, waiting: Waiting, workflows: Sequence[str], at_once: int) -> None:
    """Start the workflows so that this many are under way until none is left."""
    left = iter(workflows)

    async def pull() -> None:
        for workflow in left:
            waiting[workflow] = asyncio.get_running_loop().create_future()
            ended = waiting[workflow]
            await broker.publish({"workflow": workflow}, f"work.{STEPS[0]}", stream="WORK")
            await ended

    await asyncio.gather(*(pull() for _ in range(at_once)))


async def stored(url: str) -> int:
    connection = await nats.connect(url)
    state = (await connection.jetstream().stream_info("WORK")).state
    await connection.close()
    return state.messages


async def run(url: str, at_once: int, count: int) -> Figure:
    watch, waiting = Watch(), Waiting()
    workflows, warm_up = fresh(count), fresh(max(at_once, WARM_UP))
    broker = NatsBroker(url, logger=None)
    # Eight workers a step are this peer's best at 100 (3,540 steps/s; one does 2,230, four 3,260), and no worse at 10.
    chain(broker, watch, waiting, workers=min(at_once, 8))
    async with broker:
        await broker.start()
        await drive(broker, waiting, warm_up, at_once)
        began = time.perf_counter()
        await drive(broker, waiting, workflows, at_once)
        wall_s = time.perf_counter() - began
        kept, due = await stored(url), (1 + len(STEPS)) * (count + len(warm_up))
        if kept != due:
            raise RuntimeError(f"the stream holds {kept} messages, not {due}")
    return watch.figure("faststream", at_once, workflows, wall_s)


def measure(at_once: int, count: int) -> Figure:
    with server() as url:
        figure: Figure = uvloop.run(run(url, at_once, count))
        return figure


if __name__ == "__main__":
    report(measure)
