"""Witan is killed in the middle of councils: each comes to its one end, nothing is paid twice, nothing is left."""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bus.connection import connect
from bus.jetstream import JetStreamLog
from tests.council_models import Quality, World, serving
from tests.council_problems import planted, problems
from tests.test_acceptance_cli import Folder, a_folder, pid_of

COMMITS_MAX = 32
"""A council of three members is written in about so many."""
MODELS = ("ollama/llama3.1:8b", "openai/gpt-4.1-mini", "gemini/gemini-2.5-flash")
CALM_S, CALM_TRIES = 0.02, 100


@pytest.fixture
def world() -> World:
    world = World(problems(50), [Quality("ollama/qwen3:8b", 0.5), *(Quality(model, 0.6, 0.1) for model in MODELS)])
    world.gives_up = "ask_for_help"
    return world


@pytest.fixture
def folder(tmp_path: Path, world: World) -> Iterator[Folder]:
    (tmp_path / "home").mkdir()
    with serving(world) as variables, a_folder(tmp_path / "home") as folder:
        clean = {name: value for name, value in folder.env.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
        folder.env = {**clean, **variables, "COUNCIL_JUDGE": "anthropic"}
        (folder.path / "witan.toml").write_text('workflow = "direct"\nlog_level = "error"\n')
        folder.row("up", "--detach")
        yield folder


async def _grown_by(url: str, commits: int) -> None:
    """Wait until the log has so many more commits, or stands still."""
    connection = await connect(url)
    try:
        log = JetStreamLog(connection)
        start = await log.head()
        for _ in range(CALM_TRIES):
            if await log.head() >= start + commits:
                return
            await asyncio.sleep(CALM_S)
    finally:
        await connection.close()


def killed_at(folder: Folder, council: list[str], commits: int) -> str:
    """The council that sits when Witan is killed, so many commits after it was convened."""
    card = json.loads((folder.path / ".witan" / "daemon.json").read_text())
    name = str(folder.row("council", "convene", *council, "--json")["council"])
    asyncio.run(_grown_by(card["url"], commits))
    pid = pid_of(folder)
    os.kill(pid, signal.SIGKILL)
    folder.row("up", "--detach")
    return name


def events(folder: Folder, entity: str) -> list[dict[str, Any]]:
    return [event for commit in folder.rows("log", "show", entity) for event in commit["events"]]


def ended(folder: Folder, council: str) -> dict[str, Any]:
    """Its end, once it is there."""
    while True:
        ends = [event for event in events(folder, f"evt.council.{council}") if event["type"] == "CouncilEnded"]
        if ends:
            return ends[0]


def ordeal(folder: Folder, world: World, moments: list[int]) -> Counter[str]:
    """A council for each moment at which Witan is killed."""
    outcomes: Counter[str] = Counter()
    names = []
    for number, commits in enumerate(moments):
        repo = planted(folder.path / "repos" / str(number), world.known[number])
        text = f"mend {world.known[number].name}"
        task = str(folder.rows("run", text, "--repo", str(repo), "--json", exit_code=5)[-1]["task_id"])
        members = [word for model in MODELS for word in ("--member", model)]
        names.append(killed_at(folder, [task, *members], commits))
        outcomes[ended(folder, names[-1])["outcome"]] += 1
    for name in names:
        kinds = Counter(event["type"] for event in events(folder, f"evt.council.{name}"))
        assert kinds["CouncilConvened"] == kinds["CouncilEnded"] == 1, (name, kinds)
        asked = [event["member"] for event in events(folder, f"evt.council.{name}") if event["type"] == "OpinionAsked"]
        assert len(asked) == len(set(asked))
    return outcomes


def nothing_is_left_and_nothing_paid_twice(folder: Folder, world: World) -> None:
    bought = Counter((each.number, each.model) for each in world.bill if each.purpose == "member")
    judged = Counter(each.number for each in world.bill if each.purpose == "judge")
    assert max(bought.values()) == 1 and max(judged.values(), default=0) <= 2
    budget = events(folder, "evt.budget.main")
    councils = {event["reservation"] for event in budget if event.get("purpose") == "council"}
    spent = sum(
        event["micro"] for event in budget if event["type"] == "FundsSettled" and event["reservation"] in councils
    )
    assert sum(each.micro for each in world.bill if each.purpose != "run") <= spent
    assert folder.run("rebuild", "--verify").returncode == 0
    assert folder.run("log", "verify").returncode == 0
    folder.run("down")
    trials = folder.path / ".witan" / "trials"
    assert not trials.is_dir() or list(trials.iterdir()) == []


@pytest.mark.timeout(300)
def test_a_council_whose_witan_is_killed_ends_once_and_nothing_is_paid_twice(folder: Folder, world: World) -> None:
    print(ordeal(folder, world, [3, 12, 20]))
    nothing_is_left_and_nothing_paid_twice(folder, world)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_councils_whose_witan_is_killed_at_fifty_moments_end_once_and_nothing_is_paid_twice(
    folder: Folder, world: World
) -> None:
    dice = random.Random(5)
    print(ordeal(folder, world, [dice.randint(0, COMMITS_MAX) for _ in range(50)]))
    nothing_is_left_and_nothing_paid_twice(folder, world)
