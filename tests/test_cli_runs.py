"""What a person sees of work that was done: traces, history, artifacts, differences; and the verbs that stay."""

import asyncio
import csv
import io
import json
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from click.testing import CliRunner, Result
from nats.aio.client import Client
from nats.aio.msg import Msg
from rich.console import Console

from bus.blobs import Blobs, sha256
from bus.envelope import Commit, Draft, encode
from bus.ids import fresh_id
from bus.jetstream import JetStreamLog
from bus.messages import exec, run, step, task, workspace
from bus.messages.base import Artifact, Event, Excerpt
from cli.main import cli
from cli.progress import Progress
from cli.trace import tree_of
from projections.asking import ask
from projections.store import Store
from tests.bus_ground import a_connection, everything, in_force, told
from tests.projected_histories import History
from tests.projected_run import OF, a_run_at_work

Type = Callable[..., Result]


def typed(*words: str) -> Result:
    return CliRunner().invoke(cli, words, prog_name="witan")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    yield folder


def stopped_after(history: History, folder: Path) -> None:
    """A Witan was here, saw this and was stopped."""
    store = Store(folder / ".witan" / "witan.duckdb")
    store.take(history.records)
    store.close()


def lines(result: Result, exit_code: int = 0) -> list[Any]:
    assert result.exit_code == exit_code, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("words", [["trace", "a"], ["trace", "a-1"], ["trace", "a", "--run", "a-1"]])
def test_a_trace_has_every_step_and_the_lists_of_its_run(folder: Path, words: list[str]) -> None:
    stopped_after(a_run_at_work(), folder)
    (told,) = lines(typed(*words))
    (one,) = told["runs"]
    assert told["task"]["checklist"] == "1/3"
    assert [(each["call"], each["ok"]) for each in one["steps"]] == [
        ("1-1", True), ("1-2", False), ("2-1", False), ("2-2", True)
    ]  # fmt: skip
    assert one["steps"][0]["input"] == {"path": "a.py"} and one["steps"][0]["thought"] == "look first"
    assert one["test_results"] == {"passed": 2, "failed": 1, "failures": ["t"]}
    assert one["files_created"] == ["a.py", "b.py"]


def test_a_trace_as_csv_has_a_row_for_each_step(folder: Path) -> None:
    stopped_after(a_run_at_work(), folder)
    table = list(csv.DictReader(io.StringIO(typed("trace", "a", "--csv").stdout)))
    assert [row["tool"] for row in table] == ["read", "test", "deploy", "write"]


def test_the_tree_is_short_unless_all_is_wanted(folder: Path) -> None:
    stopped_after(a_run_at_work(), folder)
    (told,) = lines(typed("trace", "a"))
    for each in told["runs"][0]["steps"]:
        each["input"], each["observation"] = "in", "\x1b[2Jx" * 500 + "the end"
    for full, words in ((True, "x" * 3), (False, " … ")):
        out = Console(file=io.StringIO(), width=5000, record=True)
        out.print(tree_of("a task", told["runs"], full))
        drawn = out.export_text()
        assert all(word in drawn for word in ("research", "turn 1  look first", "✔ 1-1 read  2 ms", "test_failure"))
        assert "loop" in drawn and "the end" in drawn and "\x1b" not in drawn
        assert (" … " in drawn) is not full, words


def test_a_trace_of_what_never_ran_says_so(folder: Path) -> None:
    history = History()
    history.submit("a")
    stopped_after(history, folder)
    result = typed("trace", "a")
    assert result.exit_code == 1 and "nothing has run for a yet" in result.stderr


def test_history_its_statistics_and_its_errors(folder: Path) -> None:
    stopped_after(a_run_at_work(), folder)
    (row,) = lines(typed("history"))
    assert (row["task"], row["steps"], row["errors"], row["recovered"]) == ("a", 4, 2, 1)
    result = typed("history", "a")
    assert lines(result) == [row] and "witan trace a" in result.stderr
    assert {"tool", "recovery"} <= {row["what"] for row in lines(typed("history", "stats"))}
    assert {row["failure"] for row in lines(typed("history", "errors"))} == {"refused", "test_failure"}


HOSTILE = ["../../up", "/etc/passwd", "..", ".", "a/b", "a\\b", "nul\0", "-rf", "x" * 190, "☃", "line\nbreak", "a_b"]


def with_artifacts(*names: str) -> History:
    history = a_run_at_work()
    made = [Artifact(name, "doc", sha256(name.encode()), len(name.encode()), name) for name in names]
    history.commit(f"evt.run.{OF}", run.RunFinished(made), flow="a")
    return history


def test_artifacts_are_saved_below_the_folder_whatever_they_are_called(folder: Path) -> None:
    stopped_after(with_artifacts(*HOSTILE), folder)
    result = typed("artifacts", "a", "--save", "made")
    assert [row["name"] for row in lines(result)] == HOSTILE
    written = [path for path in folder.rglob("*") if path.is_file() and ".witan" not in path.parts]
    assert {path.parent for path in written} == {folder / "made" / "research"}
    assert sorted(path.read_text() for path in written) == sorted(HOSTILE)
    assert not (folder.parent / "up").exists()
    assert lines(typed("artifacts", "a", "--save", "made")), "a second time it writes the same again"


def test_nothing_is_written_through_a_link(folder: Path) -> None:
    stopped_after(with_artifacts("plain"), folder)
    (folder / "elsewhere").mkdir()
    (folder / "made").mkdir()
    (folder / "made" / "research").symlink_to(folder / "elsewhere")
    result = typed("artifacts", "a", "--save", "made")
    assert result.exit_code == 1 and "not a folder of its own" in result.stderr
    assert list((folder / "elsewhere").iterdir()) == []
    (folder / "made" / "research").unlink()
    (folder / "made" / "research").mkdir()
    (folder / "made" / "research" / "plain").symlink_to(folder / "elsewhere" / "target")
    assert typed("artifacts", "a", "--save", "made").exit_code == 0
    assert (folder / "made" / "research" / "plain").read_text() == "plain"
    assert list((folder / "elsewhere").iterdir()) == []


def git(repo: Path, *words: str) -> str:
    line = ["git", "-c", "user.name=x", "-c", "user.email=x@localhost", "-C", str(repo), *words]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repo(folder: Path) -> Path:
    """A repository with a task's branch, and settings that would run something."""
    repo = folder / "repo"
    repo.mkdir()
    git(repo, "init", "-q", "-b", "main")
    (repo / "a.txt").write_text("one\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "first")
    git(repo, "checkout", "-q", "-b", "witan/a")
    (repo / "a.txt").write_text("two\n")
    (repo / "b.txt").write_text("new\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "second")
    git(repo, "checkout", "-q", "main")
    git(repo, "config", "diff.external", f"touch {folder / 'ran'}; true")
    git(repo, "config", "core.pager", f"touch {folder / 'ran'}; cat")
    return repo


def with_workspace(repo: Path, *more: Event) -> History:
    history = a_run_at_work()
    base, last = git(repo, "rev-parse", "main"), git(repo, "rev-parse", "witan/a")
    opened = workspace.WorkspaceOpened(str(repo), "witan/a", base, "main", "/gone")
    saved = workspace.TreeSaved("a-1", "research", "ab" * 20, last)
    history.commit("evt.workspace.a", opened, saved, *more, flow="a", by="executor")
    return history


def test_a_diff_can_be_applied_and_runs_nothing_of_the_repository(folder: Path, repo: Path) -> None:
    stopped_after(with_workspace(repo), folder)
    result = typed("diff", "a")
    assert "-one\n+two\n" in result.stdout and "witan/a from" in result.stderr
    subprocess.run(["git", "-C", str(repo), "apply", "--check"], input=result.stdout, text=True, check=True)
    assert typed("diff", "a", "--name-only").stdout == "a.txt\nb.txt\n"
    assert "2 files changed" in typed("diff", "a", "--stat").stdout
    assert not (folder / "ran").exists()


def test_a_diff_is_there_when_the_branch_is_gone(folder: Path, repo: Path) -> None:
    stopped_after(with_workspace(repo, workspace.WorkspaceDiscarded("order-1")), folder)
    git(repo, "branch", "-q", "-D", "witan/a")
    result = typed("diff", "a", "--name-only")
    assert result.stdout == "a.txt\nb.txt\n" and "discarded" in result.stderr


def test_a_diff_without_a_workspace_says_so(folder: Path) -> None:
    stopped_after(a_run_at_work(), folder)
    assert "has no workspace yet" in typed("diff", "a").stderr


def test_status_shows_the_checklist(folder: Path) -> None:
    stopped_after(a_run_at_work(), folder)
    assert lines(typed("status"))[0]["checklist"] == "1/3"


def test_recoveries_and_reopened_phases_are_told_in_words() -> None:
    progress = Progress("a")
    events: list[Any] = [
        task.TaskSubmitted("build", "tiered", ["design", "test"]),
        task.PipelineStarted(),
        task.PhaseRequested("test", "tester"),
        task.PhaseAssigned("test", "ada", "a-1"),
        task.PhaseFailed("test", "ada", "a-1", "red", failure="test_failure"),
        task.RecoveryStarted("test", "test_failure", "medium", "back to the code", 1, 2, "hint", "red"),
    ]
    progress.take(Commit("c", "2026-11-20T12:00:00Z", "orchestrator", "", "a", 1, "", events), 1)
    assert progress.phases["test"].note == "test_failure, try 2: back to the code"
    more: list[Any] = [task.PhaseReopened("design", "the tests fail"), task.PersonAsked("design", "help", "which?")]
    progress.take(Commit("c", "2026-11-20T12:00:01Z", "orchestrator", "", "a", 2, "", more), 2)
    assert [(line.status, line.note) for line in progress.phases.values()] == [
        ("reopened", "the tests fail"),
        ("reopened", ""),
    ]
    assert (progress.status, progress.reason, progress.rests) == ("waiting", "which?", True)


class House:
    """A server on which somebody plays the actors: what is ordered is answered, and then this happens."""

    def __init__(self, log: JetStreamLog, client: Client, url: str) -> None:
        self.log, self.client, self.url = log, client, url
        self.places: dict[str, int] = {}

    async def say(self, subject: str, *events: Any, flow: str = "a") -> None:
        v = self.places.get(subject, 0)
        commit = Commit(fresh_id(), "2026-11-20T12:00:00.000Z", "ada", "", flow, v + 1, "", list(events))
        (place,) = await self.log.append([Draft(subject, encode(commit), commit.id, v or 0)])
        self.places[subject] = place

    async def answers(self, subject: str, answer: dict[str, Any], then: Callable[[], Awaitable[None]]) -> None:
        async def heard(message: Msg) -> None:
            await message.respond(json.dumps({"ok": True, **answer}).encode())
            await then()

        await self.client.subscribe(subject, cb=heard)
        await in_force(self.client)

    async def asked(self, folder: Path) -> None:
        """Questions are answered from the log as it is then."""

        async def heard(message: Msg) -> None:
            store = Store(folder / f"{fresh_id()}.duckdb")
            store.take(await everything(self.log))
            await message.respond(ask(store, message.subject.split(".")[1], message.data))
            store.close()

        await self.client.subscribe("ask.*", cb=heard)
        await in_force(self.client)

    async def type(self, *words: str) -> Result:
        return await asyncio.to_thread(typed, *words, "--nats", self.url)


def in_a_house(folder: Path, story: Callable[[House], Awaitable[None]]) -> None:
    async def telling(server: Any) -> None:
        client = await nats.connect(server.url)
        async with a_connection(server.url) as connection:
            await story(House(JetStreamLog(connection), client, server.url))
        await client.close()

    told(folder / "nats", telling)


OPENED = task.TaskSubmitted("build", "direct", ["implement"])


def test_watch_ends_with_5_when_a_person_is_asked_but_not_for_a_question_that_was_answered(folder: Path) -> None:
    async def story(house: House) -> None:
        person = task.PersonAsked("implement", "help", "which of the two?")
        await house.say("evt.task.a", OPENED, task.PipelineStarted(), person)
        result = await house.type("watch", "a")
        assert result.exit_code == 5 and "which of the two?" in result.stderr and "witan reset a" in result.stderr
        await house.say("evt.task.a", task.TaskReset("the first"), task.PipelineStarted())
        await house.say("evt.task.a", task.TaskCompleted())
        assert (await house.type("watch", "a")).exit_code == 0

    in_a_house(folder, story)


def test_apply_and_discard_say_what_came_of_the_order(folder: Path) -> None:
    async def story(house: House) -> None:
        await house.say("evt.task.a", OPENED)
        place = "evt.workspace.a"

        async def refuse() -> None:
            await house.say(place, workspace.MergeRefused("order-0", "another order"))
            await house.say(place, workspace.MergeRefused("order-1", "main has changes that are not committed"))

        await house.answers("guardian.approve_merge", {"order": "order-1", "ordered": "merge"}, refuse)
        (row,) = lines(await house.type("apply", "a", "--reason", "good"), exit_code=1)
        assert (row["outcome"], row["reason"]) == ("MergeRefused", "main has changes that are not committed")

        async def discard() -> None:
            await house.say(place, workspace.WorkspaceDiscarded("order-2"))

        await house.answers("guardian.discard_work", {"order": "order-2"}, discard)
        (row,) = lines(await house.type("discard", "a"))
        assert row == {"task_id": "a", "outcome": "WorkspaceDiscarded", "order": "order-2"}

    in_a_house(folder, story)


def test_apply_ends_with_124_when_nothing_comes_of_it(folder: Path) -> None:
    async def story(house: House) -> None:
        async def nothing() -> None:
            pass

        await house.say("evt.task.a", OPENED)
        await house.answers("guardian.approve_merge", {"order": "order-1"}, nothing)
        result = await house.type("apply", "a", "--wait", "0.2", "--id", "said-1")
        assert result.exit_code == 124 and "--id said-1" in result.stderr

    in_a_house(folder, story)


def test_run_shows_the_steps_and_ends_with_what_was_made(folder: Path, repo: Path) -> None:
    async def story(house: House) -> None:
        async def work() -> None:
            await house.say("evt.task.a", OPENED, task.PipelineStarted())
            await house.say("evt.step.ada.a-1", step.ToolRequested("1-1", "read", {"path": "x"}))
            await house.say("evt.step.ada.b-1", step.ToolRequested("1-1", "write", {}), flow="b")
            await house.say("evt.exec.ada.a-1", exec.ToolEnded("1-1", True, Excerpt("x"), 1))
            await house.say("evt.run.ada.a-1", run.RunStarted("a", "implement", "dev", "s"))
            await house.say("evt.run.ada.a-1", run.RunFinished([Artifact("a.md", "doc", "ab" * 32, 1, "x")]))
            base = git(repo, "rev-parse", "main")
            opened = workspace.WorkspaceOpened(str(repo), "witan/a", base, "main", "/gone")
            await house.say("evt.workspace.a", opened)
            await house.say("evt.task.a", task.TaskCompleted())

        await house.asked(folder)
        await house.answers("cmd.orchestrator.submit_task", {"task_id": "a"}, work)
        result = await house.type("run", "build it", "--repo", str(repo))
        *events, made = lines(result)
        assert [event["type"] for event in events if event["kind"] in ("step", "exec")] == [
            "ToolRequested",
            "ToolEnded",
        ]
        assert made["changed_files"] == ["a.txt", "b.txt"] and made["artifacts"][0]["name"] == "a.md"
        assert "witan apply a" in result.stderr and f"Working on {repo}" in result.stderr

    in_a_house(folder, story)


def test_run_sends_the_repository_that_one_stands_in(folder: Path, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cli.config import Settings
    from cli.verbs.run import body_of

    wish: dict[str, Any] = {"base": "", "workflow": None, "phases": "a,b", "words": ("k=v",)}
    assert "repo" not in body_of("x", Settings(), None, False, **wish)
    (repo / "inner").mkdir()
    monkeypatch.chdir(repo / "inner")
    body = body_of("x", Settings(), None, False, **wish)
    assert (body["repo"], body["phases"], body["context"]) == (str(repo), ["a", "b"], {"k": "v"})
    assert "repo" not in body_of("x", Settings(), None, True, **wish)
    assert typed("run", "x", "--fresh", "--base", "main").exit_code == 2


def test_long_outputs_and_large_artifacts_come_from_the_blob_store(folder: Path) -> None:
    async def story(house: House) -> None:
        whole = b"the whole output " * 5000
        digest = await Blobs(house.log.connection).put(whole)
        ended = exec.ExecEnded("1-1", "exit", Excerpt("the head", len(whole), digest), 5, 0)
        await house.say("evt.task.a", OPENED)
        await house.say("evt.run.ada.a-1", run.RunStarted("a", "implement", "dev", "s"))
        await house.say("evt.step.ada.a-1", step.ToolRequested("1-1", "run", {"command": "make"}))
        await house.say("evt.exec.ada.a-1", exec.ExecStarted("1-1", "A"), ended)
        await house.say("evt.run.ada.a-1", run.RunFinished([Artifact("log", "text", digest, len(whole))]))
        await house.asked(folder)
        (told,) = lines(await house.type("trace", "a", "--full"))
        assert told["runs"][0]["steps"][0]["observation"].encode() == whole
        assert (await house.type("artifacts", "a", "--save", "made")).exit_code == 0
        assert (folder / "made" / "implement" / "log").read_bytes() == whole

    in_a_house(folder, story)


def test_log_f_follows_one_task() -> None:
    from tests.test_tidy import parse

    for words in (["log", "-f", "a"], ["log", "tail", "-f", "a"], ["log", "tail", "--flow", "a"], ["log", "-n", "3"]):
        parse(cli, "witan", words)
    assert "Verbs:" in typed("log", "--help").stdout
