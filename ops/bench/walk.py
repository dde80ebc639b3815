"""The way of a phase by the fewest lines: the same three commits a step, and nobody who decides, checks or remembers.

Two readers with a thread for each, guards, one group of commits at a time, each on the disk before what follows from
it; on a stream and with batches as a server makes them that nobody has set up. The goals of the pipelines were set by
such a prototype on another machine: what the walk does here says how fast this one is.
"""

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import pykka
from msgspec.structs import replace

from bus import topology
from bus.envelope import Draft
from bus.follow import Letter, WorkQueue
from bus.ids import fresh_id
from ops.bench.ground import Ground, Lab, ground, send_batch, taken
from ops.bench.rows import percentile
from ops.bench.story import PHASES

BATCH_FROM, BATCH_MAX = 24, 400
ARTIFACT = "x" * 900


class _Said(msgspec.Struct):
    flow: str


_flow = msgspec.json.Decoder(_Said).decode


class Figures(NamedTuple):
    """What one width came to."""

    at_once: int
    steps_per_s: float
    handoff_p50_ms: float
    handoff_p99_ms: float
    cpu_ms_per_step: float


def walked(lab: Lab, at_once: int, count: int) -> Figures:
    """So many pipelines in all, so many of them at once."""
    with ground(lab.fresh(f"walk-{at_once}-{fresh_id()}")) as here:
        here.server.staging.end()
        plain = {key: value for key, value in topology.streams()["EVENTS"].items() if key != "compression"}
        told = here.bridge.run(here.connection.request("$JS.API.STREAM.UPDATE.EVENTS", json.dumps(plain).encode()))
        if json.loads(told.body)["config"].get("compression", "none") != "none":
            raise RuntimeError(f"the stream is not plain: {told.body.decode()}")
        return here.bridge.run(_Walk(here, at_once, count).measure(), timeout_s=120)


class _Actor(pykka.ThreadingActor):
    """Decides in a thread of its own; what it says is posted to the loop once for each batch."""

    use_daemon_thread = True

    def __init__(self, decide: Callable[[Letter], Iterable[Draft]], post: Callable[..., None]) -> None:
        super().__init__()
        self._decide, self._post = decide, post

    def on_receive(self, message: tuple[WorkQueue, list[Letter]]) -> None:
        queue, batch = message
        done = [(queue, letter) for letter in batch]
        self._post(done, [draft for letter in batch for draft in self._decide(letter)])


class _Walk:
    def __init__(self, here: Ground, at_once: int, count: int) -> None:
        self._here, self._at_once, self._count = here, at_once, count
        self._loop = here.bridge.loop
        self._waiting: deque[Draft] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._done: list[tuple[WorkQueue, Letter]] = []
        self._places: dict[str, int] = {}
        self._numbers = itertools.count()
        self._steps: dict[str, int] = {}
        self._ended: dict[str, float] = {}
        self._handoffs_s: list[float] = []
        self._over = asyncio.Event()

    async def measure(self) -> Figures:
        queues = [await self._read(kind, way) for kind, way in (("run.*.*", self._ran), ("agent.*", self._work))]
        began, cpu = time.perf_counter(), time.process_time()
        for number in range(self._at_once):
            self._add([], list(self._begin(f"a{number}")))
        await self._over.wait()
        wall_s, cpu_s, steps = time.perf_counter() - began, time.process_time() - cpu, self._count * len(PHASES)
        if self._writer is not None:
            await self._writer
        for queue, actor in queues:
            await queue.close()
            actor.stop(block=False)
        p50, p99 = (percentile(self._handoffs_s, part) * 1000 for part in (0.5, 0.99))
        return Figures(self._at_once, steps / wall_s, p50, p99, cpu_s / steps * 1000)

    async def _read(self, pattern: str, way: Callable[[Letter], Iterable[Draft]]) -> tuple[WorkQueue, Any]:
        actor = _Actor.start(way, lambda *told: self._loop.call_soon_threadsafe(self._add, *told))
        name = f"walk-{pattern.split('.')[0]}"
        patterns = [f"evt.{pattern}"]
        queue = WorkQueue(self._here.connection, "EVENTS", name, patterns, lambda batch, _: actor.tell((queue, batch)))
        await queue.open()
        return queue, actor

    def _begin(self, agent: str) -> Iterator[Draft]:
        number = next(self._numbers)
        if number < self._count:
            self._steps[task := f"t{number}"] = 0
            yield _draft(f"evt.task.{task}", "TaskSubmitted", task)
            yield _draft(f"evt.agent.{agent}", "WorkAssigned", task)

    def _work(self, letter: Letter) -> Iterator[Draft]:
        task, now = _flow(letter.body).flow, time.perf_counter()
        if task in self._ended:
            self._handoffs_s.append(now - self._ended[task])
        self._ended[task] = now
        yield _draft(f"evt.run.{letter.subject.split('.')[2]}.{fresh_id()}", "RunFinished", task, ARTIFACT)

    def _ran(self, letter: Letter) -> Iterator[Draft]:
        task, agent = _flow(letter.body).flow, letter.subject.split(".")[2]
        self._steps[task] += 1
        yield _draft(f"evt.task.{task}", "PhaseCompleted", task)
        if self._steps[task] < len(PHASES):
            yield _draft(f"evt.agent.{agent}", "WorkAssigned", task)
            return
        del self._steps[task]
        yield from self._begin(agent)
        if not self._steps:
            self._loop.call_soon_threadsafe(self._over.set)

    def _add(self, done: list[tuple[WorkQueue, Letter]], drafts: list[Draft]) -> None:
        self._waiting += drafts
        self._done += done
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._waiting:
            done, self._done = self._done, []
            await self._append([self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))])
            for queue, letter in done:
                queue.ack(letter)

    async def _append(self, drafts: list[Draft]) -> None:
        """Guarded; one batch, or all of them at once. An entity comes once at a time, for it waits for its answer."""
        guarded = [replace(draft, expect=self._places.get(draft.subject, 0)) for draft in drafts]
        if len(drafts) >= BATCH_FROM:
            last = json.loads(await taken(send_batch(self._here.connection, fresh_id(), guarded)))["seq"]
            places = list(range(last - len(drafts) + 1, last + 1))
        else:
            block = b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: %d\r\n\r\n"
            ask = self._here.connection.ask
            asked = [ask(draft.subject.encode(), draft.body, block % (draft.expect or 0)) for draft in guarded]
            places = [json.loads(await taken(each))["seq"] for each in asked]
        self._places.update(zip((draft.subject for draft in drafts), places, strict=True))


def _draft(subject: str, what: str, flow: str, artifact: str = "") -> Draft:
    events = [{"type": what, "phase": "implement", "artifact": artifact}]
    body = {"id": fresh_id(), "by": "walk", "flow": flow, "cause": fresh_id(), "v": 1, "events": events}
    return Draft(subject, msgspec.json.encode(body), "", None)
