"""`witan council`: what a person sees of a council, calls one by hand, and stays with it."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from actors.council.problem import Change, Problem, Proposal, Source
from bus.blobs import Blobs
from bus.messages import run as runs
from bus.messages import task
from bus.messages.council import OpinionMissing
from bus.messages.trial import ProblemGathered
from cli.councils import diff_of, in_short
from cli.follow import taken
from cli.main import cli
from cli.progress import Progress
from cli.reading import Answer
from cli.trace import tree_of
from cli.verbs import council as verb
from projections.store import Store
from tests.projected_councils import Chamber, asked, convened, ended, made, recorded
from tests.projected_stores import new_store
from tests.test_cli import completed
from tests.test_cli_runs import House, in_a_house
from tests.test_council_views import ID, a_council

Type = Callable[..., Result]
PROBLEM = Problem("exception", "add a clock", "implement", "test_failure", "NameError: tick", files=[
    Source("src/clock.py", "def now():\n    return tick\n")
])  # fmt: skip


@pytest.fixture
def chamber() -> Chamber:
    chamber = Chamber()
    chamber.history.submit("t1")
    chamber.history.task("t1", task.PipelineStarted())
    a_council(chamber)
    chamber.tell(ID, recorded("success"))
    chamber.tell("t1-c2-h1", convened("t1", by_hand=True))
    chamber.tell("u7-c1", convened("u7"))
    chamber.tell("u7-c1", ended("u7", "no_money"))
    return chamber


@pytest.fixture
def run(chamber: Chamber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Type a line in a folder whose Witan was stopped after this."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".witan").mkdir()
    store = new_store(tmp_path / ".witan" / "witan.duckdb")
    store.take(chamber.records)
    store.fold()
    store.close()
    return lambda *words: CliRunner().invoke(cli, words, prog_name="witan")


def lines(result: Result, exit_code: int = 0) -> list[dict[str, Any]]:
    assert result.exit_code == exit_code, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_councils_are_listed_the_newest_first(run: Type) -> None:
    listed = lines(run("council"))
    assert [row["council"] for row in listed] == ["u7-c1", "t1-c2-h1", ID]
    assert [row["outcome"] for row in listed] == ["no_money", None, "answered"]
    assert [row["council"] for row in lines(run("council", "list", "--task", "t1"))] == ["t1-c2-h1", ID]
    assert len(lines(run("council", "list", "--limit", "1"))) == 1
    table = list(csv.DictReader(io.StringIO(run("council", "list", "--csv").stdout)))
    assert table[2]["helped"] == "success"


def test_a_council_is_shown_with_its_candidates_side_by_side_and_who_was_left_out(run: Type) -> None:
    (told,) = lines(run("council", "show", ID))
    assert told["council"]["helped"] == "success" and told["council"]["winner"] == "m1"
    assert told["council"]["left_out"] == [{"model": "p/elk", "why": "it rests"}]
    ant, bee, cat = told["candidates"]
    assert (ant["total"], ant["reasoning"], ant["judge_points"]) == (91.5, 0.75, [7, 8])
    assert (bee["tests"], cat["missing"]) == ("1/3", "timeout")
    assert told["problem"] is None, "no daemon runs that could fetch it"
    table = list(csv.DictReader(io.StringIO(run("council", "show", ID, "--csv").stdout)))
    assert [row["candidate"] for row in table] == ["m1", "m2", "m3"]


def test_a_person_sees_tables_of_it(
    run: Type, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    (told,) = lines(run("council", "show", ID))
    verb._print_council(told["council"], PROBLEM, told["candidates"])
    said = capsys.readouterr().out
    for word in ("NameError: tick", "p/elk", "it rests", "91.5", "test_it", "it is right", "success", "src/clock.py"):
        assert word in said, word


@pytest.mark.parametrize(
    ("typed", "meant"), [("t1-c1", ID), ("t1", "t1-c2-h1"), ("u7", "u7-c1"), ("t1-c2", "t1-c2-h1"), ("u", "u7-c1")]
)
def test_a_council_is_found_by_its_id_its_task_or_their_beginning(run: Type, typed: str, meant: str) -> None:
    (told,) = lines(run("council", "show", typed))
    assert told["council"]["council"] == meant


def test_what_is_not_there_is_told_with_what_is(run: Type) -> None:
    result = run("council", "show", "zz")
    assert result.exit_code == 1 and "witan council list" in result.stderr and ID in result.stderr
    result = run("council", "show", "t1-c")
    assert result.exit_code == 1 and "Type one more letter" in result.stderr
    result = run("council", "show", ID, "--diff", "m9")
    assert result.exit_code == 1 and "m1, m2" in result.stderr


def test_wins_are_told_by_model_kind_pair_and_both(run: Type) -> None:
    told = {row["name"]: row for row in lines(run("council", "wins"))}
    assert set(told) == {"p/ant", "p/bee", "p/cat", "q/owl"}
    assert (told["p/ant"]["wins"], told["p/ant"]["sample"], told["p/ant"]["helped"]) == (1, 1, 1)
    assert told["p/ant"]["low"] < told["p/ant"]["rate"] <= 1
    assert {row["name"] for row in lines(run("council", "wins", "--by", "problem-type"))} == {"exception", "other"}
    assert len(lines(run("council", "wins", "--by", "pair"))) == 3
    assert {row["kind"] for row in lines(run("council", "wins", "--by", "model-kind"))} == {"exception"}
    assert lines(run("council", "wins", "--kind", "design")) == []
    assert lines(run("council", "wins", "--since", "2999-01-01")) == []
    assert len(lines(run("council", "wins", "--since", "2026-11-20T12:00:00+00:00"))) == 4
    assert run("council", "wins", "--since", "90000d").exit_code == 0
    assert run("council", "wins", "--since", "soon").exit_code == 2
    assert run("council", "wins", "--by", "luck").exit_code == 2


def test_the_shell_completes_councils(run: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed("council sh", monkeypatch) == ["show"]
    assert completed("council show u", monkeypatch) == ["u7-c1"]
    assert completed("council convene x --str", monkeypatch) == ["--strategy"]


def test_a_trace_has_the_councils_of_its_runs(run: Type, chamber: Chamber, tmp_path: Path) -> None:
    store = Store(tmp_path / ".witan" / "witan.duckdb")
    chamber.history.commit(
        "evt.run.coder-1.t1-3",
        runs.RunStarted("t1", "implement", "coder", "models"),
        runs.RunFailed("broken"),
        flow="t1",
    )
    store.take(chamber.records)
    store.close()
    (told,) = lines(run("trace", "t1"))
    assert [council["council"] for council in told["runs"][0]["councils"]] == [ID, "t1-c2-h1"]
    with io.StringIO() as out:
        Console(file=out, width=200).print(tree_of("t1", told["runs"], full=False))
        assert "council  t1-c1  answered  p/ant  success  $0.0035" in out.getvalue()


def test_a_difference_is_what_the_files_would_be() -> None:
    whole = Change("a.py", "new\n")
    twice = [Change("src/clock.py", "return tock", "return tick"), Change("src/clock.py", "def then():", "def now():")]
    said = list(diff_of(Proposal([whole, *twice, Change("far.py", "b\n", "a\n")]), PROBLEM))
    assert said.count("+++ b/src/clock.py") == 1
    for line in ("+new", "-    return tick", "+    return tock", "-def now():", "+def then():", "-a", "+b"):
        assert line in said, line
    assert "+new" in list(diff_of(Proposal([whole]), None))


def test_the_problem_and_the_changes_are_fetched_where_witan_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def story(house: House) -> None:
        await house.asked(tmp_path)
        blobs = Blobs(house.log.connection)
        problem = await blobs.put(msgspec.json.encode(PROBLEM))
        solution = await blobs.put(
            msgspec.json.encode(Proposal([Change("src/clock.py", "    return 1", "    return tick")]))
        )
        await house.say("evt.task.t1", task.TaskSubmitted("build", "direct", ["implement"]))
        await house.say(f"evt.council.{ID}", convened("t1"))
        await house.say(f"evt.trial.{ID}", ProblemGathered(problem, 9, "same", "exception"))
        await house.say(
            f"evt.council.{ID}", asked("m1", "p/ant"), msgspec.structs.replace(made("m1"), solution=solution)
        )
        (told,) = lines(await house.type("council", "show", "t1", "--json"))
        assert told["problem"]["error"] == "NameError: tick"
        result = await house.type("council", "show", "t1", "--diff", "m1")
        assert result.exit_code == 0 and "+    return 1" in result.stdout.splitlines()

    in_a_house(tmp_path, story)


@pytest.mark.parametrize(("outcome", "code"), [("answered", 0), ("no_answer", 1), ("no_money", 4)])
def test_who_convenes_one_may_stay_until_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str, code: int
) -> None:
    monkeypatch.chdir(tmp_path)

    async def story(house: House) -> None:
        await house.say("evt.task.t1", task.TaskSubmitted("build", "direct", ["implement"]))

        async def sit() -> None:
            await house.say(f"evt.council.{ID}", convened("t1"), asked("m1", "p/ant"))
            await house.say(f"evt.council.{ID}", OpinionMissing("m1", "timeout", "late"), ended("t1", outcome))

        await house.answers("cmd.council.convene", {"council": ID, "until_s": 4e9, "outcome": ""}, sit)
        words = ("--member", "deepseek,gpt", "--members", "p/*", "--size", "minimal", "--wait", "--json")
        result = await house.type("council", "convene", "t1", *words)
        (row,) = lines(result, code)
        assert (row["council"], row["outcome"]) == (ID, outcome)
        assert "m1 has no answer: timeout." in result.stderr

    in_a_house(tmp_path, story)


def test_who_convenes_one_and_goes_is_told_how_to_follow_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def story(house: House) -> None:
        await house.say("evt.task.t1", task.TaskSubmitted("build", "direct", ["implement"]))

        async def nothing() -> None: ...

        await house.answers("cmd.council.convene", {"council": ID, "until_s": 1.0, "outcome": ""}, nothing)
        result = await house.type("council", "convene", "t1")
        (row,) = lines(result)
        assert row["council"] == ID and f"witan council show {ID}" in result.stderr
        result = await house.type("council", "convene", "t1", "--strategy", "luck")
        assert result.exit_code == 2

    in_a_house(tmp_path, story)


def test_progress_says_that_a_council_is_asked_sits_and_has_answered(chamber: Chamber) -> None:
    history, progress = chamber.history, Progress("t9")
    history.submit("t9")
    history.task("t9", task.PipelineStarted())
    history.start_phase("t9")
    history.task("t9", task.CouncilAsked("research", "unknown", "three times", "t9-c1"))
    start = len(history.records)
    for record in history.records:
        if record.subject == "evt.task.t9":
            taken(record, progress)
    line = progress.phases["research"]
    assert (progress.status, line.status, line.note) == ("running", "council", "a council is asked")
    assert not progress.rests and progress.reason == "three times"
    chamber.tell("t9-c1", msgspec.structs.replace(convened("t9"), phase="research"))
    chamber.tell("t9-c1", asked("j1", "q/owl", "judge"), ended("t9", "answered", by="p/ant"))
    for record in history.records[start:]:
        taken(record, progress)
    assert line.note == "the council's judge weighs: q/owl"
    assert progress.steps[-1] == "… council: answered by p/ant: it is answered"
    history.task("t9", task.CouncilAnswered("t9-c1", "research", "answered", "ab" * 32))
    taken(history.records[-1], progress)
    assert (line.note, progress.reason) == ("the council: a solution", "")


def test_watch_tells_what_the_council_does_that_a_task_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def story(house: House) -> None:
        opened = task.TaskSubmitted("build", "direct", ["implement"]), task.PipelineStarted()
        await house.say("evt.task.t1", *opened, task.CouncilAsked("implement", "unknown", "three times", ID))
        await house.say(f"evt.council.{ID}", convened("t1"))
        await house.say(f"evt.council.{ID}", ended("t1", "no_answer"))
        answered = task.CouncilAnswered(ID, "implement", "no_answer")
        await house.say("evt.task.t1", answered, task.PersonAsked("implement", "unknown", "what now?"))
        result = await house.type("watch", "t1", "--json")
        assert result.exit_code == 5
        types = [row["type"] for row in lines(result, 5)]
        assert types[-2:] == ["CouncilAnswered", "PersonAsked"]

    in_a_house(tmp_path, story)


def test_who_escalates_a_task_is_told_who_may_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def story(house: House) -> None:
        await house.say("evt.task.t1", task.TaskSubmitted("build", "direct", ["implement"]))

        async def nothing() -> None: ...

        await house.answers("cmd.orchestrator.escalate_task", {"status": "waiting"}, nothing)
        result = await house.type("escalate", "t1", "--reason", "which of the two?", "--urgency", "high")
        (row,) = lines(result)
        assert row["status"] == "waiting" and "witan council convene t1" in result.stderr
        assert (await house.type("escalate", "t1")).exit_code == 2

    in_a_house(tmp_path, story)


def test_a_table_of_wins_says_of_how_many_and_how_sure(run: Type) -> None:
    rows = lines(run("council", "wins", "--by", "model"))
    answer = Answer("council_wins", 1, None, list(rows[0]), [list(row.values()) for row in rows], False)
    short = {row["name"]: row for row in in_short(answer).dicts}
    assert (short["p/ant"]["wins"], short["p/ant"]["helped"]) == ("1 of 1", "1 of 1")
    assert short["p/ant"]["rate"].startswith("1.00 (0.22 to 0.9")
    assert (short["q/owl"]["rate"], short["q/owl"]["judge_right"]) == (None, "1 of 1")
    assert "kind" not in short["p/ant"] and "other" not in short["p/ant"]
    assert in_short(answer._replace(rows=[])).rows == []
