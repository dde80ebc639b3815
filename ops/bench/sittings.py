"""Real councils over seeded problems: one daemon, its real treasurer, executor and sandbox, and servers that answer."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from actors.executor.commands import Commands
from bus.commands import request
from bus.envelope import Record, open_envelope
from bus.ids import fresh_id
from bus.messages import council, task, trial
from bus.messages.call import ModelReplied
from bus.messages.kinds import read_commit
from cli.app import App
from cli.config import Settings
from ops.bench.models import Heard, Spans, answering
from tests.council_models import FIVE, JUDGE_MODEL, surrounded
from tests.council_problems import Seeded, planted, problems

AT_A_TIME = 10
"""So many tasks are brought to where they are stuck; then nothing else goes on while their councils sit, one by one."""
PATIENCE_S = 60.0

E = TypeVar("E")


class Sat(NamedTuple):
    """What came of one council; costs in millionths of a dollar."""

    seeded: Seeded
    kind: str
    fingerprint: str
    outcome: str
    winner: str
    helped: str
    right: dict[str, str]
    """By model: the sort of its answer."""
    green: dict[str, bool]
    micro: dict[str, int]
    judge_micro: int
    wall_s: float
    models_s: float
    commands_s: float
    beyond_s: float
    expected: dict[str, float]


class _Ends:
    """Wakes those who wait for an event of an entity."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], Record] = {}
        self.news = asyncio.Event()

    def take(self, batch: list[Record]) -> None:
        for record in batch:
            for event in read_commit(record).events:
                self.seen[record.subject, type(event).__name__] = record
        self.news.set()

    async def wait(self, subject: str, *kinds: type) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not any((subject, each.__name__) in self.seen for each in kinds):
                self.news.clear()
                await self.news.wait()


@contextmanager
def timed_commands(spans: Spans) -> Iterator[None]:
    """When each command of a trial ran: what the sandbox needs is its own time, not the council's."""
    run = Commands.run

    async def timed(self: Commands, job: Any, *rest: Any, **more: Any) -> Any:
        began = time.time()
        try:
            return await run(self, job, *rest, **more)
        finally:
            if job.key.startswith("trial/"):
                spans.append((began, time.time()))

    Commands.run = timed  # type: ignore[method-assign]
    try:
        yield
    finally:
        Commands.run = run  # type: ignore[method-assign]


def sat(folder: Path, count: int, plain: int = 0) -> tuple[list[Sat], list[Sat]]:
    """One council on each problem with all five models, then so many on other problems as councils usually sit."""
    commands = Spans()
    settings = Settings(
        state_dir=folder / "state",
        workflow="direct",
        log_level="error",
        pipelines=1000,
        agent_capacity=1000,
        council_models=[each.model for each in FIVE],
        council_judge=JUDGE_MODEL,
        daily_usd=1000.0,
        monthly_usd=1000.0,
        council_usd=1000.0,
        task_usd=100.0,
    )
    with answering(count + plain) as (variables, heard), surrounded(variables), timed_commands(commands):
        app = App(settings).open()
        try:
            known = problems(count + plain)
            told = app.bridge.run(_all(app, known, heard, folder, commands, count), timeout_s=60 + 20 * len(known))
            return told[:count], told[count:]
        finally:
            app.close()


async def _all(
    app: App, known: list[Seeded], heard: Callable[[], Heard], folder: Path, commands: Spans, full: int
) -> list[Sat]:
    ends, told = _Ends(), list[Sat]()

    def seen(batch: list[Record], _: int) -> None:
        ends.take(batch)
        follower.done(len(batch))

    follower = await app.log.follow(["evt.task.*", "evt.council.*"], await app.log.head(), seen, 5_000)

    async def stuck(seeded: Seeded) -> str:
        repo = await asyncio.to_thread(planted, folder / "repos" / str(seeded.number), seeded)
        wish = {"task": f"mend {seeded.name}", "workflow": "direct", "repo": str(repo)}
        id = str((await _ask(app, "orchestrator", "submit_task", wish))["task_id"])
        await ends.wait(f"evt.task.{id}", task.PersonAsked)
        return id

    for start in range(0, len(known), AT_A_TIME):
        batch = known[start : start + AT_A_TIME]
        for seeded, id in zip(batch, await asyncio.gather(*map(stuck, batch)), strict=True):
            wish: dict[str, Any] = {"task_id": id}
            if seeded.number < full:
                wish |= {"size": "full", "members": [each.model for each in FIVE]}
            name = str((await _ask(app, "council", "convene", wish))["council"])
            told.append(await _one(app, heard, seeded, name, ends, commands))
    await follower.close()
    return told


async def _one(app: App, heard: Callable[[], Heard], seeded: Seeded, name: str, ends: _Ends, commands: Spans) -> Sat:
    await ends.wait(f"evt.council.{name}", council.CouncilEnded)
    (end,) = [each for _, each in _events([ends.seen[f"evt.council.{name}", "CouncilEnded"]], council.CouncilEnded)]
    if end.outcome == "answered":
        await ends.wait(f"evt.council.{name}", council.OutcomeRecorded)
    records = [*await app.log.read(f"evt.council.{name}"), *await app.log.read(f"evt.trial.{name}")]
    asked = [each.member for _, each in _events(records, council.OpinionAsked)]
    calls = [record for member in asked for record in await app.log.read(f"evt.call.council.{name}-{member}")]
    return told_of(seeded, records, calls, await asyncio.to_thread(heard), commands)


async def _ask(app: App, actor: str, command: str, wish: dict[str, Any]) -> dict[str, Any]:
    return await request(app.connection, actor, command, json.dumps(wish).encode(), fresh_id(), timeout_s=20)


def told_of(seeded: Seeded, records: list[Record], calls: list[Record], heard: Heard, commands: Spans) -> Sat:
    """One council as its events tell it, beside what the models know."""
    ((began, _),) = _events(records, council.CouncilConvened)
    ((ended, end),) = _events(records, council.CouncilEnded)
    ((_, gathered),) = _events(records, trial.ProblemGathered)
    members = {each.id: each for _, chosen in _events(records, council.MembersChosen) for each in chosen.members}
    tried = {each.candidate: each for _, each in _events(records, trial.CandidateTried)}
    outcomes = [each.outcome for _, each in _events(records, council.OutcomeRecorded)]
    micro = {
        record.subject.rpartition("-")[2]: reply.micro
        for record in calls
        for _, reply in _events([record], ModelReplied)
    }
    thought, ran = (_within(spans, began, ended) for spans in (heard.thought, commands))
    return Sat(
        seeded,
        gathered.kind,
        gathered.fingerprint,
        end.outcome,
        members[end.winner].model if end.winner in members else end.winner,
        outcomes[0] if outcomes else "",
        {each.model: heard.said.get((seeded.number, each.model), "nothing") for each in members.values()},
        {each.model: (found := tried.get(each.id)) is not None and is_green(found) for each in members.values()},
        {each.model: micro.get(each.id, 0) for each in members.values()},
        sum(cost for member, cost in micro.items() if member not in members),
        ended - began,
        covered(thought),
        covered(ran),
        ended - began - covered([*thought, *ran]),
        {each.model: each.expected for each in members.values()},
    )


def is_green(tried: trial.CandidateTried) -> bool:
    return tried.applies and tried.tests is not None and tried.tests.green


def covered(spans: Spans) -> float:
    """How long at least one of them lasts."""
    total, until = 0.0, 0.0
    for began, ended in sorted(spans):
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total


def _within(spans: Spans, began: float, ended: float) -> Spans:
    cut = [(max(one, began), min(other, ended)) for one, other in spans]
    return [span for span in cut if span[0] < span[1]]


def _events(records: list[Record], kind: type[E]) -> list[tuple[float, E]]:
    """Events of one kind, each with its time in seconds."""
    commits = [(_s(open_envelope(record).at), read_commit(record).events) for record in records]
    return [(at_s, event) for at_s, events in commits for event in events if isinstance(event, kind)]


def _s(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
