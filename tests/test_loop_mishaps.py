"""What a run does when things go wrong in it, and what it says of playbooks, checklists and help: as sentences."""

import msgspec
import pytest

from actors.agent.decide import GUARDIAN
from actors.agent.loop import REST_MAX_S
from actors.decider import Hold
from actors.recovery import TRIES_MAX, wait_s
from bus.messages import exec, step
from bus.messages.agent import WorkRevoked
from bus.messages.base import Excerpt
from bus.messages.call import ModelFailed, ModelReplied
from bus.messages.guardian import FreezeOrdered, ThawOrdered
from bus.messages.run import RunFailed, RunStopped
from bus.messages.timers import StepDue
from tests.given import NOW, Play
from tests.test_loop import (
    CALL,
    EXEC,
    FINISH,
    QUEUE,
    RED,
    SHELL,
    TEST,
    WRITE,
    a_run,
    asked,
    call,
    exec_ended,
    finish,
    how_it_ended,
    refused,
    registered,
    reply,
    tool_ended,
    work,
)

DUE = StepDue("c", "t-1")


def test_three_failing_steps_of_one_type_in_a_row_end_the_run() -> None:
    play = a_run()
    for turn in range(1, TRIES_MAX):
        reply(play, turn, call("run", command=f"cat {turn}"))
        exec_ended(play, f"{turn}-1", 1, f"{turn}: no such file")
        (tried,) = play.events(step.StepRecoveryStarted)
        assert (tried.failure, tried.tries) == ("file_not_found", turn)
        assert play.events(step.ModelRequested)[0].note.startswith("Something is not where")
    reply(play, TRIES_MAX, call("run", command="cat 9"))
    assert how_it_ended(exec_ended(play, f"{TRIES_MAX}-1", 1, "9: no such file")) == "file_not_found"
    assert play.events(step.StepRecoveryEnded) == [step.StepRecoveryEnded("file_not_found", False)]


def test_a_success_of_the_same_tool_in_between_begins_the_count_anew() -> None:
    play = a_run()
    for turn in range(1, 6):
        reply(play, turn, call("run", command=f"cat {turn}"))
        exec_ended(play, f"{turn}-1", turn % 2, f"{turn}: no such file" * (turn % 2))
        if turn % 2:
            assert [event.tries for event in play.events(step.StepRecoveryStarted)] == [1]
        else:
            assert play.events(step.StepRecoveryEnded) == [step.StepRecoveryEnded("file_not_found", True)]


def test_replies_of_the_mind_do_not_make_good_what_a_step_did() -> None:
    play = a_run()
    for turn in range(1, TRIES_MAX + 1):
        reply(play, turn, call("run", command=f"sleep {turn}"))
        assert play.events(step.StepRecoveryEnded) == []
        exec_ended(play, f"{turn}-1", 0, f"{turn}", ended_by="silence", exit=None)
    assert how_it_ended(play) == "timeout"


def test_failing_tests_are_the_minds_business_and_end_nothing() -> None:
    play = a_run()
    for turn in range(1, 6):
        reply(play, turn, TEST)
        exec_ended(play, f"{turn}-1", 1, f"run {turn}", tests=RED)
        assert asked(play) == [(turn + 1, 0)] and play.events(step.StepRecoveryStarted) == []


def mind_failed(play: Play, failure: str = "rate_limit", turn: int = 1, again: int = 0, rest_s: float = 0) -> Play:
    return play.hears(ModelFailed(turn, "m", failure, "busy", again, rest_s), CALL)


def test_a_mind_that_fails_is_asked_again_after_a_pause_that_grows() -> None:
    play = a_run()
    for tries in range(1, TRIES_MAX + 1):
        mind_failed(play, again=tries - 1)
        (timer,) = play.outcome.timers if play.outcome else []
        assert (timer.at_s, timer.body) == (NOW + wait_s("rate_limit", tries), DUE)
        assert [event.tries for event in play.events(step.StepRecoveryStarted)] == [tries]
        assert asked(play.hears(DUE)) == [(1, tries)]
        assert play.hears(DUE).events() == [], "a timer that fires twice asks once"
    assert how_it_ended(mind_failed(play, again=TRIES_MAX)) == "rate_limit"


def test_a_reply_makes_good_what_the_mind_did() -> None:
    play = mind_failed(a_run()).hears(DUE)
    told = reply(play, 1, WRITE, again=1).events()
    assert told[0] == step.StepRecoveryEnded("rate_limit", True)
    assert isinstance(told[1], step.ToolRequested)


def test_the_pause_that_a_provider_wants_is_kept_but_not_for_ever() -> None:
    for wanted, given in ((77.0, 77.0), (4e6, REST_MAX_S)):
        outcome = mind_failed(a_run(), rest_s=wanted).outcome
        assert outcome is not None and outcome.timers[0].at_s == NOW + given


def test_the_pause_is_set_once_more_after_a_crash() -> None:
    play = registered(mind_failed(a_run(), rest_s=77.0).begin(), work())
    assert play.outcome is not None and [timer.at_s for timer in play.outcome.timers] == [NOW + 77]
    assert play.events() == []
    assert asked(play.hears(DUE)) == [(1, 1)]


def test_a_failure_that_no_pause_mends_ends_the_run_at_once() -> None:
    assert how_it_ended(mind_failed(a_run(), "help")) == "help"


def test_the_next_try_waits_for_the_end_of_a_freeze() -> None:
    play = mind_failed(a_run()).hears(FreezeOrdered(order="f", actors=[]), GUARDIAN)
    with pytest.raises(Hold):
        play.hears(DUE)
    assert asked(play.hears(ThawOrdered(order="f"), GUARDIAN).hears(DUE)) == [(1, 1)]


def test_what_was_lost_in_a_restart_while_frozen_is_found_at_the_thaw() -> None:
    play = reply(a_run(), 1, WRITE).hears(FreezeOrdered(order="f", actors=[]), GUARDIAN).begin()
    end = exec.ToolEnded(call="1-1", ok=True, output=Excerpt(""), ms=1)
    with pytest.raises(Hold):
        play.hears(end, EXEC)
    registered(play, work()).hears(ThawOrdered(order="f"), GUARDIAN)
    assert asked(play.hears(end, EXEC, again=True)) == [(2, 0)]


def test_a_run_goes_on_after_a_crash_at_each_of_its_messages() -> None:
    play = a_run()
    for turn in range(1, 4):
        for message, subject in (
            (ModelReplied(turn, "m", "", [WRITE, SHELL]), CALL),
            (exec.ToolEnded(call=f"{turn}-1", ok=True, output=Excerpt(f"{turn}"), ms=1), EXEC),
            (exec.ExecEnded(f"{turn}-2", "exit", Excerpt(f"{turn}"), 1, 0), EXEC),
        ):
            assert registered(play.begin(), work()).events() == []
            assert play.hears(message, subject).events()
    assert how_it_ended(finish(reply(play, 4, FINISH), "4-1")) == "finished"


def test_every_message_that_comes_twice_changes_nothing() -> None:
    play = a_run()
    for message, subject in (
        (work(), QUEUE),
        (ModelReplied(1, "m", "", [WRITE, SHELL]), CALL),
        (exec.ToolEnded(call="1-1", ok=True, output=Excerpt("x"), ms=1), EXEC),
        (exec.ExecBackgrounded(call="1-2"), EXEC),
        (exec.ExecLost(call="1-2", reason="gone"), EXEC),
        (exec.ExecEnded("1-2", "exit", Excerpt(""), 1, 0, again=1), EXEC),
        (ModelFailed(2, "m", "rate_limit", "busy"), CALL),
        (WorkRevoked("t-1", "late"), QUEUE),
    ):
        play.hears(message, subject)
        assert play.hears(message, subject, again=True).events() == []


def test_steps_that_are_added_and_done_go_to_the_checklist() -> None:
    play = reply(a_run(), 1, call("checklist", add=["mend"], done=[1, 2]))
    assert play.events()[1:] == [
        step.ChecklistExtended(["mend"]),
        step.ChecklistItemDone(1),
        step.ChecklistItemDone(2),
        step.StepEnded(call="1-1", ok=True),
        step.ModelRequested(turn=2),
    ]


def test_who_asks_for_help_stops_and_says_what_for() -> None:
    play = reply(a_run(), 1, call("ask_for_help", question="Which one?"))
    assert play.events(step.HelpAsked) == [step.HelpAsked("Which one?")]
    assert play.events(RunFailed) == [RunFailed("Which one?", "help")]
    assert how_it_ended(play) == "help"


def test_a_playbook_that_was_followed_to_the_end_has_succeeded() -> None:
    play = reply(a_run(), 1, call("playbook", name="plan", inputs={"it": "all"}))
    assert play.events(step.PlaybookOpened) == [step.PlaybookOpened("1-1", "plan", "v1", NOW, {"it": "all"})]
    reply(play, 2, WRITE)
    tool_ended(play, "2-1")
    reply(play, 3, FINISH)
    play.now_s += 9
    assert finish(play, "3-1").events(step.PlaybookSucceeded) == [
        step.PlaybookSucceeded("plan", 1, 9, ["write", "finish"])
    ]


def test_a_playbook_of_a_run_that_fails_or_is_stopped_has_failed() -> None:
    opened = call("playbook", name="plan", inputs={"it": "all"})
    play = reply(reply(a_run(), 1, opened), 2, call("ask_for_help", question="how?"))
    assert [(each.error, each.tools) for each in play.events(step.PlaybookFailed)] == [("how?", ["ask_for_help"])]
    play = reply(a_run(), 1, opened).hears(WorkRevoked("t-1", "late"), QUEUE)
    assert [each.error for each in play.events(step.PlaybookFailed)] == ["late"]
    assert play.events(RunStopped)


def test_another_playbook_ends_the_one_before() -> None:
    play = reply(a_run(), 1, call("playbook", name="plan", inputs={"it": "all"}))
    reply(play, 2, call("playbook", name="other"))
    assert [type(each).__name__ for each in play.events()[1:3]] == ["PlaybookFailed", "PlaybookOpened"]


def test_a_playbook_that_names_its_tools_allows_no_others() -> None:
    play = reply(a_run(), 1, call("playbook", name="plan", inputs={"it": "all"}))
    (why,) = refused(reply(play, 2, SHELL))
    assert "the playbook plan does without 'run'" in why
    assert refused(reply(play, 3, call("checklist", done=[1]))) == []


def test_red_tests_that_repeat_themselves_stay_red() -> None:
    play = a_run(produces="test_results")
    for turn in range(1, 4):
        reply(play, turn, TEST)
        exec_ended(play, f"{turn}-1", 1, "the same", tests=RED)
    assert how_it_ended(reply(play, 4, FINISH)) == "test_failure"


def test_what_a_recovery_came_to_is_told_when_the_run_ends() -> None:
    play = exec_ended(reply(a_run(), 1, SHELL), "1-1", 1, "no such file")
    reply(play, 2, FINISH)
    assert finish(play, "2-1").events(step.StepRecoveryEnded) == [step.StepRecoveryEnded("file_not_found", True)]
    play = exec_ended(reply(a_run(), 1, SHELL), "1-1", 1, "no such file").hears(WorkRevoked("t-1", "late"), QUEUE)
    assert play.events(step.StepRecoveryEnded) == [step.StepRecoveryEnded("file_not_found", False)]


def test_a_run_that_is_not_led_by_turns_has_no_steps() -> None:
    other = msgspec.structs.replace(work(), phase="fly")
    play = a_run().hears(msgspec.structs.replace(other, run="t-2"), QUEUE)
    assert [type(each).__name__ for each in play.events()] == ["RunStarted", "RunFailed"]
