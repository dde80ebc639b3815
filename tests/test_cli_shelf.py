"""Roles, workflows and playbooks as a person finds, changes, breaks, reads and runs them."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from actors.agent.playbooks import OWN, read_playbooks
from actors.guardian.decide import Guardian
from actors.librarian.decide import Librarian
from actors.librarian.playbook import subject_of
from actors.orchestrator.decide import Orchestrator
from actors.orchestrator.workflow import read_workflows
from actors.outbox import Wires
from actors.supervisor import Supervisor
from bus import topology
from bus.blobs import Blobs
from bus.bridge import Bridge
from bus.connection import connect
from bus.errors import Invalid
from bus.jetstream import JetStreamLog
from bus.messages.kinds import read_commit
from bus.messages.task import TaskSubmitted
from bus.server import Server
from cli.config import Settings
from cli.main import cli
from cli.shelf import read_shelf, shelves
from tests.test_playbooks import GOOD, write

Run = Callable[..., Result]
PAINTER = """name = "painter"
about = "Paints."
prompt = "Paint well."
tools = ["write", "playbook", "finish"]
playbooks = ["tidy_up"]
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Type a line in an empty folder of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("WITAN_")]:
        monkeypatch.delenv(name)
    return lambda *words: CliRunner().invoke(cli, words, prog_name="witan")


def rows(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def here(folder: Path) -> Settings:
    return Settings(state_dir=folder / ".witan")


@pytest.mark.parametrize(
    ("verb", "names"),
    [
        ("roles", ["coder", "deployer", "designer", "researcher", "tester"]),
        ("workflows", ["direct", "review", "tiered"]),
        ("playbooks", sorted(read_playbooks(OWN))),
    ],
)
def test_witan_brings_its_own_and_a_group_typed_alone_lists_them(verb: str, names: list[str], run: Run) -> None:
    listed = rows(run(verb, "list"))
    assert listed == rows(run(verb)) == rows(run(verb, "--json"))
    assert set(names) <= {row["name"] for row in listed}
    assert {row["origin"] for row in listed} == {"witan"}
    assert run(verb, "--csv").stdout.startswith("name,")


def test_the_projects_file_goes_before_witans_and_the_state_folders_before_both(tmp_path: Path, run: Run) -> None:
    tester = (OWN.parent / "roles" / "tester.toml").read_text()
    put(tmp_path / "witan/roles/tester.toml", tester.replace("Tries to break", "Hopes to break"))
    put(tmp_path / "witan/roles/coder.toml", tester.replace('"tester"', '"coder"'))
    put(tmp_path / ".witan/roles/coder.toml", tester.replace('"tester"', '"coder"').replace("Tries", "Fails"))
    found = {row["name"]: (row["origin"], row["about"][:5]) for row in rows(run("roles"))}
    assert found["tester"] == ("project", "Hopes")
    assert found["coder"] == ("state", "Fails")
    assert found["designer"][0] == "witan"


def test_the_projects_files_are_found_from_any_folder_below_and_when_the_state_is_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    put(tmp_path / "witan.toml", 'state_dir = "/var/lib/somewhere"\n')
    put(tmp_path / "witan/workflows/short.toml", 'name = "short"\nabout = "Short."\nphases = []\n')
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert shelves(Settings(state_dir=Path("/var/lib/somewhere")))[1] == tmp_path / "witan"
    assert ("short", "project") in [(row["name"], row["origin"]) for row in rows(run("workflows"))]


def test_a_file_can_be_shown_with_its_place(tmp_path: Path, run: Run) -> None:
    (role,) = rows(run("roles", "show", "researcher"))
    assert (role["territory"], role["network"], role["origin"]) == (["docs/**"], False, "witan")
    assert role["path"].endswith("roles/researcher.toml") and "research_doc" in role["prompt"]
    phases = rows(run("workflows", "show", "tiered"))
    assert [phase["role"] for phase in phases] == ["researcher", "designer", "coder", "tester", "deployer"]
    (playbook,) = rows(run("playbooks", "show", "run_tests"))
    assert playbook["text"] == (OWN / "run_tests" / "SKILL.md").read_text()
    assert rows(run("playbooks", "show", "run_tests", "--version", playbook["version"][:8])) == [playbook]


@pytest.mark.parametrize("verb", ["roles", "workflows", "playbooks"])
def test_what_is_not_there_is_answered_with_what_is(verb: str, run: Run) -> None:
    result = run(verb, "show", "nobody")
    assert result.exit_code == 1
    assert f"there is no {verb[:-1]} 'nobody'" in result.stderr and "There are: " in result.stderr


BROKEN = [
    ("roles/painter.toml", PAINTER.replace("write", "fly"), '$.tools[0]: unknown tool "fly"'),
    ("roles/painter.toml", PAINTER, '$.playbooks[0]: unknown playbook "tidy_up"; the playbooks are'),
    ("playbooks/tidy_up/SKILL.md", GOOD.replace("read,", "fly,"), ":5: allowed-tools[0]: unknown tool 'fly'"),
    ("playbooks/tidy_up/SKILL.md", GOOD.replace("coder", "maid"), 'role: unknown role "maid"; the roles are'),
    (
        "workflows/short.toml",
        'name = "short"\nabout = "Short."\n[[phases]]\nname = "paint"\nrole = "maid"\n',
        '$.phases[0].role: unknown role "maid"; the roles are',
    ),
]


@pytest.mark.parametrize(("place", "text", "complaint"), BROKEN, ids=[complaint for _, _, complaint in BROKEN])
def test_a_broken_file_is_named_by_every_verb_and_by_the_doctor(
    place: str, text: str, complaint: str, tmp_path: Path, run: Run
) -> None:
    path = put(tmp_path / "witan" / place, text)
    with pytest.raises(Invalid) as wrong:
        read_shelf(here(tmp_path))
    assert str(wrong.value).startswith(str(path)) and complaint in str(wrong.value)
    for verb in ("roles", "workflows", "playbooks"):
        result = run(verb)
        assert result.exit_code == 2 and complaint in result.stderr
    findings = [json.loads(line) for line in run("doctor").stdout.splitlines()]
    (finding,) = (each for each in findings if each["what"] == "files of the team")
    assert finding["state"] == "bad" and complaint in finding["told"] and finding["next"]


def test_files_that_explain_one_another_are_taken(tmp_path: Path) -> None:
    put(tmp_path / "witan/roles/painter.toml", PAINTER)
    write(tmp_path / ".witan/playbooks", GOOD.replace("coder", "painter"))
    shelf = read_shelf(here(tmp_path))
    assert (shelf.roles["painter"].origin, shelf.playbooks["tidy_up"].origin) == ("project", "state")


class Team:
    """An orchestrator, a guardian and a librarian on a server of their own."""

    def __init__(self, folder: Path) -> None:
        self.bridge, self.server = Bridge(), Server(folder / ".witan" / "nats")
        self.folder = folder
        self.bridge.run(self.server.start())
        self.connection = self.bridge.run(connect(self.server.url))
        self.bridge.run(topology.ensure(self.connection))
        self.log = JetStreamLog(self.connection)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        shelf = read_shelf(here(self.folder))
        workflows = read_workflows(*(folder / "workflows" for folder in shelves(here(self.folder))))
        librarian = Librarian([found.what for found in shelf.playbooks.values()])
        wires = Wires(self.bridge, self.connection, self.log, Blobs(self.connection), time.time)
        supervisor = Supervisor.start(wires)
        try:
            supervisor.proxy().begin([Guardian(2), Orchestrator(workflows, 60, 2), librarian]).get(timeout=60)
            yield
        finally:
            supervisor.proxy().end().get(timeout=60)
            supervisor.stop()

    def events(self, subject: str) -> list[Any]:
        return [event for record in self.bridge.run(self.log.read(subject)) for event in read_commit(record).events]

    def close(self) -> None:
        self.bridge.run(self.connection.close())
        self.bridge.run(self.server.stop())
        self.bridge.close()


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    team = Team(tmp_path)
    yield team
    team.close()


def versions(team: Team, name: str, count: int) -> list[str]:
    """The versions on the log, once there are so many."""
    until_s = time.monotonic() + 30
    while len(events := team.events(subject_of(name))) < count:
        assert time.monotonic() < until_s
    return [event.version for event in events]


def test_every_version_can_be_read_back(tmp_path: Path, team: Team, run: Run) -> None:
    texts = [GOOD, GOOD.replace("Put {thing}", "Throw {thing}")]
    for count, text in enumerate(texts, 1):
        write(tmp_path / "witan" / "playbooks", text)
        with team.at_work():
            told = versions(team, "tidy_up", count)
    nats = ("--nats", team.server.url)
    for version, text in zip(told, texts, strict=True):
        (row,) = rows(run("playbooks", "show", "tidy_up", "--version", version[:10], *nats))
        assert (row["version"], row["text"]) == (version, text)
    result = run("playbooks", "show", "tidy_up", "--version", "0000000000", *nats)
    assert result.exit_code == 1 and told[0][:12] in result.stderr
    result = run("playbooks", "show", "tidy_up", "--version", told[0], "--state-dir", "nowhere")
    assert result.exit_code == 3 and "witan up" in result.stderr


def submitted(team: Team, result: Result) -> TaskSubmitted:
    (row,) = rows(result)
    first = team.events(f"evt.task.{row['task_id']}")[0]
    assert isinstance(first, TaskSubmitted)
    return first


def test_a_playbook_is_run_as_one_phase_of_its_role(team: Team, run: Run) -> None:
    with team.at_work():
        for name, phases in (
            ("research_and_gather", ["research"]),
            ("create_design_spec", ["design"]),
            ("implement_code", ["implement"]),
            ("run_tests", ["test"]),
        ):
            task = submitted(team, run("playbooks", "run", name, "--input", "task=x", "--nats", team.server.url))
            assert (task.workflow, task.phases) == ("tiered", phases)
            assert task.context == {"playbook": name, "inputs": {"task": "x"}}


def test_a_playbook_whose_phase_needs_another_brings_that_along(team: Team, run: Run) -> None:
    nats = ("--nats", team.server.url)
    with team.at_work():
        deploy = ("playbooks", "run", "deploy_to_environment", "--input", "environment=local")
        assert submitted(team, run(*deploy, *nats)).phases == ["test", "deploy"]
        inputs = ("--input", '{"phase": "test", "failure": "loop", "error": "x"}')
        recover = ("playbooks", "run", "phase_failure_recovery", "--role", "coder", *inputs)
        assert submitted(team, run(*recover, *nats)).phases == ["implement"]


def test_a_role_and_a_playbook_of_ones_own_need_files_and_nothing_else(tmp_path: Path, team: Team, run: Run) -> None:
    put(tmp_path / "witan/roles/painter.toml", PAINTER)
    write(tmp_path / "witan/playbooks", GOOD.replace("coder", "painter"))
    phases = '[[phases]]\nname = "paint"\nrole = "painter"\n'
    put(tmp_path / "witan/workflows/art.toml", f'name = "art"\nabout = "Art."\n{phases}')
    with team.at_work():
        words = ("playbooks", "run", "tidy_up", "--input", "room=r", "--input", "thing=t", "--nats", team.server.url)
        task = submitted(team, run(*words))
    assert (task.workflow, task.phases) == ("art", ["paint"])


@pytest.mark.parametrize(
    ("words", "exit_code", "complaint"),
    [
        (("nothing",), 1, "there is no playbook 'nothing'"),
        (("run_tests",), 2, "lacks task"),
        (("run_tests", "--input", "task=x", "--input", "house=y"), 2, "has no house"),
        (("run_tests", "--input", "task=x", "--role", "designer"), 1, "a designer does not have the playbook"),
        (("run_tests", "--input", "task=x", "--role", "maid"), 1, "there is no role 'maid'"),
        (("run_tests", "--input", "task=x"), 3, "no Witan runs"),
        (
            ("phase_failure_recovery", "--input", '{"phase": "a", "failure": "b", "error": "c"}'),
            2,
            "say --role: coder, deployer, designer, researcher, tester",
        ),
    ],
)
def test_a_playbook_that_cannot_be_run_says_why(
    words: tuple[str, ...], exit_code: int, complaint: str, run: Run
) -> None:
    result = run("playbooks", "run", *words)
    assert (result.exit_code, complaint in result.stderr) == (exit_code, True), result.stderr


def test_a_role_without_a_phase_has_nothing_to_do(tmp_path: Path, run: Run) -> None:
    put(tmp_path / "witan/roles/painter.toml", PAINTER)
    write(tmp_path / "witan/playbooks", GOOD.replace("coder", "painter"))
    result = run("playbooks", "run", "tidy_up", "--input", "room=r", "--input", "thing=t")
    assert result.exit_code == 1 and "no workflow has a phase for a painter" in result.stderr
