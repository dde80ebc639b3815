"""Kills of the daemon while it tries candidates: each is told once, the council's time holds, nothing is left."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.council.problem import Brief, Change
from actors.executor.git.workspaces import open_workspace
from bus.blobs import Blobs
from bus.envelope import Commit, Draft, encode, link
from bus.ids import fresh_id
from bus.jetstream import JetStreamLog
from bus.messages import council, trial
from bus.messages.kinds import read_commit
from bus.messages.workspace import WorkspaceOpened
from tests.repositories import commit, repository
from tests.test_faults import Daemon
from tests.trial_ground import RIGHT, TESTS, WRONG, changing

COUNCIL, TRIAL = "evt.council.t1-c1", "evt.trial.t1-c1"
SLOW = f"import time\ntime.sleep(0.3)\n{WRONG}"


class Asker(Daemon):
    """A daemon, and somebody who says what a council would say."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 2)
        repo = repository(folder / "repo")
        (repo / "src").mkdir()
        (repo / "tests").mkdir()
        (repo / "src" / "sums.py").write_text(SLOW)
        (repo / "tests" / "test_sums.py").write_text(TESTS)
        commit(repo)
        place = open_workspace(folder / ".witan" / "work", "t1", str(repo))
        self.opened = WorkspaceOpened(place.repo, place.branch, place.base, place.target, place.path)

    async def say(self, subject: str, *events: Any) -> None:
        async with self.connected() as connection:
            log = JetStreamLog(connection)
            before = await log.read(subject)
            prev = link(subject, before[-1].body) if before else ""
            id = fresh_id()
            body = encode(Commit(id, "", "somebody", id, "t1", len(before) + 1, prev, list(events)))
            await log.append([Draft(subject, body, id, before[-1].seq if before else 0)])

    async def keep(self, content: bytes) -> str:
        async with self.connected() as connection:
            return await Blobs(connection).put(content)

    async def convene(self, limit_s: float) -> None:
        brief = Brief("make it", "code", "x", "tests/test_sums.py:5: boom", [], [], "c", "t1-1", ["**"], "", "")
        digest = await self.keep(msgspec.json.encode(brief))
        await self.say("evt.workspace.t1", self.opened)
        until_s = time.time() + limit_s
        await self.say(COUNCIL, council.CouncilConvened("t1", "code", "x", "why", digest, "t1-1", "c", until_s, 1))

    async def ask(self, *candidates: str) -> None:
        for number, candidate in enumerate(candidates):
            right = f"{RIGHT}# {number}\n" if number % 2 == 0 else f"    return {number}\n"
            digest = await self.keep(changing(Change("src/sums.py", right, "    return a - b\n")))
            await self.say(COUNCIL, council.TrialAsked(candidate, digest))

    async def told(self) -> list[Any]:
        async with self.connected() as connection:
            records = await JetStreamLog(connection).read(TRIAL)
        return [event for record in records for event in read_commit(record).events]

    async def until_told(self, count: int) -> list[Any]:
        async with asyncio.timeout(240):
            while len(told := await self.told()) < count:
                await asyncio.sleep(0.05)
        return told

    def trees(self) -> list[str]:
        folder = self.folder / ".witan" / "trials"
        return [path.name for path in folder.iterdir()] if folder.is_dir() else []


async def _trials_across_kills(folder: Path, kills: int, seed: int) -> None:
    asker, dice = Asker(folder), random.Random(seed)
    names = [f"m{number}" for number in range(1, 6)]
    try:
        await asker.start()
        await asker.convene(600)
        await asker.until_told(1)
        await asker.ask(*names)
        for _ in range(kills):
            await asyncio.sleep(dice.uniform(0, 2.5))
            asker.kill()
            await asker.start()
        events = await asker.until_told(6)
        tried = [event for event in events if isinstance(event, trial.CandidateTried)]
        assert [type(event) for event in events].count(trial.ProblemGathered) == 1
        assert Counter(event.candidate for event in tried) == Counter(names)
        greens = {event.candidate: event.tests.green for event in tried if event.tests is not None}
        if greens:  # where nothing holds commands in there are none
            assert greens == {name: number % 2 == 0 for number, name in enumerate(names)}
        await asker.say(COUNCIL, council.CouncilEnded("answered", "t1", "code", "x", "it is over"))
        assert await asker.told() == events
    finally:
        asker.stop()
    assert asker.trees() == []


def test_each_candidate_is_told_once_across_kills(tmp_path: Path) -> None:
    asyncio.run(_trials_across_kills(tmp_path, kills=2, seed=1))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_candidate_is_told_once_across_many_kills(tmp_path: Path) -> None:
    for seed in range(4):
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        asyncio.run(_trials_across_kills(folder, kills=12, seed=seed))


def test_a_council_that_ended_while_the_daemon_was_away_has_nothing_tried(tmp_path: Path) -> None:
    async def story() -> None:
        asker = Asker(tmp_path)
        try:
            await asker.start()
            await asker.convene(600)
            before = await asker.until_told(1)
            await asker.ask("m1", "m2", "m3")
            await asker.say(COUNCIL, council.CouncilEnded("called_off", "t1", "code", "x", "no"))
            asker.kill()
            await asker.start()
            await asker.say("evt.council.t1-c2", council.CouncilEnded("called_off", "t1", "code", "x", "no"))
            assert {type(event) for event in (await asker.told())[1:]} <= {trial.CandidateTried}
            count = len(await asker.told())
            assert count <= 4 and before[0] == (await asker.told())[0]
        finally:
            asker.stop()
        assert asker.trees() == []

    asyncio.run(story())
