"""Pipelines of five no-op phases with 1 KB artifacts, every phase on the log before the next begins."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from actors.orchestrator.slots import SUBJECT as SLOTS
from bus.envelope import Draft, Record
from bus.ids import fresh_id
from cli.app import App
from cli.config import Settings
from ops.bench.daemon import cpu_s
from ops.bench.ground import BENCH, Lab
from ops.bench.rows import Row, at_most, percentile
from ops.bench.story import PHASES
from ops.bench.walk import Figures, walked

COUNTS = {1: 400, 10: 1_500, 100: 5_000}
"""So many at once: so many in all."""
GOALS_PER_S = {10: 1_800, 100: 5_000}
GOALS_P99_MS = {10: 12.0, 100: 30.0}
GOAL_P50_MS = 2.0
WALKED_PER_S = {1: 900, 10: 1_725, 100: 6_950}
"""What the walk did on the machine where the goals were set: 6,600 to 7,300 at 100, 1,600 to 1,850 at 10."""


def rows(lab: Lab) -> Iterator[Row]:
    for at_once, count in COUNTS.items():
        walk = walked(lab, at_once, lab.scaled(count // 2, 2 * at_once))
        ours = run(lab.fresh(f"pipelines-{at_once}"), at_once, lab.scaled(count, 2 * at_once))
        if lab.json_lines:
            print(json.dumps(ours._asdict()), flush=True)
        yield from _rows(ours, walk)
    alone = run(lab.fresh("pipelines-alone"), at_once, lab.scaled(count // 3, 2 * at_once), projections=False)
    name = f"pipelines_{at_once}_without_tables_steps_per_s"
    yield Row(name, alone.steps_per_s, "steps/s", ours.steps_per_s, "the same with the projector running beside them")


def _rows(ours: Figures, walk: Figures) -> Iterator[Row]:
    at_once, name = ours.at_once, f"pipelines_{ours.at_once}"
    way = f"the walk: the same three commits and nothing else, {at_once} at once"
    yield Row(f"{name}_steps_per_s", ours.steps_per_s, "steps/s", walk.steps_per_s, way, GOALS_PER_S.get(at_once))
    if at_once in GOALS_PER_S:
        there = WALKED_PER_S[at_once]
        share, enough = ours.steps_per_s / walk.steps_per_s, round(GOALS_PER_S[at_once] / there, 2)
        yield Row(
            f"{name}_to_walk", share, "times", enough, f"the goal to the {there:,} of the walk where it was set", enough
        )
    for peer, per_s in _peers(at_once).items():
        beside = f"{peer}, as .bench/peers.json has it"
        yield Row(f"{name}_beside_{peer}", ours.steps_per_s, "steps/s", per_s, beside)
    p50 = Row(f"{name}_p50_ms", ours.handoff_p50_ms, "ms", walk.handoff_p50_ms, f"{way}, p50")
    yield p50 if at_once > 1 else at_most(*p50[:5], goal=GOAL_P50_MS)
    p99 = Row(f"{name}_p99_ms", ours.handoff_p99_ms, "ms", walk.handoff_p99_ms, f"{way}, p99")
    yield p99 if at_once == 1 else at_most(*p99[:5], goal=GOALS_P99_MS[at_once])
    yield Row(f"{name}_cpu_ms_per_step", ours.cpu_ms_per_step, "ms", walk.cpu_ms_per_step, f"{way}; Python alone")


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
