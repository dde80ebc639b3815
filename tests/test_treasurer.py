"""What the treasurer does at its door, as sentences: one reply to each request, whatever happens in between."""

from typing import Any

import pytest

from actors.agent.mind import Script, ScriptedTurn
from actors.apart import CALLS_MAX, REPLY_MAX_BYTES
from actors.decider import Done, Effect, Hold
from actors.treasurer.decide import GUARDIAN, Treasurer
from bus.messages import step, task
from bus.messages.base import ToolCall
from bus.messages.call import ModelFailed, ModelReplied
from bus.messages.guardian import FreezeOrdered, ThawOrdered
from tests.given import Play

STEP, CALL = "evt.step.c.t-1", "evt.call.c.t-1"
FIRST = step.ModelRequested(turn=1)


class NoMinds:
    """Nobody thinks here: what is asked of the minds stands in the decisions."""

    async def open(self, tell: Any) -> None: ...

    async def close(self) -> None: ...

    def perform(self, effect: Effect) -> None: ...


def door(*turns: ScriptedTurn) -> Play:
    """A treasurer whose script has these turns, and a run that has been opened."""
    play = Play(lambda: Treasurer(Script("s", "", turns=list(turns)), NoMinds()))
    play.given("evt.task.t", task.TaskSubmitted(task="a tool", workflow="w", phases=["code"]))
    play.given(STEP, step.StepsOpened(task="t", phase="code", role="coder"))
    return play


def says(text: str = "", delay_s: float = 0, failure: str = "", *calls: ToolCall) -> ScriptedTurn:
    return ScriptedTurn("code", text, list(calls), delay_s=delay_s, failure=failure)


def test_a_request_is_answered_with_the_turn_of_its_number_filled_in() -> None:
    play = door(says("{task}"), says("then", 0, "", ToolCall("write", {"path": "a", "content": "for {task}"})))
    assert play.hears(FIRST, STEP).told() == [(CALL, ModelReplied(1, "script:s", "a tool"))]
    (reply,) = play.hears(step.ModelRequested(turn=2), STEP).events()
    assert reply.calls == [ToolCall("write", {"path": "a", "content": "for a tool"})]


def test_a_mind_that_takes_a_while_is_asked_outside_and_the_request_stays_open() -> None:
    play = door(says("slow", 3)).hears(FIRST, STEP)
    assert play.outcome is not None and play.events() == [] and len(play.outcome.opened) == 1
    (asked,) = play.done()
    play.hears(Done(play.outcome.opened[0], asked))
    assert play.outcome is not None and len(play.outcome.closed) == 1
    assert play.events() == [ModelReplied(1, "script:s", "slow", ms=3000)]


def test_each_request_has_one_reply_also_across_crashes() -> None:
    play = door(says("slow", 3)).hears(FIRST, STEP)
    assert play.hears(FIRST, STEP, again=True).done() == [], "it is asked already"
    assert len(play.begin().hears(FIRST, STEP, again=True).done()) == 1, "nobody knows of the first"
    (asked,) = play.done()
    assert len(play.hears(Done(f"{CALL}/1/0", asked)).events()) == 1
    assert play.hears(FIRST, STEP, again=True).done() == []
    assert play.begin().hears(FIRST, STEP, again=True).done() == []
    assert play.events() == []


def test_a_script_can_fail_a_turn_once() -> None:
    play = door(says("at last", 0, "rate_limit"))
    assert [event.failure for event in play.hears(FIRST, STEP).events(ModelFailed)] == ["rate_limit"]
    play.begin()
    (reply,) = play.hears(step.ModelRequested(turn=1, again=1), STEP).events(ModelReplied)
    assert (reply.text, reply.again) == ("at last", 1)


def test_where_the_script_ends_a_person_is_asked() -> None:
    (failed,) = door(says()).hears(step.ModelRequested(turn=2, again=1), STEP).events(ModelFailed)
    assert (failed.failure, failed.turn, failed.again) == ("help", 2, 1)
    assert "no turn 2 for code" in failed.reason


@pytest.mark.parametrize(
    "calls",
    [[ToolCall("write", {"content": "x" * REPLY_MAX_BYTES})], [ToolCall("read", {})] * (CALLS_MAX + 1)],
    ids=["bytes", "calls"],
)
def test_a_reply_that_no_commit_could_hold_is_a_failure_of_the_mind(calls: list[ToolCall]) -> None:
    (failed,) = door(says("", 0, "", *calls)).hears(FIRST, STEP).events()
    assert isinstance(failed, ModelFailed) and failed.failure == "model_error"
    assert "several turns" in failed.reason


def test_no_mind_is_asked_while_frozen() -> None:
    play = door(says("slow", 3)).hears(FreezeOrdered(order="f", actors=[]), GUARDIAN)
    assert play.outcome is not None
    assert [sending.command for sending in play.outcome.sendings] == ["acknowledge_freeze"]
    with pytest.raises(Hold):
        play.hears(FIRST, STEP)
    play.hears(ThawOrdered(order="f"), GUARDIAN)
    assert play.decider.ready(play.desk)
    assert len(play.hears(FIRST, STEP, again=True).done()) == 1


def test_a_reply_that_was_under_way_is_recorded_in_a_freeze() -> None:
    play = door(says("slow", 3)).hears(FIRST, STEP)
    (asked,) = play.done()
    play.hears(FreezeOrdered(order="f", actors=[]), GUARDIAN)
    assert len(play.hears(Done(f"{CALL}/1/0", asked)).events(ModelReplied)) == 1


def test_nobody_is_asked_for_a_run_that_is_over() -> None:
    play = door(says("slow", 3)).given(STEP, FIRST, step.StepsClosed("stopped"))
    assert isinstance(play, Play)
    assert play.begin().hears(FIRST, STEP, again=True).done() == []


def test_what_is_known_of_a_run_is_forgotten_with_it() -> None:
    play = door(says("slow", 3)).hears(FIRST, STEP)
    (asked,) = play.done()
    play.hears(step.StepsClosed("stopped"), STEP).hears(Done(f"{CALL}/1/0", asked))
    assert isinstance(play.decider, Treasurer)
    assert play.decider.known == {} and play.decider.busy == set()
