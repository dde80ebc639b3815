"""The tables of councils say what a plain recount of the log says, at every place of it."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bus.messages import task, trial
from bus.messages.council import CouncilConvened, JudgeHeard, LeftOut, Member, MembersChosen, OpinionMissing, Scored
from projections.statements import VIEWS
from projections.store import Store
from tests.projected_councils import (
    GREEN,
    RED,
    Chamber,
    asked,
    convened,
    ended,
    made,
    recorded,
    recounted,
    tried,
)
from tests.projected_histories import rows
from tests.projected_stores import new_store
from tests.test_council_odds import interval

COUNCIL = ("councils", "candidates", "council_wins")
COUNTED = ("sittings", "wins", "losses", "seen", "solved", "known", "helped", "judged", "judge_right", "cost_micro")
ID = "t1-c1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = new_store(tmp_path / "live.duckdb")
    yield store
    store.close()


def counts(store: Store, as_of: int | None = None) -> dict[Any, dict[str, int]]:
    told = rows(store, "council_wins", as_of, limit=10_000)
    return {
        (row["cut"], row["name"], row["other"], row["kind"]): {name: row[name] for name in COUNTED if row[name]}
        for row in told
    }


def by_hand(chamber: Chamber, upto: int) -> dict[Any, dict[str, int]]:
    counted = recounted(chamber.records[:upto])
    return {cut: {name: int(many) for name, many in told.items() if many} for cut, told in counted.items()}


def a_council(chamber: Chamber) -> None:
    """Two that answer, one that does not; the judge is heard twice."""
    chamber.tell(ID, convened("t1"))
    chamber.tell(ID, trial.ProblemGathered("ab" * 32, 9, "same", "exception", "pytest -q"), kind="trial")
    members = [Member(f"m{n}", f"p/{name}", name, expected=0.5) for n, name in ((1, "ant"), (2, "bee"), (3, "cat"))]
    chosen = MembersChosen(members, "q/owl", [LeftOut("p/elk", "it rests")], "a note")
    chamber.tell(ID, chosen, *(asked(each.id, each.model) for each in members))
    for number, member in enumerate(("m1", "m2"), 1):
        chamber.hear(ID, member, f"p/{member}", 100.0 * number)
        chamber.pay(ID, member, 1000 * number)
        chamber.tell(ID, made(member))
    chamber.tell(ID, OpinionMissing("m3", "timeout", "not in time"))
    chamber.tell(ID, tried("m1"), tried("m2", tests=RED, likeness="y", reason=""), kind="trial")
    chamber.tell(ID, asked("j1", "q/owl", "judge"))
    chamber.pay(ID, "j1", 500)
    chamber.tell(ID, JudgeHeard("j1", 1, {"m1": 7.0, "m2": 4.0}, {"m1": "it is right", "m2": "it is not"}))
    chamber.tell(ID, JudgeHeard("j2", 2, {"m1": 8.0, "m2": 4.0}))
    scores = [Scored("m1", 91.5, 1, 0.75, 1, 0.8), Scored("m2", 40, 1, 0.4, 0.33, 0.8)]
    won = {"winner": "m1", "by": "p/ant", "solution": "cd" * 32, "strategy": "test_winner", "scores": scores}
    chamber.tell(ID, ended("t1", "answered", **won))


def test_a_council_is_one_row_from_its_problem_to_whether_it_helped(store: Store) -> None:
    chamber = Chamber()
    chamber.tell(ID, convened("t1", by_hand=True, size="full"))
    store.take(chamber.records)
    (row,) = rows(store, "councils")
    assert (row["stage"], row["outcome"], row["ended"], row["by_hand"]) == ("gathering", None, None, True)
    chamber = Chamber()
    a_council(chamber)
    store.clear()
    store.take(chamber.records)
    (row,) = rows(store, "councils", task="t1")
    assert (row["council"], row["phase"], row["kind"], row["stage"]) == (ID, "implement", "exception", "ended")
    assert (row["outcome"], row["winner"], row["by_whom"], row["helped"]) == ("answered", "m1", "p/ant", None)
    assert (row["members"], row["judge"]) == (["p/ant", "p/bee", "p/cat"], "q/owl")
    assert (row["candidates"], row["missing"], row["sittings"], row["size"]) == (2, 1, 2, "standard")
    assert (row["cost_micro"], row["cost_usd"], row["note"], row["tests"]) == (3500, 0.0035, "a note", "pytest -q")
    assert row["left_out"] == '[{"model":"p/elk","why":"it rests"}]'
    assert (row["reason"], row["question"]) == ("it is answered", "three times") and row["ms"] > 0
    chamber.tell(ID, recorded("success"))
    store.take(chamber.records)
    (row,) = rows(store, "councils", helped="success")
    assert (row["helped"], row["helped_why"]) == ("success", "so it went")
    assert rows(store, "councils", helped="failure") == []


@pytest.mark.parametrize(
    ("told", "stage"),
    [
        ([trial.ProblemGathered("ab", 9, "f", "exception")], "choosing"),
        ([asked("m1", "p/ant")], "asking"),
        ([tried("m1")], "trying"),
        ([asked("j1", "p/ant", "judge")], "judging"),
        ([trial.GatheringFailed("no tree")], "ending"),
    ],
)
def test_the_stage_of_a_council_says_how_far_it_is(store: Store, told: list[Any], stage: str) -> None:
    chamber = Chamber()
    chamber.tell(ID, convened("t1"))
    is_trial = type(told[0]).__module__.endswith("trial")
    chamber.tell(ID, *told, kind="trial" if is_trial else "council")
    store.take(chamber.records)
    assert rows(store, "councils")[0]["stage"] == stage


def test_candidates_stand_side_by_side_with_what_came_of_trying_them(store: Store) -> None:
    chamber = Chamber()
    a_council(chamber)
    store.take(chamber.records)
    ant, bee, cat = rows(store, "candidates", council=ID)
    assert [row["candidate"] for row in (ant, bee, cat)] == ["m1", "m2", "m3"]
    assert (ant["model"], ant["family"], ant["won"], ant["solved"], ant["able"]) == ("p/ant", "ant", True, True, True)
    assert (ant["total"], ant["correctness"], ant["reasoning"], ant["testing"], ant["stated"]) == (
        91.5,
        1,
        0.75,
        1,
        0.8,
    )
    assert (ant["judge_points"], ant["judge_reason"], ant["tests"]) == ([7, 8], "it is right", "3/3")
    assert (ant["ms"], ant["cost_micro"], ant["trial_ms"], ant["expected"]) == (100, 1000, 12.5, 0.5)
    assert (bee["won"], bee["solved"], bee["tests"], bee["failures"]) == (False, False, "1/3", RED.failures)
    assert ant["likes"] != bee["likes"] and ant["explanation"] == "because of m1"
    assert (cat["missing"], cat["reason"], cat["solved"], cat["total"]) == ("timeout", "not in time", False, None)
    assert {row["candidate"] for row in rows(store, "candidates", missing="timeout")} == {"m3"}


def test_a_kept_answer_is_nobodys_win(store: Store) -> None:
    chamber = Chamber()
    chamber.tell(ID, convened("t1"))
    chamber.tell(ID, trial.ProblemGathered("ab" * 32, 9, "same", "exception"), kind="trial")
    chamber.tell(ID, made("kept", member="", kept_from="t0-c1"))
    chamber.tell(ID, tried("kept", tests=GREEN), kind="trial")
    chamber.tell(ID, ended("t1", "answered", winner="kept", by="t0-c1", scores=[Scored("kept", 90)]))
    store.take(chamber.records)
    (row,) = rows(store, "candidates")
    assert (row["model"], row["purpose"], row["won"], row["cost_micro"]) == ("t0-c1", "kept", True, 0)
    assert set(counts(store)) == {("kind", "exception", None, "exception")}


def test_the_rate_has_its_interval_its_sample_and_its_price(store: Store) -> None:
    chamber = Chamber()
    a_council(chamber)
    chamber.tell(ID, recorded("success"))
    store.take(chamber.records)
    told = {(row["cut"], row["name"], row["other"]): row for row in rows(store, "council_wins", limit=100)}
    ant = told["model", "p/ant", None]
    assert (ant["wins"], ant["losses"], ant["rate"], ant["sample"], ant["sittings"]) == (1, 0, 1, 1, 1)
    low, high = interval(1, 0)
    assert (ant["low"], ant["high"]) == (round(low, 4), round(high, 4))
    assert (ant["success_rate"], ant["usd_per_resolution"]) == (1, 0.001)
    pair = told["pair", "p/ant", "p/bee"]
    assert (pair["wins"], pair["losses"], pair["solved"], pair["seen"]) == (1, 0, 1, 1)
    kind = told["kind", "exception", None]
    assert (kind["judged"], kind["judge_right"], kind["cost_micro"]) == (1, 1, 3500)
    assert told["model", "q/owl", None]["judge_rate"] == 1
    assert rows(store, "council_wins", since="2027-01-01") == []
    assert len(rows(store, "council_wins", cut="pair", limit=100)) == 3


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (0, 1), (3, 7), (40, 2), (0, 300), (500, 500)])
def test_the_interval_is_that_of_beta(store: Store, wins: int, losses: int) -> None:
    with store.reading(None) as (cursor, _):
        found = cursor.execute(f"SELECT rate_at(0.05, {wins}, {losses}), rate_at(0.95, {wins}, {losses})").fetchall()
    assert found[0] == pytest.approx(interval(wins, losses), abs=6e-5)


def differing(store: Store, chamber: Chamber, dice: random.Random) -> Iterator[int]:
    """The places at which the table says something else than a recount by hand; it is folded at random moments."""
    for upto in range(1, len(chamber.records) + 1):
        store.take(chamber.records[:upto])
        if dice.random() < 0.1:
            store.fold()
        if counts(store) != by_hand(chamber, upto):
            yield upto


@pytest.mark.parametrize(("seed", "councils"), [(1, 5), *(pytest.param(s, 14, marks=pytest.mark.slow) for s in (2, 3))])
def test_who_won_how_often_is_a_plain_recount_of_the_log_at_every_prefix(
    store: Store, seed: int, councils: int
) -> None:
    chamber = Chamber(seed).grow(councils)
    assert list(differing(store, chamber, random.Random(seed))) == []
    assert any(cut == "pair" for cut, *_ in counts(store))


@pytest.mark.parametrize("seed", range(10, 16))
def test_who_won_how_often_is_a_plain_recount_of_many_councils(store: Store, seed: int) -> None:
    chamber = Chamber(seed).grow(30)
    store.take(chamber.records)
    assert counts(store) == by_hand(chamber, len(chamber.records))


def test_a_wrong_count_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = VIEWS["council_wins"]
    planted = honest.ask.replace("sum(helped)::BIGINT", "sum(known)::BIGINT")
    assert planted != honest.ask
    monkeypatch.setitem(VIEWS, "council_wins", honest._replace(ask=planted))
    chamber = Chamber(11).grow(30)
    store.take(chamber.records)
    assert counts(store) != by_hand(chamber, len(chamber.records))


def test_live_is_rebuilt_and_the_past_is_what_it_was(store: Store, tmp_path: Path) -> None:
    chamber, dice = Chamber(4).grow(12), random.Random(4)
    whole = new_store(tmp_path / "whole.duckdb")
    whole.take(chamber.records)
    whole.fold()
    reached = 0
    while reached < len(chamber.records):
        reached = min(len(chamber.records), reached + dice.choice((5, 9, 17)))
        store.take(chamber.records[:reached])
        if dice.random() < 0.4:
            store.fold()
        assert store.fingerprint(names=COUNCIL) == whole.fingerprint(reached, COUNCIL)
        assert counts(whole, reached) == by_hand(chamber, reached)
    whole.close()


@pytest.mark.parametrize("view", [*COUNCIL, "activity"])
def test_hostile_events_leave_the_tables_of_councils_readable(store: Store, view: str) -> None:
    odd = {
        "evt.council.x": [
            b'{"type":"CouncilConvened","task":7,"until_s":1e999,"seed":"x"}',
            b'{"type":"MembersChosen","members":{"id":3},"judge":[],"left_out":7}',
            b'{"type":"MembersChosen","members":[{"id":3,"expected":"x"},4]}',
            b'{"type":"OpinionAsked","member":7,"purpose":null}',
            b'{"type":"CandidateMade","candidate":"a\\"b","confidence":"much","explanation":[]}',
            b'{"type":"JudgeHeard","scores":[1,2],"reasons":"x"}',
            b'{"type":"CouncilEnded","scores":{"a":1},"winner":{}}',
            b'{"type":"OutcomeRecorded","outcome":[]}',
        ],
        "evt.trial.x": [
            b'{"type":"ProblemGathered","bytes":"x","kind":{}}',
            b'{"type":"CandidateTried","candidate":"a\\"b","applies":"maybe","tests":[3],"ms":"x"}',
        ],
        "evt.budget.main": [b'{"type":"FundsSettled","reservation":"council/","micro":1}'],
    }
    chamber = Chamber()
    for subject, events in odd.items():
        for event in events:
            body = b'{"id":"x","at":"2026-11-20T12:00:00Z","by":"x","v":1,"events":[' + event + b"]}"
            chamber.history.raw(subject, body)
    a_council(chamber)
    store.take(chamber.records)
    assert rows(store, view)


def test_a_task_that_waits_for_a_council_is_running_and_says_so(store: Store) -> None:
    chamber = Chamber()
    history = chamber.history
    history.submit("t1")
    history.task("t1", task.PipelineStarted())
    history.start_phase("t1")
    run = history.tasks["t1"].assignment
    assert run is not None
    failed = task.PhaseFailed("research", run.agent, run.run, "broken")
    history.task("t1", failed, task.CouncilAsked("research", "unknown", "three times", ID))
    store.take(history.records)
    (row,) = rows(store, "tasks", id="t1")
    assert (row["status"], row["phase"]) == ("running", "research")
    assert row["reason"] == f"waits for the council {ID}: three times"
    history.task("t1", task.CouncilAnswered(ID, "research", "answered", "ab" * 32))
    store.take(history.records)
    assert rows(store, "tasks", id="t1")[0]["reason"] in ("", None)
    store.fold()
    assert rows(store, "tasks", id="t1")[0]["reason"] in ("", None)


def test_an_opinion_is_the_councils_call_though_it_costs_nothing(store: Store) -> None:
    chamber = Chamber()
    chamber.hear(ID, "m1", "ollama/qwen3:8b")
    store.take(chamber.records)
    (row,) = rows(store, "calls", task="t1")
    assert (row["role"], row["purpose"], row["cost_usd"]) == ("council", "council", 0)


def test_what_a_council_does_is_told_in_words(store: Store) -> None:
    chamber = Chamber()
    a_council(chamber)
    chamber.tell(ID, recorded("not_applied"))
    store.take(chamber.records)
    lines = [row["line"] for row in rows(store, "activity", limit=1000)]
    for said in (
        "a council is convened for implement of t1: three times",
        "the problem is gathered: exception",
        "the council sits: p/ant, p/bee, p/cat, and q/owl judges",
        "m1 is asked as member: p/ant",
        "m1 proposes: because of m1",
        "m3 has no answer, timeout: not in time",
        "m1 was tried: 3 tests pass",
        "the judge was heard, sitting 1",
        "the council has ended, answered by p/ant: it is answered",
        "what the council said came to a not applied: so it went",
    ):
        assert said in lines, said
    assert CouncilConvened.__name__ in {row["type"] for row in rows(store, "activity", limit=1000)}
