"""`witan assign` typed at a real Witan, and what the view `routing` says of it afterwards."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.app import App
from cli.config import Settings
from cli.main import cli

Type = Callable[..., Result]
SCRIPT = """
name = "slow"
about = "never ready"

[[replies]]
phase = "any"
name = "x"
type = "x"
content = "x"
delay_s = 3600
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("assigning")
    (folder / "slow.toml").write_text(SCRIPT)
    settings = Settings(
        state_dir=folder / ".witan",
        script=str(folder / "slow.toml"),
        workflow="direct",
        pipelines=1,
        agents={"coder": 2, "cto": 1, "tester": 1},
        log_level="error",
    )
    app = App(settings).open()
    yield app
    app.close()


@pytest.fixture
def type_in(app: App, monkeypatch: pytest.MonkeyPatch) -> Type:
    for name in ("WITAN_NATS_URL", "WITAN_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(app.settings.state_dir.parent)
    return lambda *words: CliRunner().invoke(cli, [*words, "--nats", app.url], prog_name="witan")


def rows(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def until(look: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The tables are a moment behind the log."""
    until_s = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < until_s
    return found


def test_tasks_are_assigned_by_name_by_role_and_by_the_rules(type_in: Type) -> None:
    first, low, high = (
        str(rows(type_in("submit", text, "--workflow", "direct", "--priority", priority))[0]["task_id"])
        for text, priority in (("the first", "9"), ("Create a parser", "1"), ("Create a printer", "5"))
    )
    until(lambda: [row for row in rows(type_in("query", "tasks", f"id={high}")) if row["status"] == "pending"])
    (told,) = rows(type_in("assign", "--auto"))
    assert (told["task_id"], told["role"], told["phase"]) == (high, "coder", "implement")
    assert "requires the role coder" in told["reason"]
    (told,) = rows(type_in("assign", low, "coder-02", "--reason", "knows it", "--id", "once"))
    again = rows(type_in("assign", low, "coder-02", "--reason", "knows it", "--id", "once"))
    assert again == [told] and told["agent"] == "coder-02"
    assert rows(type_in("assign", first, "--role", "tester"))[0]["role"] == "tester"
    seen = until(lambda: found if len(found := rows(type_in("query", "routing"))) == 3 else [])
    assert [(row["task"], row["role"], row["agent"], row["by_whom"]) for row in seen] == [
        (first, "tester", None, "person"),
        (low, "coder", "coder-02", "person"),
        (high, "coder", None, "person"),
    ]
    assert seen[1]["reason"] == "knows it" and seen[2]["confidence"] == 0.95 and seen[2]["complexity"] > 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nothing-here", "--auto"], 1, "no task's id begins with"),
        (["--role", "coder"], 2, "Say which task is meant"),
        (["some-task"], 2, "Name an AGENT, or a --role, or say --auto"),
        (["some-task", "coder-01", "--auto"], 2, "Name an AGENT, or a --role, or say --auto"),
    ],
)
def test_what_cannot_be_meant_is_said(words: list[str], code: int, said: str, type_in: Type) -> None:
    result = type_in("assign", *words)
    assert result.exit_code == code and said in result.output


def test_who_is_not_there_is_refused_with_who_is(type_in: Type) -> None:
    id = str(rows(type_in("submit", "one more", "--workflow", "direct"))[0]["task_id"])
    result = type_in("assign", id, "coder-77")
    assert result.exit_code == 1 and "The agents are: coder-01, coder-02, cto-01, tester-01" in result.output
    result = type_in("assign", id, "cto-01")
    assert result.exit_code == 1 and "a script thinks here" in result.output
    rows(type_in("cancel", id))
    assert "the task is cancelled" in type_in("assign", id, "coder-01").output


def test_the_view_is_documented(type_in: Type) -> None:
    (about,) = [row for row in rows(type_in("query", "--list")) if row["view"] == "routing"]
    assert "decision" in about["about"] and "by_whom" in about["filters"]
