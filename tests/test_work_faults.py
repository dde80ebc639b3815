"""Kills of the daemon while agents really work: the task ends with the same tree, nothing is recorded twice."""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bus.commands import request
from bus.envelope import Record
from bus.jetstream import JetStreamLog
from bus.log import replay
from bus.messages import exec as done
from bus.messages import step, task, workspace
from bus.messages.kinds import read_commit
from cli.app import FILES
from tests.test_faults import Daemon, live_is_rebuilt

TASK = "Durations in words:\n1. find out\n2. write it\n3. test it\n4. deploy it"


class Worker(Daemon):
    """A daemon whose agents play the demo, without its pauses."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 2)
        script = re.sub(r"delay_s = [0-9.]+", "delay_s = 0.01", (FILES / "scripts" / "demo.toml").read_text())
        (folder / "brief.toml").write_text(script.replace('name = "demo"', 'name = "brisk"'))


async def _submit(worker: Worker, id: str) -> str:
    async with worker.connected() as connection:
        body = json.dumps({"task": TASK}).encode()
        answer = await request(connection, "orchestrator", "submit_task", body, id, timeout_s=20)
        return str(answer["task_id"])


async def _log_of(worker: Worker) -> list[Record]:
    async with worker.connected() as connection:
        return [record async for batch in replay(JetStreamLog(connection)) for record in batch]


async def _status(worker: Worker, id: str) -> str:
    """How the task stands; what ended, ended."""
    async with worker.connected() as connection:
        records = await JetStreamLog(connection).read(f"evt.task.{id}")
    ends: dict[type, str] = {task.TaskCompleted: "completed", task.TaskFailed: "failed", task.PersonAsked: "waiting"}
    for record in reversed(records):
        for event in read_commit(record).events:
            if type(event) in ends:
                return ends[type(event)]
    return "running"


async def _ended(worker: Worker, id: str) -> str:
    for _ in range(1200):
        status = await _status(worker, id)
        if status != "running":
            return status
        await asyncio.sleep(0.05)
    return "stuck"


def events_of(records: list[Record]) -> Iterator[tuple[str, Any]]:
    for record in records:
        for event in read_commit(record).events:
            yield record.subject, event


def last_tree(records: list[Record], id: str) -> str:
    trees = [
        event.tree
        for subject, event in events_of(records)
        if subject == f"evt.workspace.{id}" and isinstance(event, workspace.TreeSaved)
    ]
    return trees[-1] if trees else ""


def wrong_about_work(records: list[Record]) -> list[str]:
    """Each executed call has one end, each command one beginning, each step is noted once."""
    ends: Counter[tuple[str, str, int]] = Counter()
    begun: Counter[tuple[str, str, int]] = Counter()
    noted: Counter[tuple[str, str]] = Counter()
    requested: set[tuple[str, str, int]] = set()
    for subject, event in events_of(records):
        run = subject.split(".", 2)[2]
        match event:
            case done.ExecEnded() | done.ExecLost() | done.ToolEnded():
                ends[run, event.call, event.again] += 1
            case done.ExecStarted():
                begun[run, event.call, event.again] += 1
            case step.StepEnded():
                noted[run, event.call] += 1
            case step.ToolRequested() if event.tool not in ("playbook", "checklist", "wait", "ask_for_help"):
                requested.add((run, event.call, event.again))
            case _:
                pass
    wrong = [f"{key} ended {count} times" for key, count in ends.items() if count > 1]
    wrong += [f"{key} began {count} times" for key, count in begun.items() if count > 1]
    wrong += [f"{key} was noted {count} times" for key, count in noted.items() if count > 1]
    return wrong + [f"{key} has no end" for key in requested if key not in ends]


async def _reference(worker: Worker) -> str:
    """The tree that comes of the work when nobody disturbs it."""
    id = await _submit(worker, "reference")
    assert await _ended(worker, id) == "completed"
    tree = last_tree(await _log_of(worker), id)
    assert tree
    return tree


async def _killed(folder: Path, kills: int, seed: int) -> None:
    dice = random.Random(seed)
    worker = Worker(folder)
    await worker.start()
    try:
        tree = await _reference(worker)
        left = kills
        while left > 0:
            id = await _submit(worker, f"work-{left}")
            for _ in range(min(left, 5)):
                if not await worker.grown_by(dice.randrange(1, 40)) and await _status(worker, id) != "running":
                    break
                await asyncio.sleep(dice.random() * 0.2)
                worker.kill()
                left -= 1
                await worker.start()
            assert await _ended(worker, id) == "completed"
            records = await _log_of(worker)
            assert last_tree(records, id) == tree
        assert wrong_about_work(records) == []
        await live_is_rebuilt(worker)
    finally:
        worker.stop()


def test_work_that_is_killed_a_few_times_ends_with_the_same_tree(tmp_path: Path) -> None:
    asyncio.run(_killed(tmp_path, 4, 1))


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_work_that_is_killed_fifty_times_ends_with_the_same_tree(tmp_path: Path) -> None:
    asyncio.run(_killed(tmp_path, 50, 2))


def test_what_is_wrong_about_work_is_found() -> None:
    from bus.envelope import Commit, encode

    def record(seq: int, subject: str, event: Any) -> Record:
        return Record(subject, seq, encode(Commit(f"c{seq}", "", "x", "x", "", seq, "", [event])))

    asked = step.ToolRequested(call="1-1", tool="run", input={})
    ended = done.ExecLost(call="1-1", reason="x")
    noted = step.StepEnded(call="1-1", ok=True)
    assert wrong_about_work([record(1, "evt.step.a.r", asked)])
    assert wrong_about_work([record(1, "evt.exec.a.r", ended), record(2, "evt.exec.a.r", ended)])
    assert wrong_about_work([record(1, "evt.step.a.r", noted), record(2, "evt.step.a.r", noted)])
    begun = done.ExecStarted(call="1-1", level="B")
    assert wrong_about_work([record(1, "evt.exec.a.r", begun), record(2, "evt.exec.a.r", begun)])
