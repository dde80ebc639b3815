"""What a person asks when no daemon runs: the same verbs read the table file themselves, and say so."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import cli
from projections.store import Store
from tests.test_verify import history

Type = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Type a line in a folder whose Witan was stopped after three tasks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    store = Store(tmp_path / ".witan" / "witan.duckdb")
    store.take(history(["aa1", "aa2", "bb1", "bb1", "bb1"]))
    store.fold()
    store.close()
    return lambda *words: CliRunner().invoke(cli, words, prog_name="witan")


def rows(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_status_is_the_board_and_says_where_it_comes_from(run: Type) -> None:
    result = run("status")
    assert [row["id"] for row in rows(result)] == ["bb1", "aa2", "aa1"]
    assert "No Witan runs here" in result.stderr
    assert "up to seq 5" in result.stderr


def test_json_has_every_column_that_a_table_leaves_out(run: Type) -> None:
    (row,) = rows(run("status", "bb", "--json"))
    assert {"id", "status", "phase", "progress", "first_seq", "last_seq", "workflow"} <= set(row)
    assert row["status"] == "running"


def test_csv_has_a_head_and_every_row(run: Type) -> None:
    table = list(csv.DictReader(io.StringIO(run("status", "--csv").stdout)))
    assert [row["id"] for row in table] == ["bb1", "aa2", "aa1"]


def test_a_query_is_filtered_and_limited_and_says_that_there_is_more(run: Type) -> None:
    assert [row["id"] for row in rows(run("query", "tasks", "status=pending"))] == ["aa2", "aa1"]
    result = run("query", "tasks", "--limit", "1", "--offset", "1")
    assert [row["id"] for row in rows(result)] == ["aa2"]
    assert "there is more" in result.stderr
    assert rows(run("query", "tasks", "--limit", "0")) == []


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["query", "nonsense"], 1, "there is no view 'nonsense'"),
        (["query", "tasks", "colour=red"], 2, "tasks has no parameter 'colour'"),
        (["status", "aa"], 1, "2 tasks begin with 'aa': aa1, aa2"),
        (["status", "zz"], 1, "no task's id begins with 'zz'"),
        (["as-of", "99", "tasks"], 1, "the log is at 5, not yet at 99"),
        (["as-of", "yesterday", "tasks"], 2, "neither a place nor a time"),
        (["sql", "DROP TABLE events"], 1, "is not a question"),
        (["sql", "SELECT nonsense"], 2, "nonsense"),
        (["sql", "SELECT 1; SELECT 2"], 2, "one at a time"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_question_that_makes_no_sense_is_answered_with_words(
    words: list[str], code: int, told: str, run: Type
) -> None:
    result = run(*words)
    assert result.exit_code == code, result.output
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_as_of_shows_the_board_as_it_was(run: Type) -> None:
    assert [row["id"] for row in rows(run("as-of", "2", "tasks"))] == ["aa2", "aa1"]
    assert [row["status"] for row in rows(run("as-of", "3", "tasks", "id=bb1"))] == ["pending"]
    assert [row["id"] for row in rows(run("as-of", "2026-11-20T12:00:01Z", "tasks"))] == ["aa1"]
    assert rows(run("as-of", "0", "tasks")) == []


def test_show_is_all_about_one_task(run: Type) -> None:
    (told,) = rows(run("show", "bb", "--json"))
    task, phases, activity = told["task"], told["phases"], told["activity"]
    assert isinstance(task, dict) and isinstance(phases, list) and isinstance(activity, list)
    assert task["id"] == "bb1"
    assert [phase["agent"] for phase in phases] == ["ada"]
    assert len(activity) == 3
    assert told["artifacts"] == told["guardian"] == []


def test_sql_reads_the_facts(run: Type) -> None:
    result = run("sql", "SELECT kind, count(*) AS events FROM events GROUP BY kind")
    assert rows(result) == [{"kind": "task", "events": 5}]
    assert "1 row from" in result.stderr


def test_the_shell_completes_the_ids_of_tasks(run: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_WITAN_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "witan guardian pause aa")
    monkeypatch.setenv("COMP_CWORD", "3")
    assert run().stdout.splitlines() == ["plain,aa2", "plain,aa1"]
