"""Witan as a person runs it: real processes, typed lines, exit codes, and the log as the witness."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bus import topology
from bus.bridge import Bridge
from bus.connection import connect
from bus.server import Server

ROOT = Path(__file__).parents[1]
PHASES = ("research", "design", "implement", "test", "deploy")


class Folder:
    """A folder in which lines are typed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begun: list[subprocess.Popen[str]] = []
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WITAN_")}
        self.env = {**clean, "HOME": str(path), "PYTHONPATH": str(ROOT)}
        self.slow_down()
        (path / "witan.toml").write_text(f'script = "{path / "slow.toml"}"\nlog_level = "warning"\n')

    def slow_down(self, **delays_s: float) -> None:
        """Let phases take so long; the rest take 0.2 s."""
        replies = "".join(
            f'[[replies]]\nphase = "{phase}"\nname = "{phase}.md"\ntype = "text"\n'
            f'delay_s = {delays_s.get(phase, 0.2)}\ncontent = "# {phase} of {{task}} (scripted)"\n'
            for phase in PHASES
        )
        (self.path / "slow.toml").write_text(f'name = "slow"\nabout = "Takes its time."\n{replies}')

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(self._line(words), capture_output=True, text=True, cwd=self.path, env=self.env)

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        line = self._line(words)
        self.begun.append(subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=self.path, env=self.env))
        return self.begun[-1]

    def rows(self, *words: str, exit_code: int = 0) -> list[dict[str, Any]]:
        done = self.run(*words)
        assert done.returncode == exit_code, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def row(self, *words: str, exit_code: int = 0) -> dict[str, Any]:
        (row,) = self.rows(*words, exit_code=exit_code)
        return row

    def submit(self, text: str, *words: str) -> str:
        return str(self.row("submit", text, *words)["task_id"])

    def history(self, task: str) -> list[str]:
        """What happened to a task, in order."""
        return [event["type"] for commit in self.rows("log", "show", f"evt.task.{task}") for event in commit["events"]]

    def caught_up(self) -> None:
        """Wait until the tables have what the log has now."""
        head = self.row("log", "verify")["seq"]
        while int(self.run("query", "counts").stderr.split("at seq ")[1].split(",")[0]) < head:
            pass

    def _line(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "cli.main", *words]


@contextmanager
def a_folder(path: Path) -> Iterator[Folder]:
    """A folder where Witan may be started; whatever runs there is stopped."""
    folder = Folder(path)
    yield folder
    folder.run("down")
    for process in folder.begun:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with a_folder(tmp_path) as folder:
        yield folder


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """A folder where Witan runs and has nothing to do, shared by all who change nothing."""
    with a_folder(tmp_path_factory.mktemp("idle")) as folder:
        folder.row("up", "--detach")
        yield folder


@pytest.fixture
def witan(folder: Folder) -> Folder:
    """A folder where Witan runs."""
    folder.row("up", "--detach")
    return folder


def read_until(watcher: "subprocess.Popen[str]", wanted: str) -> list[dict[str, Any]]:
    """The lines of a watcher up to the first event of a type."""
    assert watcher.stdout is not None
    seen: list[dict[str, Any]] = []
    for line in watcher.stdout:
        seen.append(json.loads(line))
        if seen[-1]["type"] == wanted:
            return seen
    raise AssertionError(f"{wanted} never came; seen: {[row['type'] for row in seen]}")


def test_a_task_goes_through_its_five_phases_while_somebody_watches(witan: Folder) -> None:
    told = witan.rows("submit", "build it", "--watch", "--context", "language=python")
    task = told[0]["id"]
    assert [row["event"]["phase"] for row in told if row["type"] == "PhaseCompleted"] == list(PHASES)
    assert told[-1]["type"] == "TaskCompleted"
    assert told[0]["event"]["context"] == {"language": "python"}
    witan.caught_up()
    status = witan.row("status", task[:6])
    assert (status["id"], status["status"], status["progress"]) == (task, "completed", "5/5")
    shown = witan.row("show", task, "--json")
    assert [phase["status"] for phase in shown["phases"]] == ["completed"] * 5
    assert len(shown["artifacts"]) == 5
    assert witan.row("log", "verify")["kinds"]["task"] > 0
    counted = witan.row("sql", "SELECT count(*) AS n FROM events WHERE type = 'PhaseCompleted'")
    assert counted == {"n": 5}


def test_no_phase_starts_between_a_pause_and_its_resume(folder: Folder) -> None:
    folder.slow_down(research=4)
    folder.row("up", "--detach")
    task = folder.submit("build it")
    watcher = folder.begin("watch", task)
    assert folder.row("guardian", "pause", task[:8], "--reason", "look first")["ordered"] == "pause"
    read_until(watcher, "PipelinePaused")
    read_until(watcher, "PhaseCompleted")
    folder.caught_up()
    (paused,) = folder.rows("query", "tasks", f"id={task}")
    assert paused["status"] == "paused"
    assert (
        folder.row("guardian", "override", task, "--set", "style=terse", "--reason", "asked")["ordered"] == "override"
    )
    folder.row("guardian", "resume", task)
    watcher.communicate()
    assert watcher.returncode == 0
    history = folder.history(task)
    still = history[history.index("PipelinePaused") : history.index("PipelineResumed")]
    assert "PhaseRequested" not in still and "PhaseAssigned" not in still
    assert history.count("PhaseCompleted") == 5
    folder.caught_up()
    orders = [row["what"] for row in folder.rows("query", "guardian", f"pipeline={task}")]
    assert sorted(orders) == ["override", "pause", "resume"]


def test_a_freeze_stops_what_is_new_until_the_thaw(witan: Folder) -> None:
    frozen = witan.row("guardian", "freeze", "--reason", "drill")
    assert frozen["ordered"] == "freeze"
    read_until(witan.begin("log", "tail", "-f", "--kind", "slots"), "WorkFrozen")
    task = witan.submit("build it", "--workflow", "direct")
    assert witan.history(task) == ["TaskSubmitted"]
    refused = witan.run("guardian", "freeze", "--json")
    assert (refused.returncode, json.loads(refused.stdout)["code"]) == (1, "refused")
    witan.row("guardian", "thaw")
    assert witan.run("watch", task).returncode == 0


def test_cancel_ends_a_task_and_watch_says_so(folder: Folder) -> None:
    folder.slow_down(research=600)
    folder.row("up", "--detach")
    task = folder.submit("build it")
    watcher = folder.begin("watch", task)
    read_until(watcher, "TaskSubmitted")
    assert folder.row("cancel", task, "--reason", "no longer needed")["status"] == "cancelled"
    watcher.communicate()
    assert watcher.returncode == 1
    again = folder.run("cancel", task, "--json")
    assert (again.returncode, json.loads(again.stdout)["code"]) == (1, "refused")
    assert "the task is cancelled" in again.stderr


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["submit", "x", "--workflow", "nonsense"], 1, "there is no workflow 'nonsense'"),
        (["submit", ""], 2, "task"),
        (["run", "", "--fresh"], 2, "task"),
        (["run", "", "--fresh", "--detach"], 2, "task"),
        (["guardian", "pause", "nonsense"], 1, "no task's id begins with 'nonsense'"),
        (["query", "nonsense"], 1, "there is no view 'nonsense'"),
        (["query", "tasks", "colour=red"], 2, "no parameter 'colour'"),
        (["guardian", "thaw"], 1, "nothing is frozen"),
        (["rebuild"], 1, "has the tables open"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_refused_with_words(words: list[str], code: int, told: str, idle: Folder) -> None:
    done = idle.run(*words, "--json")
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    answer = json.loads(done.stdout)
    assert answer["ok"] is False and answer["hint"]
    assert "Traceback" not in done.stderr and "Working" not in done.stderr


def test_without_a_password_one_may_submit_ask_and_order(folder: Folder, tmp_path: Path) -> None:
    folder.slow_down(research=600)
    folder.row("up", "--detach")
    card = json.loads((folder.path / ".witan" / "daemon.json").read_text())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    guest = Folder(elsewhere)
    place = ("--nats", card["public_url"])
    task = guest.submit("build it", *place)
    folder.caught_up()
    assert guest.row("guardian", "pause", task[:8], "--reason", "a guest asks", *place)["pipeline_id"] == task
    assert [row["id"] for row in guest.rows("query", "tasks", *place)] == [task]


def test_a_submission_that_is_repeated_under_its_id_is_one_task(witan: Folder) -> None:
    first = witan.submit("build it", "--id", "plan-1")
    assert witan.submit("build it", "--id", "plan-1") == first
    witan.caught_up()
    assert len(witan.rows("status")) == 1


def test_a_killed_witan_goes_on_where_it_was_and_so_does_who_watches_it(folder: Folder) -> None:
    folder.slow_down(research=2)
    folder.row("up", "--detach")
    task = folder.submit("build it")
    watcher = folder.begin("watch", task)
    seen = read_until(watcher, "PhaseCompleted")
    os.kill(pid_of(folder), signal.SIGKILL)
    folder.row("up", "--detach")
    rest, _ = watcher.communicate()
    assert watcher.returncode == 0
    seen += map(json.loads, rest.splitlines())
    assert [row["type"] for row in seen] == folder.history(task), "the watcher missed something or saw it twice"
    assert folder.history(task).count("PhaseCompleted") == 5
    folder.row("log", "verify")
    assert folder.row("rebuild", "--verify")["same"] is True


def pid_of(folder: Folder) -> int:
    return int(json.loads((folder.path / ".witan" / "daemon.json").read_text())["pid"])


def test_up_and_down_say_what_they_find(folder: Folder) -> None:
    first = folder.row("up", "--detach")
    assert first["url"].startswith("nats://127.0.0.1:")
    second = folder.run("up", "--detach")
    assert second.returncode == 3
    assert f"pid {first['pid']}, since 20" in second.stderr
    assert (folder.path / ".witan" / "daemon.json").stat().st_mode & 0o777 == 0o600
    assert folder.run("doctor").returncode == 0
    assert folder.row("down")["stopped"] == first["pid"]
    again = folder.run("down")
    assert (again.returncode, again.stdout) == (0, "")
    assert "nothing to stop" in again.stderr


def test_up_that_cannot_start_says_why(folder: Folder) -> None:
    (folder.path / "witan.toml").write_text('workflow = "nonsense"\n')
    failed = folder.run("up", "--detach")
    assert failed.returncode == 3
    assert "there is no workflow 'nonsense'" in failed.stderr
    (folder.path / "witan.toml").write_text("pipelines = 0\n")
    wrong = folder.run("up", "--detach")
    assert wrong.returncode == 2
    assert "$.pipelines" in wrong.stderr


def test_the_tables_of_a_stopped_witan_are_read_and_made_anew(witan: Folder) -> None:
    task = witan.rows("submit", "build it", "--workflow", "direct", "--watch")[0]["id"]
    assert witan.row("rebuild", "--verify")["same"] is True
    witan.caught_up()
    witan.row("down")
    assert witan.row("status", task)["status"] == "completed"
    seq = witan.row("rebuild")["seq"]
    assert witan.row("rebuild", "--verify") == {"seq": seq, "same": True}
    assert witan.row("status", task)["status"] == "completed"


def test_a_command_that_was_sent_while_witan_was_down_is_executed_once_it_is_up(folder: Folder) -> None:
    bridge, server = Bridge(), Server(folder.path / "elsewhere")
    try:
        bridge.run(_with_streams(server))
        place = ("--nats", server.url)
        stored = folder.run("submit", "build it", "--workflow", "direct", "--id", "early", *place)
        assert stored.returncode == 124
        assert "it is stored and will be executed once" in stored.stderr
        folder.row("up", "--detach", *place)
        task = folder.submit("build it", "--workflow", "direct", "--id", "early", *place)
        assert folder.run("watch", task, *place).returncode == 0
        folder.caught_up()
        assert [row["id"] for row in folder.rows("status", *place)] == [task]
        folder.row("down")
    finally:
        bridge.run(server.stop())
        bridge.close()


async def _with_streams(server: Server) -> None:
    await server.start()
    connection = await connect(server.url)
    await topology.ensure(connection)
    await connection.close()


def test_the_demo_ends_well_without_a_terminal_and_leaves_nothing_behind(folder: Folder) -> None:
    demo = folder.run("demo")
    assert demo.returncode == 0, demo.stderr
    assert "Scripted demo" in demo.stderr
    assert "implement waits" in demo.stderr
    lines = [json.loads(line) for line in demo.stdout.splitlines()]
    types = [line["type"] for line in lines if "type" in line]
    still = types[types.index("PipelinePaused") : types.index("PipelineResumed")]
    assert "PhaseRequested" not in still
    assert types[-1] == "TaskCompleted"
    assert lines[-1]["commits"] > 0
    assert not (folder.path / ".witan").exists()
