"""What the orchestrator asks of a council, and what it makes of the answer, as sentences about events."""

from typing import Any

import pytest

from actors.decider import Message, Sending
from actors.desk import Desk
from actors.folds import FOLDS
from actors.orchestrator.decide import Orchestrator
from bus.messages import guardian, run, slots, task
from bus.messages.agent import WorkAssigned
from bus.messages.council import CallOff, CloseCase, Convene, CouncilEnded
from tests.given import NOW, Story
from tests.test_escalation import CODED, FLOW, ROSTER, SLOTS, SUBMITTED, T1, TEAM, tried, working

COUNCIL = "t1-c1"
ASKED = task.CouncilAsked(phase="code", failure="timeout", reason="three times", council=COUNCIL)
FAILED = task.PhaseFailed(phase="code", agent="coder-1", run="t1-1", reason="no", failure="timeout")


def story() -> Story:
    with_council = Story(lambda: Orchestrator({"build": FLOW}, 60, 2, council_after=3)).given(ROSTER, *TEAM)
    return with_council.given(SLOTS, slots.PipelineAdmitted(task="t1")).given(T1, SUBMITTED, task.PipelineStarted())


def asking() -> Story:
    """A council has been asked about the phase `code`."""
    return story().given(T1, *tried(tier=2), *working(), FAILED, ASKED)


def ended(outcome: Any = "answered", failure: str = "timeout", phase: str = "code") -> CouncilEnded:
    solution, by = ("ab" * 32, "ollama/a") if outcome == "answered" else ("", "")
    return CouncilEnded(outcome, "t1", phase, failure, "it passes all tests", "m1" if by else "", by, solution)


def sent(told: Story) -> list[Any]:
    assert told.outcome is not None
    return [sending.body for sending in told.outcome.sendings if isinstance(sending, Sending)]


def types(told: Story) -> list[type]:
    return [type(event) for _, event in told.told()]


def test_after_the_review_a_council_is_asked_and_the_phase_waits_for_it() -> None:
    told = story().given(T1, *tried(tier=2), *working())
    told = told.when(run.RunFailed(reason="boom"), "evt.run.coder-1.t1-1", "t1")
    assert types(told) == [task.PhaseFailed, task.CouncilAsked]
    assert sent(told) == [Convene(task_id="t1", council=COUNCIL)]


def test_while_a_council_sits_nothing_else_is_begun() -> None:
    asking().when(task.TaskReset(), "evt.run.coder-1.t1-9", "t1").then_nothing()


def test_a_start_asks_the_council_again_by_the_same_name() -> None:
    waiting = asking()
    decider = Orchestrator({"build": FLOW}, 60, 2, council_after=3)
    outcome = Desk("orchestrator", FOLDS, waiting).decide(decider.recover, Message("begin", None, now_s=NOW), 0)
    assert Convene(task_id="t1", council=COUNCIL) in [sending.body for sending in outcome.sendings]


def test_an_answer_opens_a_recovery_of_the_third_tier_with_the_solution() -> None:
    told = asking().when(ended(), f"evt.council.{COUNCIL}", "t1")
    answered, started, *_ = (event for _, event in told.told())
    assert answered == task.CouncilAnswered(council=COUNCIL, phase="code", outcome="answered", solution="ab" * 32)
    assert (started.tier, started.strategy, started.solution) == (3, "council", "ab" * 32)
    assert "ollama/a" in started.hint
    (work,) = [event for _, event in told.told() if isinstance(event, WorkAssigned)]
    assert work.recovery is not None and (work.recovery.tier, work.recovery.solution) == (3, "ab" * 32)


def test_where_tests_failed_the_code_is_what_the_solution_goes_to() -> None:
    fails = task.PhaseFailed(phase="test", agent="tester-1", run="t1-2", reason="1 failed", failure="test_failure")
    asked = task.CouncilAsked(phase="test", failure="test_failure", reason="no", council="t1-c2")
    waiting = story().given(T1, *CODED, *working("test", 2), fails, asked)
    told = waiting.when(ended(failure="test_failure", phase="test"), "evt.council.t1-c2", "t1")
    (work,) = [event for _, event in told.told() if isinstance(event, WorkAssigned)]
    assert work.phase == "code" and work.recovery is not None and work.recovery.solution == "ab" * 32


@pytest.mark.parametrize("outcome", ["no_answer", "nobody", "no_money", "called_off", "too_late"])
def test_without_an_answer_a_person_is_asked_and_told_why(outcome: Any) -> None:
    told = asking().when(ended(outcome), f"evt.council.{COUNCIL}", "t1")
    assert types(told) == [task.CouncilAnswered, task.PersonAsked, slots.PipelineReleased]


def test_a_council_is_asked_about_a_phase_once() -> None:
    told = asking().given(T1, task.CouncilAnswered(COUNCIL, "code", "answered", "ab" * 32))
    recovery = task.RecoveryStarted("code", "timeout", "medium", "council", 3, 1, "h", "e", solution="ab" * 32)
    told.given(T1, recovery, *working(epoch=2))
    told.when(run.RunFailed(reason="boom"), "evt.run.coder-1.t1-2", "t1")
    assert types(told) == [task.PhaseFailed, task.RecoveryEnded, task.PersonAsked, slots.PipelineReleased]
    assert sent(told) == [CloseCase(council=COUNCIL, ok=False)]


def test_the_council_hears_that_its_answer_helped() -> None:
    told = asking().given(T1, task.CouncilAnswered(COUNCIL, "code", "answered", "ab" * 32))
    recovery = task.RecoveryStarted("code", "timeout", "medium", "council", 3, 1, "h", "e", solution="ab" * 32)
    told.given(T1, recovery, *working(epoch=2))
    told.when(run.RunFinished(), "evt.run.coder-1.t1-2", "t1")
    assert CloseCase(council=COUNCIL, ok=True) in sent(told)


@pytest.mark.parametrize(
    "wish", [task.CancelTask(task_id="t1"), task.ResetTask(task_id="t1")], ids=["cancelled", "reset"]
)
def test_a_council_that_nobody_needs_any_more_is_called_off(wish: Any) -> None:
    assert any(isinstance(each, CallOff) for each in sent(asking().when(wish)))


@pytest.mark.parametrize(
    "wish", [task.CancelTask(task_id="t1"), task.ResetTask(task_id="t1")], ids=["cancelled", "reset"]
)
def test_the_council_hears_that_its_answer_is_not_worked_with_any_more(wish: Any) -> None:
    told = asking().given(T1, task.CouncilAnswered(COUNCIL, "code", "answered", "ab" * 32))
    recovery = task.RecoveryStarted("code", "timeout", "medium", "council", 3, 1, "h", "e", solution="ab" * 32)
    told.given(T1, recovery, *working(epoch=2)).when(wish)
    assert sent(told) == [CloseCase(council=COUNCIL)]


def test_a_reset_calls_off_what_a_person_asked_a_council_meanwhile() -> None:
    question = task.PersonAsked(phase="code", failure="timeout", question="what now?")
    waiting = story().given(T1, *tried(tier=2), *working(), FAILED, question)
    waiting.given(SLOTS, slots.PipelineReleased(task="t1")).when(task.ResetTask(task_id="t1"))
    assert [type(each) for each in sent(waiting)] == [CallOff]


def test_the_end_of_another_council_changes_nothing() -> None:
    asking().when(ended(), "evt.council.t1-c9", "t1").then_nothing()


def test_a_paused_task_keeps_the_answer_until_it_is_resumed() -> None:
    paused = asking().given(T1, task.PipelinePaused(order="o")).given(SLOTS, slots.PipelineReleased(task="t1"))
    told = paused.when(ended(), f"evt.council.{COUNCIL}", "t1")
    assert types(told) == [task.CouncilAnswered, task.RecoveryStarted]
    paused.given(T1, *(event for _, event in told.told()))
    resumed = paused.when(guardian.ResumeOrdered(pipeline="t1"), "evt.guardian.o2")
    (work,) = [event for _, event in resumed.told() if isinstance(event, WorkAssigned)]
    assert work.recovery is not None and work.recovery.solution == "ab" * 32


def test_a_council_that_a_person_asked_about_a_waiting_task_lets_it_go_on() -> None:
    question = task.PersonAsked(phase="code", failure="timeout", question="what now?")
    waiting = story().given(T1, *tried(tier=2), *working(), FAILED, question)
    waiting.given(SLOTS, slots.PipelineReleased(task="t1"))
    told = waiting.when(ended(), f"evt.council.{COUNCIL}-h1", "t1")
    assert types(told)[:1] == [slots.PipelineAdmitted] and WorkAssigned in types(told)


def test_a_council_by_hand_that_found_nothing_leaves_the_task_as_it_is() -> None:
    question = task.PersonAsked(phase="code", failure="timeout", question="what now?")
    waiting = story().given(T1, *tried(tier=2), *working(), FAILED, question)
    waiting.when(ended("no_answer"), f"evt.council.{COUNCIL}-h1", "t1").then_nothing()


@pytest.mark.parametrize("failure", ["help", "escalated"])
def test_a_council_by_hand_can_answer_a_question(failure: str) -> None:
    question = task.PersonAsked(phase="code", failure=failure, question="which clock?")
    waiting = story().given(T1, *tried(tier=2), *working(), FAILED, question)
    waiting.given(SLOTS, slots.PipelineReleased(task="t1"))
    told = waiting.when(ended(failure=failure), f"evt.council.{COUNCIL}-h1", "t1")
    assert WorkAssigned in types(told)


@pytest.mark.parametrize("outcome", ["answered", "called_off"])
@pytest.mark.parametrize(
    "meanwhile",
    [task.TaskCancelled(), task.TaskReset(), task.PersonAsked("code", "escalated", "look at it")],
    ids=["cancelled", "reset", "escalated"],
)
def test_the_end_of_a_council_that_nobody_waits_for_any_more_changes_nothing(meanwhile: Any, outcome: Any) -> None:
    asking().given(T1, meanwhile).when(ended(outcome), f"evt.council.{COUNCIL}", "t1").then_nothing()
