"""A briefing says the most relevant things in no more than 600 tokens; `witan briefing` shows it."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.treasurer.briefing import BRIEFING_MAX_TOKENS, Facts, Requirement, Trouble, brief, relevance
from actors.treasurer.knowing import facts_of
from actors.treasurer.measure import estimate
from bus.messages import exec, step, task
from bus.messages.base import Excerpt, TestResults
from cli.main import cli
from projections.store import Store
from tests.projected_run import a_run_at_work

Type = Callable[..., Result]

LINES = st.lists(st.text(max_size=400), max_size=30)
TROUBLES = st.builds(
    Trouble, st.text(max_size=40), st.text(max_size=400), st.text(max_size=40), st.text(max_size=40), st.floats(0, 48)
)
REQUIREMENTS = st.builds(Requirement, st.integers(1, 100), st.text(max_size=300), st.booleans())
FACTS = st.builds(
    Facts, st.text(max_size=5000), LINES, st.lists(REQUIREMENTS, max_size=100), LINES, LINES,
    st.lists(TROUBLES, max_size=30), LINES,
)  # fmt: skip


@given(FACTS)
@settings(max_examples=200, deadline=None)
def test_no_briefing_is_longer_than_it_may_be(facts: Facts) -> None:
    briefing = brief(facts)
    assert briefing.tokens == estimate(briefing.text) <= BRIEFING_MAX_TOKENS
    assert all(lines and title for title, lines in briefing.parts)
    assert all("\n" not in line for _, lines in briefing.parts for line in lines)
    assert brief(facts) == briefing


def test_every_part_gets_its_share_of_a_briefing_that_is_full() -> None:
    many = [f"something that goes on for a while about number {number}" for number in range(100)]
    facts = Facts(
        "build it", many, [Requirement(1 + n, text, False) for n, text in enumerate(many)], many, many, (), many
    )
    briefing = brief(facts)
    counts = [len(lines) for title, lines in briefing.parts if title != "task"]
    assert len(counts) == 5 and max(counts) - min(counts) <= 1
    assert briefing.tokens > 0.9 * BRIEFING_MAX_TOKENS


def test_what_is_relevant_and_what_is_new_comes_first() -> None:
    facts = Facts(
        "Mend the parser of durations",
        files=["docs/index.md", "src/parser.py", "src/durationParser.py", "Makefile"],
        requirements=[Requirement(1, "done", True), Requirement(2, "open", False)],
        questions=["which one?"],
        troubles=[
            Trouble("timeout", "the build", "smaller_scope", "failed", 2, "other"),
            Trouble("test_failure", "the parser of durations", "fix_the_code", "recovered", 2),
            Trouble("loop", "the parser of durations", "other_way", "failed", 25),
        ],
        log=[f"event {number}" for number in range(20)],
    )
    parts = dict(brief(facts).parts)
    assert parts["relevant files"][:2] == ("src/durationParser.py", "src/parser.py")
    assert parts["requirements"] == ("2. [ ] open", "1. [x] done")
    assert parts["log"] == tuple(f"event {number}" for number in range(10, 20))
    assert parts["failures of the last 24 hours"] == (
        "test_failure (the parser of durations): fix_the_code, recovered",
        "timeout in other (the build): smaller_scope, failed",
    )


def test_words_are_compared_without_their_endings_and_names_are_taken_apart() -> None:
    assert relevance("parsing durations", "DurationParser") == 0.5
    assert relevance("parsers of a duration", "src/duration_parser.py") == pytest.approx(2 / 3)
    assert relevance("anything", "") == 0.0


def test_what_is_known_when_a_run_begins_follows_from_the_events() -> None:
    facts = facts_of(
        "build it",
        ["read", "write"],
        [
            task.TaskSubmitted("build it", "w", ["code"]),
            step.ChecklistExtended(["test"]),
            step.ChecklistItemDone(3),
            exec.ToolEnded("1-1", True, Excerpt(""), 1, wrote=["a.py"]),
            exec.ExecEnded("1-2", "exit", Excerpt(""), 1, 1, tests=TestResults(1, 1, failures=["test_a"])),
            task.PhaseFailed("code", "c", "r", "boom", failure="test_failure"),
            task.RecoveryStarted("code", "test_failure", "low", "fix_the_code", 1, 1, "hint", "assert 1"),
            task.RecoveryEnded("code", "test_failure", "fix_the_code", 1, True),
            task.PersonAsked("code", "help", "which one?"),
        ],
    )
    assert facts.requirements == [
        Requirement(1, "read", False),
        Requirement(2, "write", False),
        Requirement(3, "test", True),
    ]
    assert facts.files == ["a.py"] and facts.quality == ["the test test_a fails"] and facts.questions == ["which one?"]
    assert facts.troubles == [Trouble("test_failure", "assert 1", "fix_the_code", "recovered", 0)]
    assert facts.log[0] == "task submitted" and facts.log[1] == "phase failed: code, c, test_failure, boom"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Type a line in a folder whose Witan was stopped in the middle of a run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    store = Store(tmp_path / ".witan" / "witan.duckdb")
    store.take(a_run_at_work().records)
    store.close()
    return lambda *words: CliRunner().invoke(cli, words, prog_name="witan")


def test_a_briefing_is_printed_from_the_table_file_when_no_daemon_runs(run: Type) -> None:
    result = run("briefing", "a", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["task_id"] == "a" and 0 < told["tokens"] <= BRIEFING_MAX_TOKENS
    assert told["task"] == ["build a (running, 0/1 phases done)"]
    assert told["requirements"] == ["1. [ ] read", "3. [ ] test", "2. [x] write"]
    assert told["quality_issues"] == ["the test t fails"] and told["relevant_files"] == ["a.py"]
    assert told["failures_of_the_last_24_hours"] == ["test_failure: read the error, recovered"]
    assert len(told["log"]) == 10 and told["log"][-1] == "checklist item done"
    assert "No Witan runs here" in result.stderr


def test_a_briefing_has_a_row_a_line_in_csv(run: Type) -> None:
    rows = list(csv.DictReader(io.StringIO(run("briefing", "a", "--csv").stdout)))
    assert {row["part"] for row in rows} >= {"task", "log", "requirements"}


def test_nobody_is_briefed_on_a_task_that_there_is_not(run: Type) -> None:
    assert run("briefing", "zz").exit_code == 1


def test_questions_stay_open_until_the_task_is_taken_up_again() -> None:
    asked = task.PersonAsked("code", "help", "which one?")
    assert facts_of("t", (), [asked]).questions == ["which one?"]
    assert facts_of("t", (), [asked, task.TaskReset()]).questions == []
