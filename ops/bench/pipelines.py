"""Pipelines of five no-op phases with 1 KB artifacts, every phase on the log before the next begins."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from actors.orchestrator.slots import SUBJECT as SLOTS
from bus.envelope import Draft, Record
from bus.ids import fresh_id
from cli.app import App
from cli.config import Settings
from ops.bench.daemon import cpu_s
from ops.bench.ground import BENCH, Ground, Lab, ground, taken
from ops.bench.rows import Row, at_most, percentile
from ops.bench.story import PHASES

COUNTS = {1: 400, 10: 1_500, 100: 5_000}
"""So many at once: so many in all."""
BARE_STEPS = 5_000
GOALS_PER_S = {10: 1_800, 100: 5_000}
GOALS_P99_MS = {10: 12.0, 100: 30.0}
GOAL_P50_MS = 2.0


class Figures(NamedTuple):
    """What one width came to."""

    at_once: int
    steps_per_s: float
    handoff_p50_ms: float
    handoff_p99_ms: float
    cpu_ms_per_step: float


def rows(lab: Lab) -> Iterator[Row]:
    for at_once, count in COUNTS.items():
        walk = bare(lab, at_once)
        ours = run(lab.fresh(f"pipelines-{at_once}"), at_once, lab.scaled(count, 2 * at_once))
        if lab.json_lines:
            print(json.dumps(ours._asdict()), flush=True)
        yield from _rows(ours, walk)
    alone = run(lab.fresh("pipelines-alone"), at_once, lab.scaled(count // 3, 2 * at_once), projections=False)
    name = f"pipelines_{at_once}_without_tables_steps_per_s"
    yield Row(name, alone.steps_per_s, "steps/s", ours.steps_per_s, "the same with the projector running beside them")


def _rows(ours: Figures, bare: dict[str, float]) -> Iterator[Row]:
    at_once, name = ours.at_once, f"pipelines_{ours.at_once}"
    loop = f"a bare loop, three guarded appends a step, {at_once} at once"
    rate = Row(f"{name}_steps_per_s", ours.steps_per_s, "steps/s", bare["per_s"], loop, GOALS_PER_S.get(at_once))
    yield rate
    for peer, per_s in _peers(at_once).items():
        beside = f"{peer}, as .bench/peers.json has it"
        yield rate._replace(name=f"{name}_beside_{peer}", baseline=per_s, against=beside, goal=None)
    p50 = Row(f"{name}_p50_ms", ours.handoff_p50_ms, "ms", bare["p50_ms"], f"{loop}, p50")
    yield p50 if at_once > 1 else at_most(*p50[:5], goal=GOAL_P50_MS)
    p99 = Row(f"{name}_p99_ms", ours.handoff_p99_ms, "ms", bare["p99_ms"], f"{loop}, p99")
    yield p99 if at_once == 1 else at_most(*p99[:5], goal=GOALS_P99_MS[at_once])
    yield Row(f"{name}_cpu_ms_per_step", ours.cpu_ms_per_step, "ms", bare["cpu_ms"], f"{loop}; Python alone")


def _peers(at_once: int) -> dict[str, float]:
    """What the peers reached at this width when they were run last."""
    try:
        medians = json.loads((BENCH / "peers.json").read_text())["medians"]
    except (FileNotFoundError, ValueError, KeyError):
        return {}
    return {
        each["system"]: each["steps_per_s"]
        for each in medians
        if each["at_once"] == at_once and each["system"] != "witan"
    }


def run(folder: Path, at_once: int, count: int, projections: bool = True) -> Figures:
    """So many pipelines in all, so many of them at once."""
    settings = Settings(
        state_dir=folder,
        script="instant",
        pipelines=at_once,
        agents=dict.fromkeys(PHASES.values(), at_once),
        log_level="error",
    )
    app = App(settings, projections=projections).open()
    try:
        return app.bridge.run(_Drive(app, at_once, count).measure(), timeout_s=300)
    finally:
        app.close()


class _Drive:
    """For each that ends another is submitted, so that so many run and as many wait to be admitted.

    Times are taken where the agents' commits go to the log, from when as many have ended as run at once: each of
    hundreds of agents is asked for the first time before that, which is not what is measured.
    """

    def __init__(self, app: App, at_once: int, count: int) -> None:
        self._app, self._at_once, self._count = app, at_once, count
        self._ended: dict[str, float] = {}
        self._handoffs_s: list[float] = []
        self._steps = self._submitted = self._done = 0
        self._warm, self._finished = asyncio.Event(), asyncio.Event()
        self._submit = app.log.submit

    async def measure(self) -> Figures:
        app = self._app
        await self._all_agents()
        app.log.submit = self._timed  # type: ignore[method-assign]
        self._follower = await app.log.follow([SLOTS], await app.log.head(), self._seen, 20_000)
        self._start(2 * self._at_once)
        async with asyncio.timeout(240):
            await self._warm.wait()
            began, cpu = time.perf_counter(), self._cpu_s()
            self._steps = 0
            self._handoffs_s.clear()
            await self._finished.wait()
        wall_s, used_s = time.perf_counter() - began, self._cpu_s() - cpu
        await self._follower.close()
        p50, p99 = (percentile(self._handoffs_s, part) * 1000 for part in (0.5, 0.99))
        return Figures(self._at_once, self._steps / wall_s, p50, p99, used_s / self._steps * 1000)

    def _cpu_s(self) -> float:
        """What both Python processes have used."""
        tables = self._app.tables_pid
        return time.process_time() + (cpu_s(tables) if tables else 0.0)

    async def _all_agents(self) -> None:
        """Hundreds of agents register in the first moments; that is not what is measured."""
        left = len(PHASES) * self._at_once
        there = asyncio.Event()

        def seen(batch: list[Record], _: int) -> None:
            nonlocal left
            left -= sum(record.body.count(b'"AgentJoined"') for record in batch)
            follower.done(len(batch))
            if left <= 0:
                there.set()

        follower = await self._app.log.follow(["evt.agent.roster"], 0, seen)
        await asyncio.wait_for(there.wait(), 60)
        await follower.close()

    def _start(self, number: int) -> None:
        for _ in range(min(number, self._count - self._submitted)):
            self._submitted += 1
            block = f"NATS/1.0\r\nNats-Msg-Id: {fresh_id()}\r\n\r\n".encode()
            self._app.connection.publish(b"cmd.orchestrator.submit_task", b'{"task":"measure"}', b"", block)

    def _seen(self, batch: list[Record], _: int) -> None:
        done = sum(record.body.count(b'"PipelineReleased"') for record in batch)
        self._follower.done(len(batch))
        self._done += done
        self._start(done)
        if self._done >= self._at_once:
            self._warm.set()
        if self._done == self._count:
            self._finished.set()

    def _timed(self, drafts: Sequence[Draft]) -> asyncio.Future[list[int]]:
        now = time.perf_counter()
        for draft in drafts:
            if draft.subject.startswith("evt.run."):
                self._steps += 1
                task = draft.subject.rsplit(".", 1)[1].rsplit("-", 1)[0]
                if task in self._ended:
                    self._handoffs_s.append(now - self._ended[task])
                self._ended[task] = now
        return self._submit(drafts)


def bare(lab: Lab, at_once: int) -> dict[str, float]:
    """The same commits one after the other and nothing else; so many walkers at once."""
    with ground(lab.fresh(f"bare-{at_once}-{fresh_id()}")) as here:
        return here.bridge.run(_bare_loop(here, at_once, lab.scaled(BARE_STEPS, 10 * at_once)), timeout_s=120)


async def _bare_loop(here: Ground, at_once: int, steps: int) -> dict[str, float]:
    """What three commits a step cost nobody less than: each is guarded, and on the disk before the next.

    From one run to the next lie two of them: the task's, and the agent's.
    """
    handoffs_s: list[float] = []
    appends_s: list[float] = []

    async def append(subject: bytes, place: int, size: int) -> int:
        began = time.perf_counter()
        block = b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: %d\r\n\r\n" % place
        told = await taken(here.connection.ask(subject, b"x" * size, block))
        appends_s.append(time.perf_counter() - began)
        return int(json.loads(told)["seq"])

    async def walk(name: bytes) -> None:
        task = agent = 0
        for step in range(steps // at_once):
            began = time.perf_counter()
            task = await append(b"evt.task.bare-" + name, task, 500)
            agent = await append(b"evt.agent.bare-" + name, agent, 400)
            handoffs_s.append(time.perf_counter() - began)
            await append(b"evt.run.bare-%b.%d" % (name, step), 0, 1500)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(walk(b"%d" % number) for number in range(at_once)))
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    p50, p99 = (percentile(handoffs_s, part) * 1000 for part in (0.5, 0.99))
    count, append_ms = len(handoffs_s), percentile(appends_s, 0.5) * 1000
    cpu_ms = cpu_s / count * 1000
    return {"per_s": count / wall_s, "p50_ms": p50, "p99_ms": p99, "cpu_ms": cpu_ms, "append_p50_ms": append_ms}
