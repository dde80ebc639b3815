"""What a person types is read as they mean it, and every outcome has its words and its exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from bus.errors import Broken, Invalid, Missing, Refused, Unavailable, WitanError
from bus.log import MemoryLog
from cli.exits import Absent, exit_of
from cli.follow import lines_of
from cli.main import VERBS, cli
from cli.output import Form, clean, print_one, print_rows
from cli.pieces import pieces_of
from cli.progress import Progress
from cli.reach import checked, daemon_of
from cli.ticker import sentence
from cli.verbs.log_tail import newest
from tests.test_verify import history


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Run":
    """Type a line in an empty folder of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("WITAN_")]:
        monkeypatch.delenv(name)
    return Run()


class Run:
    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(cli, words, prog_name="witan")


def every_verb() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []

    def walk(group: click.Group, above: tuple[str, ...]) -> None:
        ctx = click.Context(group)
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            assert command is not None
            found.append((*above, name))
            if isinstance(command, click.Group):
                walk(command, (*above, name))

    walk(cli, ())
    return found


@pytest.mark.parametrize("words", every_verb(), ids=" ".join)
def test_every_verb_explains_itself(words: tuple[str, ...], run: Run) -> None:
    result = run(*words, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: witan {' '.join(words)}")


def test_the_verbs_are_listed_without_being_loaded() -> None:
    heavy = ["asyncio", "duckdb", "msgspec", "nats", "pyarrow", "rich", *(module for module, _ in VERBS.values())]
    program = (
        "import sys; from cli.main import cli\n"
        "try: cli.main(['--help'], prog_name='witan')\n"
        "except SystemExit: pass\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr.strip() == "[]"
    for verb in VERBS:
        assert f"  {verb} " in done.stdout


ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["stat"], "Did you mean 'status'?"),
        (["submit"], "Missing argument 'TEXT'"),
        (["submit", "x", "--priority", "10"], "is not in the range 0<=x<=9"),
        (["submit", "x", "--context", "nonsense"], "neither key=value nor a JSON object"),
        (["submit", "x", "--context", '{"a":'], "is not a JSON object"),
        (["guardian", "override", "x", "--set", "a=b"], "Missing option '--reason'"),
        (["guardian", "freeze", "some-id"], "unexpected extra argument"),
        (["query"], "Name a view"),
        (["log", "tail", "--kind", "nonsense"], "is not one of"),
        (["log", "show", "not.a.subject"], "is not the subject of an entity"),
        (["completion", "tcsh"], "is not one of"),
        (["log", "verify", "--head", "nowhere.json"], "No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistyped_line_ends_with_2_and_says_why(words: list[str], told: str, run: Run) -> None:
    result = run(*words)
    assert result.exit_code == 2, result.stderr
    assert told in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ["submit", "build it"],
        ["status"],
        ["watch"],
        ["watch", "abc"],
        ["show", "abc"],
        ["cancel", "abc"],
        ["reset", "abc"],
        ["guardian", "pause", "abc"],
        ["guardian", "freeze"],
        ["query", "tasks"],
        ["as-of", "3", "tasks"],
        ["log", "tail"],
        ["log", "show", "1"],
        ["log", "verify"],
        ["log", "export"],
        ["sql", "SELECT 1"],
    ],
    ids=" ".join,
)
def test_without_a_daemon_a_verb_ends_with_3_and_says_what_to_type(words: list[str], run: Run) -> None:
    result = run(*words)
    assert result.exit_code == 3, result.output
    assert "witan up" in result.stderr
    assert "Traceback" not in result.output


def test_with_json_an_error_is_an_object_on_stdout_too(run: Run) -> None:
    result = run("status", "--json")
    told = json.loads(result.stdout)
    assert (told["ok"], told["code"]) == (False, "absent")
    assert "witan up" in told["hint"]
    assert json.loads(run("query", "--json").stdout)["code"] == "usage"


def test_a_setting_that_does_not_exist_is_an_error_with_words(run: Run, tmp_path: Path) -> None:
    (tmp_path / "witan.toml").write_text("pipelnes = 3\n")
    result = run("status")
    assert result.exit_code == 2
    assert "$.pipelnes: there is no such setting" in result.stderr


def test_a_state_folder_that_cannot_be_made_ends_with_3(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WITAN_STATE_DIR", str(tmp_path / "file" / "state"))
    result = run("up", "--detach", "--json")
    assert result.exit_code == 3
    assert str(tmp_path / "file") in result.stderr
    assert json.loads(result.stdout)["code"] == "absent"


def test_a_table_cuts_what_is_long_and_shows_times_to_the_second(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(["at", "text"], [["2026-11-20T12:00:01.123456", "x" * 1000]], Form.TABLE)
    out = capsys.readouterr().out
    assert "2026-11-20 12:00:01 " in out
    assert out.count("x") < 400


def test_down_without_a_daemon_is_no_failure(run: Run) -> None:
    result = run("down")
    assert result.exit_code == 0
    assert "nothing to stop" in result.stderr


def test_a_daemon_file_whose_process_is_gone_counts_for_nothing(run: Run, tmp_path: Path) -> None:
    from cli.config import load

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    settings = load().settings
    settings.state_dir.mkdir()
    (settings.state_dir / "daemon.json").write_text(json.dumps({"pid": gone.pid, "url": "nats://127.0.0.1:1"}))
    assert daemon_of(settings) is None
    (settings.state_dir / "daemon.json").write_text("{")
    assert daemon_of(settings) is None


def test_a_server_that_is_not_there_ends_with_3(run: Run) -> None:
    result = run("log", "tail", "--nats", "nats://127.0.0.1:1")
    assert result.exit_code == 3
    assert "no NATS server answers at" in result.stderr


def test_doctor_names_what_is_not_running_and_ends_with_3(run: Run) -> None:
    result = run("doctor", "--json")
    lines = {line["what"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert result.exit_code == 3
    assert lines["python"]["state"] == lines["nats-server"]["state"] == "ok"
    assert lines["daemon"] == {
        "what": "daemon",
        "state": "absent",
        "told": lines["daemon"]["told"],
        "next": "witan up --detach",
    }


def test_config_show_says_where_each_value_was_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "witan.toml").write_text("pipelines = 7\n")
    monkeypatch.setenv("WITAN_LEASE_S", "9")
    lines = {line["setting"]: line for line in map(json.loads, run("config", "show").stdout.splitlines())}
    assert lines["pipelines"]["value"] == 7
    assert lines["pipelines"]["origin"] == str(tmp_path / "witan.toml")
    assert (lines["lease_s"]["value"], lines["lease_s"]["origin"]) == (9.0, "environment WITAN_LEASE_S")
    assert lines["workflow"]["origin"] == "default"
    assert lines["agents.coder"]["value"] == 1


def test_config_commands_lists_every_subject(run: Run) -> None:
    subjects = [json.loads(line)["subject"] for line in run("config", "commands").stdout.splitlines()]
    assert "cmd.orchestrator.submit_task" in subjects
    assert "guardian.pause_pipeline" in subjects


def test_query_list_documents_every_view(run: Run) -> None:
    from projections.statements import VIEWS

    listed = {line["view"]: line for line in map(json.loads, run("query", "--list").stdout.splitlines())}
    assert set(listed) == set(VIEWS)
    assert all(line["about"] and line["filters"] for line in listed.values())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, run: Run) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_WITAN_COMPLETE" in result.stdout


def completed(words: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("_WITAN_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"witan {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" "))))
    result = CliRunner().invoke(cli, [], prog_name="witan")
    return [line.split(",", 1)[1] for line in result.stdout.splitlines()]


def test_the_shell_completes_verbs_options_and_views(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed("st", monkeypatch) == ["status"]
    assert completed("guardian p", monkeypatch) == ["pause"]
    assert completed("log tail --k", monkeypatch) == ["--kind"]
    assert completed("query pip", monkeypatch) == ["pipelines"]


def test_pieces_are_text_unless_they_are_a_json_object() -> None:
    assert pieces_of(["version=1.10", "a=b=c", '{"deep": {"n": 1}}'], "--set") == {
        "version": "1.10",
        "a": "b=c",
        "deep": {"n": 1},
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Invalid(), 2),
        (Absent(), 3),
        (Refused(), 1),
        (Missing(), 1),
        (Broken(), 1),
        (Unavailable(), 124),
        (WitanError(), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, WitanError) else "",
)
def test_every_kind_of_error_has_its_exit_code(error: WitanError, code: int) -> None:
    assert exit_of(error.code) == code


@pytest.mark.parametrize(("code", "number"), [("budget", 4), ("person", 5), ("never heard of", 1)])
def test_an_answer_that_says_no_keeps_its_code(code: str, number: int) -> None:
    with pytest.raises(WitanError, match="not now") as caught:
        checked(json.dumps({"ok": False, "code": code, "message": "not now", "hint": "later"}).encode())
    assert (caught.value.code, caught.value.what_next) == (code, "later")
    assert exit_of(caught.value.code) == number


def test_rows_come_out_as_json_lines_and_as_csv(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[list[object]] = [["a", 1, {"deep": [1]}], ["b, c", None, True]]
    print_rows(["name", "n", "more"], rows, Form.JSON)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"name": "a", "n": 1, "more": {"deep": [1]}},
        {"name": "b, c", "n": None, "more": True},
    ]
    print_rows(["name", "n", "more"], rows, Form.CSV)
    assert capsys.readouterr().out == 'name,n,more\na,1,"{""deep"":[1]}"\n"b, c",,yes\n'


def test_a_table_has_every_row_and_no_escape_of_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(["id", "text"], [["t1", "red \x1b[31malert[/red]"]], Form.TABLE)
    out = capsys.readouterr().out
    assert "t1" in out
    assert "\x1b" not in out
    assert "[/red]" in out


def test_one_thing_is_a_list_of_its_fields_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    print_one({"task_id": "abc", "phases": ["design"]}, Form.TABLE)
    assert capsys.readouterr().out == 'task_id  abc\nphases   ["design"]\n'


def test_text_from_the_log_cannot_steer_the_terminal() -> None:
    assert clean("a\x1b]0;owned\x07b\nc") == "a\N{REPLACEMENT CHARACTER}]0;owned\N{REPLACEMENT CHARACTER}b\nc"


def test_an_event_is_one_line_for_a_person() -> None:
    (line,) = lines_of(history(["abc"])[0])
    told = sentence(line)
    assert "abc" in told
    assert "TaskSubmitted" in told
    assert "task=build it" in told
    assert "\n" not in told


def test_progress_follows_a_task_to_its_phases() -> None:
    from bus.messages.kinds import read_commit

    progress = Progress("abc")
    for record in history(["abc"] * 3):
        progress.take(read_commit(record), record.seq)
    assert progress.status == "running"
    assert [(line.name, line.status, line.agent) for line in progress.phases.values()] == [
        ("implement", "completed", "ada")
    ]
    assert not progress.ended


async def _newest(count: int, only: str) -> list[int]:
    log = MemoryLog()
    log.records = history(["a", "b"] * 400)
    found = await newest(log, "evt.>", count, lambda record: record.subject.endswith(only), await log.head())
    return [record.seq for record in found]


def test_the_newest_records_are_found_however_far_back_they_are() -> None:
    import asyncio

    assert asyncio.run(_newest(2, "")) == [799, 800]
    assert asyncio.run(_newest(3, "a")) == [795, 797, 799]
    assert asyncio.run(_newest(0, "")) == []
    assert len(asyncio.run(_newest(5000, "b"))) == 400
