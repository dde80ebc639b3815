"""Runs, steps, history and checklists as tables: each list exact, told again here from the bare events."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.messages import exec, playbook, run, sandbox, step, task, workspace
from bus.messages.base import Artifact, Excerpt
from bus.messages.kinds import read_commit
from projections.store import Store
from tests.projected_histories import History, rows
from tests.projected_run import OF, a_run_at_work
from tests.projected_stores import new_store

RUN = f"evt.run.{OF}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = new_store(tmp_path / "live.duckdb")
    yield store
    store.close()


def one(store: Store, view: str, **params: Any) -> dict[str, Any]:
    (row,) = rows(store, view, **params)
    return row


@pytest.fixture
def worked() -> History:
    return a_run_at_work()


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_a_step_says_what_was_thought_done_and_seen(store: Store, worked: History, pieces: int) -> None:
    for start in range(0, len(worked.records), pieces):
        store.take(worked.records[start : start + pieces])
        store.fold()
    read, tested, refused, wrote = rows(store, "steps", task="a")
    assert (read["thought"], read["input"], read["observation"]) == ("look first", '{"path":"a.py"}', "the text")
    assert (read["phase"], read["agent"], read["turn"], read["ok"], read["ms"]) == ("research", "agent-1", 1, True, 1.5)
    assert (tested["ok"], tested["again"], tested["exit"], tested["ended_by"]) == (False, 1, 1, "exit")
    assert (tested["failure"], tested["bytes"], tested["sha256"]) == ("test_failure", 70_000, "ab" * 32)
    assert (refused["ok"], refused["refused"], refused["observation"]) == (False, True, "not yours")
    assert refused["failure"] == "refused"
    assert (wrote["loop"], wrote["thought"]) == (True, "mend it")


def test_a_step_that_was_asked_for_again_is_open_until_that_is_told(store: Store, worked: History) -> None:
    lost = next(record.seq for record in worked.records if b"ExecLost" in record.body)
    store.take(worked.records[:lost])
    assert rows(store, "steps", call="1-2")[0]["ok"] is False
    store.take(worked.records[: lost + 1])
    (again,) = rows(store, "steps", call="1-2")
    assert (again["ok"], again["ended"], again["again"]) == (None, None, 1)


def test_a_run_lists_files_commands_attempts_and_the_last_test_results(store: Store, worked: History) -> None:
    store.take(worked.records)
    row = one(store, "runs", task="a")
    assert (row["turns"], row["steps"], row["failed_steps"], row["outcome"]) == (2, 4, 2, "running")
    assert (row["files_read"], row["files_created"], row["files_written"]) == (["a.py"], ["a.py", "b.py"], ["a.py"])
    assert row["commands_executed"] == ["pytest -q"]
    assert row["what_was_attempted"] == ["read", "test", "deploy", "write"]
    assert row["what_succeeded"] == ["read", "write"]
    assert row["test_results"] == '{"passed":2,"failed":1,"failures":["t"]}'
    made = Artifact("a.md", "doc", "cd" * 32, 3, "abc")
    worked.commit(RUN, run.RunFinished([made], "ef" * 20), flow="a")
    store.take(worked.records)
    row = one(store, "runs", run="a-1")
    assert (row["outcome"], row["tree"], row["artifacts"]) == ("finished", "ef" * 20, 1)
    artifact = one(store, "artifacts", task="a")
    assert (artifact["tree"], artifact["phase"]) == ("ef" * 20, "research")
    assert artifact["cause"] == f"cause-{len(worked.records)}"
    assert one(store, "contents", task="a")["content"] == "abc"


@pytest.mark.parametrize("fold", [False, True])
def test_a_command_that_was_found_and_not_asked_for_is_told_by_its_end(
    store: Store, worked: History, fold: bool
) -> None:
    place = f"evt.exec.{OF}"
    worked.commit(f"evt.step.{OF}", step.ToolRequested("3-1", "test", {}), flow="a")
    worked.commit(place, exec.ExecStarted("3-1", "B"), flow="a")
    store.take(worked.records)
    assert one(store, "runs", task="a")["commands_executed"] == ["pytest -q", "the project's tests"]
    if fold:
        store.fold()
    worked.commit(place, exec.ExecEnded("3-1", "exit", Excerpt("ok"), 3, 0, command="python -m pytest"), flow="a")
    store.take(worked.records)
    assert one(store, "runs", task="a")["commands_executed"] == ["pytest -q", "python -m pytest"]


def test_a_task_says_the_weakest_sandbox_that_its_commands_ran_in(store: Store, worked: History) -> None:
    worked.submit("b")
    store.take(worked.records)
    store.fold()
    assert (one(store, "tasks", id="a")["sandbox"], one(store, "tasks", id="b")["sandbox"]) == ("A", None)
    for level in ("B", "A"):
        worked.commit(f"evt.exec.{OF}", exec.ExecStarted(f"4-{level}", level), flow="a")
        store.take(worked.records)
        assert one(store, "tasks", id="a")["sandbox"] == "B"
        store.fold()


def test_history_counts_and_says_what_was_made_good(store: Store, worked: History) -> None:
    store.take(worked.records)
    row = one(store, "history")
    assert (row["task"], row["runs"], row["turns"], row["steps"]) == ("a", 1, 2, 4)
    assert (row["errors"], row["recovered"], row["phases"]) == (2, 1, "0/1")


def test_statistics_by_tool_and_recovery(store: Store, worked: History) -> None:
    store.take(worked.records)
    told = {(row["what"], row["name"]): row for row in rows(store, "history_stats")}
    assert (told["tool", "test"]["n"], told["tool", "test"]["rate"], told["tool", "test"]["mean"]) == (1, 0, 40)
    assert (told["tool", "read"]["rate"], told["tool", "read"]["unit"]) == (1, "ms")
    assert told["recovery", "test_failure"]["rate"] == 1
    assert not {("task", "tiered"), ("run", "all")} & set(told)
    worked.commit(RUN, run.RunFinished(), flow="a")
    worked.task("a", task.PhaseCompleted("research", "agent-1", "a-1"), task.TaskCompleted())
    store.take(worked.records)
    told = {(row["what"], row["name"]): row for row in rows(store, "history_stats")}
    assert (told["run", "all"]["mean"], told["role", "dev"]["rate"], told["task", "tiered"]["n"]) == (4, 1, 1)
    assert told["phase", "research"]["p50"] == told["phase", "research"]["p95"] > 0


def test_errors_have_an_example_and_what_was_tried(store: Store, worked: History) -> None:
    store.take(worked.records)
    failed = one(store, "history_errors", failure="test_failure")
    assert (failed["n"], failed["example"], failed["last_task"]) == (1, "1 failed", "a")
    assert (failed["strategies"], failed["share"]) == (["read the error"], 1)
    assert one(store, "history_errors", failure="refused")["example"] == "not yours"


def test_recoveries_of_steps_and_phases_say_how_they_came_out(store: Store, worked: History) -> None:
    worked.task("a", task.PhaseFailed("research", "agent-1", "a-1", "late", failure="timeout"))
    for tries in (1, 2):
        worked.task("a", task.RecoveryStarted("research", "timeout", "high", "less", tries, tries, "be quick", "late"))
    store.take(worked.records)
    small, first, second = rows(store, "recoveries", task="a")
    assert (small["level"], small["run"], small["outcome"]) == ("step", "a-1", "recovered")
    assert (first["level"], first["tier"], first["outcome"], second["outcome"]) == ("phase", 1, "failed", "going on")
    worked.task("a", task.RecoveryEnded("research", "timeout", "less", 2, True))
    store.take(worked.records)
    assert rows(store, "recoveries", level="phase")[1]["outcome"] == "recovered"


@pytest.mark.parametrize("fold", [False, True])
def test_the_checklist_is_ticked_off_by_the_runs_of_the_task(store: Store, worked: History, fold: bool) -> None:
    store.take(worked.records[:-1])
    if fold:
        store.fold()
    store.take(worked.records)
    first, second, third = rows(store, "checklist", task="a")
    assert (first["done"], second["done"], third["text"]) == (False, True, "test")
    assert (second["done_by"], second["seconds"], first["seconds"]) == ("agent-1", 20, None)
    row = one(store, "tasks", id="a")
    assert (row["checklist"], row["item_seconds"], row["status"]) == ("1/3", 20, "running")
    assert row["last_seq"] < len(worked.records)


def test_a_task_that_waits_for_a_person_says_what_is_asked_and_a_reset_takes_it_up(store: Store) -> None:
    history = History()
    history.submit("a")
    history.task("a", task.PipelineStarted())
    history.task("a", task.PersonAsked("research", "help", "which of the two?"))
    store.take(history.records)
    assert (one(store, "tasks")["status"], one(store, "tasks")["reason"]) == ("waiting", "which of the two?")
    assert one(store, "pipelines")["status"] == "waiting"
    store.fold()
    history.task("a", task.TaskReset("the first"))
    store.take(history.records)
    assert one(store, "tasks")["status"] == "pending"


@pytest.mark.parametrize("fold", [False, True])
def test_a_reopened_phase_and_all_after_it_are_not_done_any_more(store: Store, fold: bool) -> None:
    history = History()
    history.submit("a")
    history.task("a", task.PipelineStarted())
    for _ in range(2):
        history.start_phase("a")
        history.finish_phase("a")
    store.take(history.records)
    if fold:
        store.fold()
    history.task("a", task.PhaseReopened("research", "the tests fail"))
    store.take(history.records)
    assert one(store, "tasks")["progress"] == "0/3"
    assert [row["status"] for row in rows(store, "phases")] == ["reopened", "reopened"]
    assert one(store, "pipelines")["steps"] == "research:waiting design:waiting implement:waiting"
    history.start_phase("a")
    store.take(history.records)
    assert [row["status"] for row in rows(store, "phases")] == ["running", "reopened"]


def test_a_workspace_from_its_opening_to_its_merge(store: Store) -> None:
    history = History()
    tree, place = "ab" * 20, "evt.workspace.a"
    history.commit(place, workspace.WorkspaceOpened("/repo", "witan/a", "cd" * 20, "main", "/tree"), flow="a")
    history.commit(place, workspace.TreeSaved("a-1", "implement", tree, "ef" * 20), flow="a")
    history.commit(place, workspace.TreeTested(tree, "a-2", 3, 0), workspace.TreeDeployed("local", tree, "/d", "200"))
    history.commit(place, workspace.MergeRefused("order-1", "main is dirty"), flow="a")
    store.take(history.records)
    row = one(store, "workspaces", task="a")
    assert (row["status"], row["branch"], row["target"], row["commit"]) == ("open", "witan/a", "main", "ef" * 20)
    assert (row["tested_tree"], row["tested_last"], row["passed"], row["failed"]) == (tree, True, 3, 0)
    assert (row["deployed"], row["refusal"]) == ([{"environment": "local", "tree": tree}], "main is dirty")
    history.commit(place, workspace.DeployRolledBack("local", tree, "sick"), flow="a")
    history.commit(place, workspace.WorkspaceMerged("order-2", "main", "12" * 20), flow="a")
    store.take(history.records)
    row = one(store, "workspaces", task="a")
    assert (row["status"], row["deployed"], row["refusal"]) == ("merged", [], None)


def test_playbooks_and_the_sandbox_say_how_they_stand(store: Store, worked: History) -> None:
    worked.commit("evt.playbook.run_tests", playbook.PlaybookRevised("ab" * 32, "How to test.", "witan"))
    opened = step.PlaybookOpened("3-1", "run_tests", "ab" * 32)
    worked.commit(f"evt.step.{OF}", opened, step.PlaybookSucceeded("run_tests", 1, 2.5, ["run"]), flow="a")
    worked.commit("evt.sandbox.main", sandbox.SandboxAttested("A", "namespaces", ["no network"], []))
    worked.commit("evt.sandbox.main", sandbox.SandboxAttested("B", "Landlock", [], ["network"]))
    store.take(worked.records)
    row = one(store, "playbooks", name="run_tests")
    assert (row["status"], row["uses"], row["successes"], row["mean_seconds"]) == ("present", 1, 1, 2.5)
    row = one(store, "sandbox")
    assert (row["level"], row["failed"], row["times"]) == ("B", ["network"], 2)


def recounted(history: History) -> dict[str, dict[str, Any]]:
    """The runs' lists once more, in plain Python, event by event."""
    told: dict[str, list[Any]] = {}
    for record in history.records:
        if record.subject.split(".")[1] in ("run", "step", "exec"):
            told.setdefault(record.subject.split(".")[-1], []).extend(read_commit(record).events)
    return {id: recount(events) for id, events in told.items()}


def recount(events: list[Any]) -> dict[str, Any]:
    tools: dict[str, str] = {}
    commands: dict[str, str] = {}
    ran, ok, results = set(), {}, None
    files: dict[str, dict[str, None]] = {"read": {}, "created": {}, "wrote": {}}
    for event in events:
        match event:
            case step.ToolRequested() | step.StepRefused():
                tools.setdefault(event.call, event.tool)
                if event.tool in ("run", "test") and isinstance(event, step.ToolRequested):
                    commands[event.call] = str(event.input.get("command", "")) or "the project's tests"
                ok[event.call] = None if isinstance(event, step.ToolRequested) else False
            case exec.ExecStarted():
                ran.add(event.call)
            case exec.ToolEnded():
                ok[event.call] = event.ok
                for name, found in files.items():
                    found.update(dict.fromkeys(getattr(event, name)))
            case exec.ExecEnded():
                ok[event.call], results = event.exit == 0, event.tests or results
            case exec.ExecLost():
                ok[event.call] = False
            case step.StepEnded():
                ok[event.call] = event.ok
    return {
        "turns": max((event.turn for event in events if isinstance(event, step.ModelRequested)), default=0),
        "steps": len(tools),
        "failed_steps": Counter(ok.values())[False],
        "files_read": [*files["read"]],
        "files_created": [*files["created"]],
        "files_written": [*files["wrote"]],
        "commands_executed": [commands[id] for id in tools if id in ran],
        "what_was_attempted": [*tools.values()],
        "what_succeeded": [tool for id, tool in tools.items() if ok[id]],
        "tested": results is not None,
    }


@given(st.integers(0, 10**9), st.integers(10, 150))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_lists_of_every_run_are_exact(tmp_path: Path, seed: int, piece: int) -> None:
    store = new_store(tmp_path / "live.duckdb")
    history = History(seed).grow(150)
    for start in range(0, len(history.records), piece):
        store.take(history.records[start : start + piece])
        store.fold()
    found = rows(store, "runs", limit=1000)
    expected = recounted(history)
    assert {row["run"] for row in found} == set(expected)
    for row in found:
        row["tested"] = row["test_results"] is not None
        assert {name: row[name] for name in expected[row["run"]]} == expected[row["run"]]
    steps = rows(store, "steps", limit=10_000)
    assert Counter(row["run"] for row in steps) == Counter(
        {id: n for id, one in expected.items() if (n := one["steps"])}
    )
    assert sum(row["steps"] for row in rows(store, "history", limit=1000)) == len(steps)
    store.close()
