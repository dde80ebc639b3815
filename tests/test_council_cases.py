"""Whether a council's answer helped, what that teaches, and what is kept of it, as sentences about events."""

from typing import Any

import pytest

from actors.council.state import KEPT
from bus.messages import council as said
from bus.messages import task
from bus.messages.base import Excerpt
from bus.messages.exec import ToolEnded
from tests.council_ground import (
    COUNCIL,
    ENTITY,
    FAILED,
    GREEN,
    RED,
    T1,
    all_tried,
    end_of,
    fail,
    gather,
    members,
    offer,
    proposal,
    reply,
    sent,
    sitting,
    time_over,
    tried,
)
from tests.given import Play


def helped(told: Play, ok: bool = True, applied: bool | None = True) -> Play:
    """The answer went back to the task, and this is what came of it."""
    end = told.desk.state(ENTITY).ended
    told.given(T1, task.CouncilAnswered(COUNCIL, "code", "answered", end.solution))
    recovery = task.RecoveryStarted("code", "unknown", "medium", "council", 3, 1, "h", "e", solution=end.solution)
    told.given(T1, recovery, *_again())
    if applied is not None:
        told.given("evt.exec.coder-1.t1-2", ToolEnded(call="0-1", ok=applied, output=Excerpt("does not fit"), ms=1))
    last = task.PhaseCompleted("code", "coder-1", "t1-2") if ok else FAILED
    return told.given(T1, last, task.RecoveryEnded("code", "unknown", "council", 3, ok))


def _again() -> list[Any]:
    return [task.PhaseRequested("code", "coder", 2), task.PhaseAssigned("code", "coder-1", "t1-2", 2)]


def won(**more: Any) -> Play:
    return all_tried(sitting(**more), RED, GREEN, RED)


@pytest.mark.parametrize(
    ("ok", "applied", "outcome"),
    [
        (True, True, "success"),
        (False, True, "failure"),
        (True, False, "not_applied"),
        (False, False, "not_applied"),
        (False, None, "not_applied"),
    ],
)
@pytest.mark.parametrize("missed", [False, True], ids=["told", "missed"])
def test_the_outcome_says_whether_it_helped(ok: bool, applied: bool | None, outcome: str, missed: bool) -> None:
    told = helped(won(), ok, applied)
    told = told.begin() if missed else told.hears(said.CloseCase(council=COUNCIL, ok=ok))
    (recorded,) = told.events(said.OutcomeRecorded)
    assert recorded.outcome == outcome and recorded.why
    if applied is False:
        assert "does not fit" in recorded.why
    assert told.begin().events() == []
    assert told.hears(said.CloseCase(council=COUNCIL, ok=ok)).events() == []


def test_a_case_whose_task_was_cancelled_is_closed_at_the_next_start() -> None:
    told = won().given(T1, task.TaskCancelled())
    (recorded,) = told.begin().events()
    assert recorded.outcome == "not_applied" and "cancelled" in recorded.why


@pytest.mark.parametrize("missed", [False, True], ids=["told", "missed"])
def test_an_answer_whose_work_was_taken_away_is_neither_a_success_nor_a_failure(missed: bool) -> None:
    told = won()
    end = told.desk.state(ENTITY).ended
    told.given(T1, task.CouncilAnswered(COUNCIL, "code", "answered", end.solution))
    recovery = task.RecoveryStarted("code", "unknown", "medium", "council", 3, 1, "h", "e", solution=end.solution)
    told.given(T1, recovery, *_again())
    told.given("evt.exec.coder-1.t1-2", ToolEnded(call="0-1", ok=True, output=Excerpt("applied"), ms=1))
    told.given(T1, task.RecoveryEnded("code", "unknown", "council", 3, False), task.TaskReset())
    told = told.begin() if missed else told.hears(said.CloseCase(council=COUNCIL))
    (recorded,) = told.events(said.OutcomeRecorded)
    assert recorded.outcome == "not_applied" and "taken away" in recorded.why


def test_a_case_that_is_not_over_stays_open() -> None:
    assert won().begin().events() == []


def test_a_case_without_an_answer_cannot_be_closed() -> None:
    told = sitting()
    told.when(said.CloseCase(council=COUNCIL, ok=True)).then_refused("has no answer")
    told.when(said.CloseCase(council="t9-c9", ok=True)).then_refused("there is no council")


def second(told: Play, fingerprint: str = "same") -> Play:
    """The same task is stuck again."""
    told.given(T1, task.CouncilAsked(phase="code", failure="unknown", reason="again", council="t1-c2"))
    told.hears(said.Convene(task_id="t1", council="t1-c2"))
    return gather(told, fingerprint, "t1-c2")


def learned(missed: bool = False) -> Play:
    told = helped(won())
    return told.begin() if missed else told.hears(said.CloseCase(council=COUNCIL, ok=True))


@pytest.mark.parametrize("missed", [False, True], ids=["live", "replayed"])
def test_what_helped_before_is_tried_first_and_costs_nothing(missed: bool) -> None:
    told = second(learned(missed))
    made, asked = told.events()
    assert (made.candidate, made.member, made.kept_from, asked.candidate) == (KEPT, "", COUNCIL, KEPT)
    assert sent(told) == []
    end = end_of(tried(told, KEPT, id="t1-c2"))
    assert (end.outcome, end.winner, end.by) == ("answered", KEPT, COUNCIL)
    assert end.solution == told.desk.state(ENTITY).solution


def test_what_helped_before_and_does_not_now_is_one_candidate_more() -> None:
    told = tried(second(learned()), KEPT, RED, id="t1-c2")
    assert sent(told) == [] and told.events() == []
    assert len(offer(told).events(said.OpinionAsked)) == 3


def test_another_problem_has_nothing_kept() -> None:
    told = second(learned(), "another")
    assert sent(told) == [] and told.events() == []


def test_what_was_learned_live_is_what_a_replay_learns() -> None:
    told = learned()
    for member in members(offer(second(told, "another"))):
        fail(told, member, "rate_limit" if member == "m1" else "timeout", id="t1-c2")
    live = told.decider.standings  # type: ignore[attr-defined]
    replayed = told.begin().decider.standings  # type: ignore[attr-defined]
    assert live._cases == replayed._cases and list(live._cases) == list(replayed._cases) == [COUNCIL, "t1-c2"]
    assert (live._won, live._lost) == (replayed._won, replayed._lost)
    solved = {each: live._cases[each].solved for each in live._cases}
    assert sorted(solved[COUNCIL].values()) == [False, False, True]
    assert len(solved["t1-c2"]) == 2 and not any(solved["t1-c2"].values())


def test_what_comes_in_too_late_teaches_nothing() -> None:
    told = sitting()
    reply(told, "m1", proposal())
    time_over(told)
    tried(told, "m1", GREEN)
    live = told.decider.standings._cases  # type: ignore[attr-defined]
    assert live == told.begin().decider.standings._cases  # type: ignore[attr-defined]
    assert len(live[COUNCIL].solved) == 2
