"""The log as a person reads, follows, verifies and exports it, on a real server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bus import topology
from bus.bridge import Bridge
from bus.connection import connect
from bus.envelope import Commit, Draft, encode, link
from bus.ids import fresh_id
from bus.jetstream import JetStreamLog
from bus.messages.base import Event
from bus.messages.guardian import PauseOrdered
from bus.messages.task import PhaseCompleted, PhaseRequested, PipelineStarted, TaskCompleted, TaskSubmitted
from bus.server import Server
from cli.main import cli

ROOT = Path(__file__).parents[1]
WAY: list[list[Event]] = [
    [TaskSubmitted(task="build it", workflow="direct", phases=["implement"])],
    [PipelineStarted(), PhaseRequested(phase="implement", role="coder")],
    [PhaseCompleted(phase="implement", agent="ada", run="r1"), TaskCompleted()],
]


class Place:
    """A server with streams, and something to write with."""

    def __init__(self, folder: Path) -> None:
        self.bridge = Bridge()
        self.server = Server(folder)
        self.ends: dict[str, tuple[int, int, str]] = {}
        self.bridge.run(self._open())

    async def _open(self) -> None:
        await self.server.start()
        self.connection = await connect(self.server.url)
        await topology.ensure(self.connection)
        self.log = JetStreamLog(self.connection)

    def close(self) -> None:
        self.bridge.run(self._close())
        self.bridge.close()

    async def _close(self) -> None:
        await self.connection.close()
        await self.server.stop()

    def write(self, subject: str, events: list[Event], flow: str = "", prev: str | None = None) -> int:
        """One commit behind the entity's last; `prev` plants a broken link."""
        seq, v, fits = self.ends.get(subject, (0, 0, ""))
        at = f"2026-11-20T12:00:{len(self.ends):02d}.000Z"
        id = fresh_id()
        body = encode(Commit(id, at, "test", "cause", flow, v + 1, fits if prev is None else prev, events))
        (place,) = self.bridge.run(self.log.append([Draft(subject, body, id, seq)]))
        self.ends[subject] = (place, v + 1, link(subject, body))
        return place

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(cli, [*words, "--nats", self.server.url], prog_name="witan")

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """The same in a process of its own, that can be read while it runs."""
        return subprocess.Popen(
            [sys.executable, "-m", "cli.main", *words, "--nats", self.server.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    place = Place(tmp_path / "nats")
    try:
        yield place
    finally:
        place.close()


def lines(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_tail_prints_the_newest_events_and_filters_by_kind_and_flow(place: Place) -> None:
    for task in ("aa1", "bb2"):
        for events in WAY:
            place.write(f"evt.task.{task}", events, flow=task)
    place.write("evt.guardian.order1", [PauseOrdered(pipeline="aa1")], flow="aa1")
    assert [line["type"] for line in lines(place.run("log", "tail", "-n", "2"))] == [
        "PhaseCompleted",
        "TaskCompleted",
        "PauseOrdered",
    ]
    assert [line["id"] for line in lines(place.run("log", "tail", "--kind", "guardian"))] == ["order1"]
    assert {line["flow"] for line in lines(place.run("log", "tail", "--flow", "aa"))} == {"aa1"}
    assert lines(place.run("log", "tail", "-n", "0")) == []
    with_head = place.run("log", "tail", "-n", "1", "--csv").stdout.splitlines()
    assert with_head[0] == "seq,at,kind,id,type,by,flow,v,cause,event"


def test_tail_of_an_empty_log_is_empty(place: Place) -> None:
    assert lines(place.run("log", "tail")) == []
    assert lines(place.run("log", "verify"))[0]["commits"] == 0


def test_show_prints_a_commit_and_an_entity_in_full(place: Place) -> None:
    for events in WAY:
        place.write("evt.task.aa1", events)
    (second,) = lines(place.run("log", "show", "2"))
    assert (second["seq"], second["subject"], second["v"]) == (2, "evt.task.aa1", 2)
    assert [line["seq"] for line in lines(place.run("log", "show", "evt.task.aa1"))] == [1, 2, 3]
    missing = place.run("log", "show", "99")
    assert missing.exit_code == 1
    assert "the log has nothing at 99" in missing.stderr


def test_an_honest_log_is_verified_and_a_planted_break_is_named(place: Place) -> None:
    for events in WAY:
        place.write("evt.task.aa1", events)
    (told,) = lines(place.run("log", "verify"))
    assert (told["seq"], told["commits"], told["events"], told["entities"]) == (3, 3, 5, 1)
    assert told["kinds"] == {"task": 3}
    place.write("evt.task.bb2", WAY[0])
    place.write("evt.task.bb2", WAY[1], prev="forged")
    broken = place.run("log", "verify", "--json")
    assert broken.exit_code == 1
    assert "evt.task.bb2 at seq 5 does not follow its commit at seq 4" in broken.stderr
    assert json.loads(broken.stdout)["code"] == "broken"


def test_an_exported_head_proves_the_log_and_refuses_a_shorter_one(place: Place, tmp_path: Path) -> None:
    for events in WAY:
        place.write("evt.task.aa1", events)
    assert place.run("log", "export", "--head", "--out", "head.json").exit_code == 0
    head = json.loads(Path("head.json").read_text())
    assert (head["seq"], head["count"]) == (3, 3)
    assert place.run("log", "verify", "--head", "head.json").exit_code == 0
    place.write("evt.task.bb2", WAY[0])
    assert place.run("log", "verify", "--head", "head.json").exit_code == 0
    Path("longer.json").write_text(json.dumps({**head, "seq": 9, "count": 9}))
    shorter = place.run("log", "verify", "--head", "longer.json")
    assert shorter.exit_code == 1
    assert "seq 5 is missing: the log ends at 4" in shorter.stderr
    Path("other.json").write_text(json.dumps({**head, "digest": "0" * 64}))
    assert "its digest differs" in place.run("log", "verify", "--head", "other.json").stderr
    Path("none.json").write_text("[]")
    assert place.run("log", "verify", "--head", "none.json").exit_code == 2


def test_export_is_every_commit_on_a_line(place: Place) -> None:
    for events in WAY:
        place.write("evt.task.aa1", events)
    result = place.run("log", "export", "--out", "log.jsonl")
    assert result.exit_code == 0, result.output
    told = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    assert [(line["seq"], line["subject"], line["commit"]["v"]) for line in told] == [
        (1, "evt.task.aa1", 1),
        (2, "evt.task.aa1", 2),
        (3, "evt.task.aa1", 3),
    ]


def test_watch_follows_a_task_from_its_first_event_to_its_end(place: Place) -> None:
    place.write("evt.task.aa1", WAY[0])
    watcher = place.begin("watch", "aa1")
    assert watcher.stdout is not None
    first = json.loads(watcher.stdout.readline())
    assert first["type"] == "TaskSubmitted"
    place.write("evt.task.other", WAY[0])
    for events in WAY[1:]:
        place.write("evt.task.aa1", events)
    rest, told = watcher.communicate()
    assert watcher.returncode == 0, told
    assert [json.loads(line)["type"] for line in rest.splitlines()] == [
        "PipelineStarted",
        "PhaseRequested",
        "PhaseCompleted",
        "TaskCompleted",
    ]


def test_watch_of_a_task_that_does_not_end_well_fails(place: Place) -> None:
    from bus.messages.task import TaskCancelled

    place.write("evt.task.aa1", [*WAY[0], TaskCancelled(reason="no longer needed")])
    assert place.run("watch", "aa").exit_code == 1


def test_tail_can_stay_for_what_comes(place: Place) -> None:
    place.write("evt.task.aa1", WAY[0])
    watcher = place.begin("log", "tail", "-f")
    assert watcher.stdout is not None
    assert json.loads(watcher.stdout.readline())["id"] == "aa1"
    place.write("evt.task.bb2", WAY[0])
    assert json.loads(watcher.stdout.readline())["id"] == "bb2"
    watcher.send_signal(2)
    watcher.communicate()
    assert watcher.returncode == 130


def test_a_reader_that_goes_away_ends_the_writer_quietly(place: Place) -> None:
    watcher = place.begin("log", "tail", "-f")
    assert watcher.stdout is not None
    assert watcher.stderr is not None
    place.write("evt.task.aa1", WAY[0])
    watcher.stdout.readline()
    watcher.stdout.close()
    place.write("evt.task.bb2", WAY[0])
    told = watcher.stderr.read()
    watcher.stderr.close()
    watcher.wait()
    assert told == ""


def test_a_task_is_named_by_any_beginning_that_fits_one(place: Place) -> None:
    from bus.messages.task import TaskCancelled

    for task in ("aa1", "aa2", "bb"):
        place.write(f"evt.task.{task}", [*WAY[0], TaskCancelled()])
    assert lines(place.run("log", "tail", "--flow", "bb")) == []
    ambiguous = place.run("watch", "aa")
    assert ambiguous.exit_code == 1
    assert "2 tasks begin with 'aa': aa1, aa2" in ambiguous.stderr
    unknown = place.run("watch", "zz")
    assert unknown.exit_code == 1
    assert "no task's id begins with 'zz'" in unknown.stderr
    assert "aa1, aa2, bb" in unknown.stderr
    assert place.run("watch", "not.a.token").exit_code == 2


def test_a_command_that_nobody_answers_is_stored_and_ends_with_124(place: Place) -> None:
    result = place.run("submit", "build it", "--id", "once")
    assert result.exit_code == 124, result.output
    assert "it is stored and will be executed once" in result.stderr
    assert "--id once" in result.stderr
    reply = place.bridge.run(place.connection.request("$JS.API.STREAM.INFO.COMMANDS"))
    assert json.loads(reply.body)["state"]["messages"] == 1


def test_a_question_that_nobody_answers_ends_with_3(place: Place) -> None:
    result = place.run("query", "tasks")
    assert result.exit_code == 3
    assert "nobody answers questions" in result.stderr


def test_doctor_finds_the_streams_and_one_that_is_missing(place: Place) -> None:
    told = {line["what"]: line for line in map(json.loads, place.run("doctor").stdout.splitlines())}
    assert told["stream EVENTS"]["state"] == told["stream COMMANDS"]["state"] == told["clock"]["state"] == "ok"
    place.bridge.run(place.connection.request("$JS.API.STREAM.DELETE.TIMERS"))
    result = place.run("doctor")
    told = {line["what"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert (result.exit_code, told["stream TIMERS"]["state"]) == (1, "bad")
