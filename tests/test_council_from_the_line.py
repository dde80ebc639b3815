"""A council as a person meets it: typed lines, real processes, and servers that play five models and a judge."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.council_models import World, serving
from tests.council_problems import planted, problem
from tests.test_acceptance_cli import Folder, a_folder

HARD = problem(4)


@pytest.fixture
def world() -> World:
    return World([HARD])


@pytest.fixture
def folder(tmp_path: Path, world: World) -> Iterator[Folder]:
    planted(tmp_path / "repo", HARD)
    (tmp_path / "home").mkdir()
    with serving(world) as variables, a_folder(tmp_path / "home") as folder:
        folder.env = {
            **{name: value for name, value in folder.env.items() if not name.endswith(("_API_KEY", "_BASE_URL"))},
            **variables,
            "COUNCIL_MODELS": "openai,deepseek,gemini",
            "COUNCIL_JUDGE": "anthropic",
            "COUNCIL_TRIGGER_AFTER_RETRIES": "1",
        }
        (folder.path / "witan.toml").write_text('workflow = "review"\nlog_level = "warning"\n')
        folder.row("up", "--detach")
        yield folder


def events(folder: Folder, entity: str) -> list[dict[str, Any]]:
    return [event for commit in folder.rows("log", "show", entity) for event in commit["events"]]


def worked_on(folder: Folder, text: str) -> str:
    """A task that `witan run` has stayed with until it was completed."""
    repo = str(folder.path.parent / "repo")
    return str(folder.rows("run", f"mend {HARD.name}: {text}", "--repo", repo, "--json")[-1]["task_id"])


def test_a_task_that_is_stuck_goes_up_the_tiers_and_the_same_problem_is_answered_for_nothing_the_second_time(
    folder: Folder, world: World
) -> None:
    first = worked_on(folder, "once")
    story = folder.history(first)
    tiers = [row for row in story if row in ("PhaseFailed", "RecoveryStarted", "CouncilAsked", "CouncilAnswered")]
    again = ["PhaseFailed", "RecoveryStarted"]
    assert tiers == [*again, *again, "PhaseFailed", "CouncilAsked", "CouncilAnswered", "RecoveryStarted"]
    assert story[-1] == "TaskCompleted"
    shown = folder.row("council", "show", first, "--json")["council"]
    assert (shown["outcome"], shown["helped"]) == ("answered", "success")
    members = [each.model for each in world.bill if each.purpose == "member"]
    assert len(members) == len(set(members)) == 3 and not any(each.startswith("anthropic/") for each in members)
    winner = shown["by_whom"]
    assert winner in members and world.said[HARD.number, winner] in ("right", "sneaky")
    runs = [event["run"] for event in events(folder, f"evt.task.{first}") if event.get("agent") == "coder-01"]
    told = [event for event in events(folder, f"evt.step.coder-01.{runs[-1]}") if event["type"] == "StepEnded"]
    assert [(event["call"], event["ok"]) for event in told[:2]] == [("0-1", True), ("0-2", True)]
    opinions = [each for each in world.bill if each.purpose != "run"]

    second = worked_on(folder, "once more")
    newest = folder.row("council", "show", second, "--json")["council"]
    assert (newest["by_whom"], newest["outcome"], newest["cost_micro"]) == (shown["council"], "answered", 0)
    assert folder.history(second)[-1] == "TaskCompleted"
    assert [each for each in world.bill if each.purpose != "run"] == opinions, "nobody was asked again"
    assert [row["outcome"] for row in folder.rows("council", "list", "--json")] == ["answered", "answered"]
    wins = {row["name"]: row for row in folder.rows("council", "wins", "--json")}
    assert wins[winner]["wins"] == 1
    assert folder.run("rebuild", "--verify").returncode == 0
    assert folder.run("log", "verify").returncode == 0
