"""The rules of a run, as sentences: what an agent makes of each reply, each end and each mishap."""

from typing import Any

import msgspec
import pytest

from actors.agent.decide import GUARDIAN, Agents
from actors.agent.loop import AGAIN_MAX, SPEECHLESS
from actors.agent.mind import Script, ScriptedTurn
from actors.agent.playbooks import Playbook
from actors.agent.role import Role
from actors.agent.team import Team
from actors.decider import Answer, Hold
from bus.messages import exec, step
from bus.messages.agent import WorkAssigned, WorkRevoked
from bus.messages.base import Artifact, Excerpt, Recovery, TestResults, ToolCall
from bus.messages.call import ModelFailed, ModelReplied
from bus.messages.guardian import FreezeOrdered, ThawOrdered
from bus.messages.run import RunFailed, RunFinished, RunStarted, RunStopped
from bus.messages.timers import StepDue
from tests.given import Play

QUEUE, RUN, STEP = "evt.agent.c", "evt.run.c.t-1", "evt.step.c.t-1"
CALL, EXEC = "evt.call.c.t-1", "evt.exec.c.t-1"
PLAYBOOKS = {
    "plan": Playbook("plan", "d", "Do {it}.", "v1", ("read", "write"), ("it",)),
    "other": Playbook("other", "d", "Do.", "v2"),
}
TOOLS = ["read", "write", "run", "test", "finish", "wait", "playbook", "checklist", "ask_for_help"]
ROLE = Role("coder", "codes", "Code.", TOOLS, turns_max=6, playbooks=["plan", "other"])
TEAM = Team({"coder": ROLE}, PLAYBOOKS)
SCRIPT = Script("s", "", turns=[ScriptedTurn("code")])
RED = TestResults(passed=1, failed=1, failures=["test_one"])
WAITING = (step.ModelRequested, RunFinished, RunFailed)


def work(produces: str = "code", recovery: Recovery | None = None) -> WorkAssigned:
    return WorkAssigned("t-1", "t", "code", "coder", "build", produces=produces, recovery=recovery)


def a_run(**about: Any) -> Play:
    """A run whose mind has been asked for its first turn."""
    play = Play(lambda: Agents("c", {"c": "coder"}, 1, SCRIPT, TEAM))
    return registered(play).hears(work(**about), QUEUE)


def call(tool: str, **input: Any) -> ToolCall:
    return ToolCall(tool, input)


WRITE, FINISH = call("write", path="a", content="x"), call("finish", summary="done")
SHELL, TEST = call("run", command="make"), call("test")


def reply(play: Play, turn: int, *calls: ToolCall, again: int = 0) -> Play:
    return play.hears(ModelReplied(turn, "m", "", list(calls), again), CALL)


def tool_ended(play: Play, id: str, ok: bool = True, text: str = "done", **more: Any) -> Play:
    return play.hears(exec.ToolEnded(call=id, ok=ok, output=Excerpt(text), ms=1, **more), EXEC)


def exec_ended(play: Play, id: str, code: int = 0, text: str = "", **more: Any) -> Play:
    end = {"ended_by": "exit", "output": Excerpt(text), "ms": 1, "exit": code, **more}
    return play.hears(exec.ExecEnded(call=id, **end), EXEC)


def finish(play: Play, id: str) -> Play:
    return tool_ended(play, id, artifacts=[Artifact("a", "code", "s", 1)], tree="tree")


def registered(play: Play, *runs: WorkAssigned) -> Play:
    plain: list[dict[str, Any]] = [msgspec.to_builtins(work) for work in runs]
    return play.hears(Answer("register_agent", {"agent": "c", "runs": plain}))


def refused(play: Play) -> list[str]:
    return [event.reason for event in play.events(step.StepRefused)]


def asked(play: Play) -> list[tuple[int, int]]:
    return [(event.turn, event.again) for event in play.events(step.ModelRequested)]


def how_it_ended(play: Play) -> str:
    (end,) = play.events(RunFinished, RunFailed)
    assert play.events(step.StepsClosed)
    return end.failure if isinstance(end, RunFailed) else "finished"


def test_a_run_begins_with_its_first_turn_and_says_what_it_is_to_make_good() -> None:
    recovery = Recovery("test_failure", "fix_the_code", "Tests fail.", "boom")
    begun = a_run(recovery=recovery).events()
    assert isinstance(begun[0], RunStarted) and begun[0].recovery == "test_failure"
    assert begun[1:] == [
        step.StepsOpened(task="t", phase="code", role="coder", recovery="test_failure"),
        step.ModelRequested(turn=1, note="Tests fail."),
    ]


def test_the_calls_of_a_reply_are_requested_in_one_commit_and_in_their_order() -> None:
    play = reply(a_run(), 1, WRITE, SHELL)
    assert play.outcome is not None and len(play.outcome.drafts) == 1
    assert [(each.call, each.tool) for each in play.events(step.ToolRequested)] == [("1-1", "write"), ("1-2", "run")]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (call("fly"), "a coder has no tool 'fly'"),
        (call("deploy"), "a coder has no tool 'deploy'"),
        (call("write", path="a"), "missing required field `content`"),
        (call("write", path="a", content="x", mode="w"), "unknown field `mode`"),
        (call("wait", call="1-1"), "nothing runs in the background as '1-1'"),
        (call("playbook", name="none"), "has the playbooks: plan, other"),
        (call("playbook", name="plan"), "lacks it"),
        (call("x" * 9000), "a coder has no tool 'xxxx"),
    ],
)
def test_a_wrong_call_is_refused_with_a_reason_and_the_mind_is_asked_again(wrong: ToolCall, reason: str) -> None:
    play = reply(a_run(), 1, wrong)
    (why,) = refused(play)
    assert reason in why and len(why) <= 1000
    assert asked(play) == [(2, 0)]


def test_a_reply_without_a_call_is_answered_with_what_to_do() -> None:
    assert reply(a_run(), 1).events() == [step.ModelRequested(turn=2, note=SPEECHLESS)]


def test_the_next_turn_comes_in_the_commit_that_notes_the_last_end() -> None:
    play = reply(a_run(), 1, WRITE, SHELL)
    assert asked(tool_ended(play, "1-1")) == []
    assert asked(exec_ended(play, "1-2")) == [(2, 0)]


def test_a_run_ends_when_its_turns_are_used_up() -> None:
    play = a_run()
    for turn in range(1, ROLE.turns_max):
        assert asked(reply(play, turn)) == [(turn + 1, 0)]
    assert how_it_ended(reply(play, ROLE.turns_max)) == "turns"


def test_the_same_action_with_the_same_result_three_times_is_a_loop() -> None:
    play = a_run()
    flags = []
    for turn in range(1, 4):
        reply(play, turn, call("read", path="a"))
        flags += [event.loop for event in tool_ended(play, f"{turn}-1").events(step.StepEnded)]
    assert flags == [False, False, True]
    assert [event.failure for event in play.events(step.StepRecoveryStarted)] == ["loop"]
    assert "round in circles" in play.events(step.ModelRequested)[0].note


def test_the_same_action_with_another_result_is_no_loop() -> None:
    play = a_run()
    for turn in range(1, 5):
        reply(play, turn, call("read", path="a"))
        (noted,) = tool_ended(play, f"{turn}-1", text=f"line {turn}").events(step.StepEnded)
        assert not noted.loop


def test_a_lost_call_is_made_once_more_a_few_times_and_then_it_has_failed() -> None:
    play = reply(a_run(), 1, SHELL)
    for again in range(AGAIN_MAX):
        play.hears(exec.ExecLost(call="1-1", reason="gone", again=again), EXEC)
        assert [event.again for event in play.events()] == [again + 1]
    play.hears(exec.ExecLost(call="1-1", reason="gone", again=AGAIN_MAX), EXEC)
    assert [event.failure for event in play.events(step.StepEnded)] == ["lost"]
    assert asked(play) == [(2, 0)]


def test_a_command_that_a_freeze_stopped_is_made_once_more() -> None:
    play = reply(a_run(), 1, SHELL)
    exec_ended(play, "1-1", ended_by="freeze", exit=None)
    assert play.events() == [step.ToolRequested(call="1-1", tool="run", input=SHELL.input, again=1)]


def test_nothing_is_requested_while_frozen_and_it_goes_on_after_the_thaw() -> None:
    play = a_run()
    play.hears(FreezeOrdered(order="f", actors=[]), GUARDIAN)
    with pytest.raises(Hold):
        reply(play, 1, WRITE)
    held = play.heard
    assert not play.decider.ready(play.desk)
    play.hears(ThawOrdered(order="f"), GUARDIAN)
    assert play.decider.ready(play.desk)
    assert len(play.hears(held.body, CALL, again=True).events(step.ToolRequested)) == 1
    assert play.hears(held.body, CALL, again=True).events() == []


@pytest.mark.parametrize("moment", ["asked", "calls open", "resting", "aside"])
def test_a_run_that_is_taken_away_is_stopped_and_closed_at_any_moment(moment: str) -> None:
    play = a_run()
    if moment == "resting":
        play.hears(ModelFailed(1, "m", "rate_limit", "busy"), CALL)
    elif moment != "asked":
        reply(play, 1, SHELL)
    if moment == "aside":
        play.hears(exec.ExecBackgrounded(call="1-1"), EXEC)
    told = play.hears(WorkRevoked("t-1", "silent"), QUEUE).events()
    assert told[0] == RunStopped("silent") and told[-1] == step.StepsClosed("stopped")
    for late in (exec.ExecEnded("1-1", "exit", Excerpt(""), 1, 0), exec.ExecLost("1-1", "gone")):
        assert play.hears(late, EXEC).events() == []
    assert reply(play, 1, WRITE).events() == []
    assert play.hears(StepDue("c", "t-1")).events() == []
    assert registered(play).events() == []


def test_work_that_is_taken_away_before_it_began_is_never_begun() -> None:
    play = Play(lambda: Agents("c", {"c": "coder"}, 1, SCRIPT, TEAM))
    play.hears(FreezeOrdered(order="f", actors=[]), GUARDIAN)
    with pytest.raises(Hold):
        play.hears(work(), QUEUE)
    held = play.heard
    assert play.hears(WorkRevoked("t-1", "late"), QUEUE).events() == []
    play.hears(ThawOrdered(order="f"), GUARDIAN)
    assert play.hears(held.body, QUEUE, again=True).events() == []


def test_a_command_in_the_background_lets_the_mind_go_on() -> None:
    play = reply(a_run(), 1, SHELL)
    assert asked(play.hears(exec.ExecBackgrounded(call="1-1"), EXEC)) == [(2, 0)]
    assert asked(exec_ended(play, "1-1")) == []
    assert len(reply(play, 2, WRITE).events(step.ToolRequested)) == 1, "the reply that was under way still counts"


def test_the_mind_goes_on_when_only_what_is_in_the_background_is_left() -> None:
    play = reply(a_run(), 1, SHELL, WRITE)
    assert asked(play.hears(exec.ExecBackgrounded(call="1-1"), EXEC)) == []
    assert asked(tool_ended(play, "1-2")) == [(2, 0)]


def test_what_is_in_the_background_is_known_after_a_crash() -> None:
    play = reply(a_run(), 1, SHELL, WRITE)
    play.hears(exec.ExecBackgrounded(call="1-1"), EXEC)
    registered(play.begin(), work())
    assert asked(tool_ended(play, "1-2")) == [(2, 0)]


def test_a_repeated_command_is_not_taken_for_the_one_that_was_in_the_background() -> None:
    play = reply(a_run(), 1, SHELL, WRITE)
    play.hears(exec.ExecBackgrounded(call="1-1"), EXEC)
    play.hears(exec.ExecLost(call="1-1", reason="gone"), EXEC)
    assert asked(tool_ended(play, "1-2")) == []
    assert play.hears(exec.ExecBackgrounded(call="1-1"), EXEC).events() == []
    assert asked(play.hears(exec.ExecBackgrounded(call="1-1", again=1), EXEC)) == [(2, 0)]


def test_who_waits_goes_on_when_the_command_has_ended() -> None:
    play = reply(a_run(), 1, SHELL)
    play.hears(exec.ExecBackgrounded(call="1-1"), EXEC)
    reply(play, 2, call("wait", call="1-1"))
    noted = exec_ended(play, "1-1").events(step.StepEnded)
    assert [(event.call, event.ok) for event in noted] == [("1-1", True), ("2-1", True)]
    assert asked(play) == [(3, 0)]


def test_a_failing_mind_does_not_lose_its_turn_to_a_command_that_ends() -> None:
    play = reply(a_run(), 1, SHELL)
    play.hears(exec.ExecBackgrounded(call="1-1"), EXEC)
    play.hears(ModelFailed(2, "m", "rate_limit", "busy"), CALL)
    assert asked(exec_ended(play, "1-1")) == []
    assert asked(play.hears(StepDue("c", "t-1"))) == [(2, 1)]


def test_a_run_is_finished_with_its_artifacts_and_its_tree() -> None:
    end = finish(reply(a_run(), 1, FINISH), "1-1").events(RunFinished)
    assert end == [RunFinished([Artifact("a", "code", "s", 1)], "tree", "done")]


def test_a_run_ends_before_its_steps_say_so() -> None:
    outcome = finish(reply(a_run(), 1, FINISH), "1-1").outcome
    assert outcome is not None
    assert [draft.subject for draft in outcome.drafts] == [RUN, STEP], "the other order could not be mended"


def test_steps_that_a_crash_left_open_are_closed() -> None:
    play = reply(a_run(), 1, FINISH).given(RUN, RunFinished())
    assert isinstance(play, Play)
    registered(play.begin())
    late = exec.ToolEnded(call="1-1", ok=True, output=Excerpt(""), ms=1)
    assert play.hears(late, EXEC, again=True).events() == [step.StepsClosed("ended")]


def test_a_phase_is_not_finished_while_something_runs_in_the_background() -> None:
    play = reply(a_run(), 1, SHELL)
    play.hears(exec.ExecBackgrounded(call="1-1"), EXEC)
    assert "1-1 still runs" in refused(reply(play, 2, FINISH))[0]
    play = reply(a_run(), 1, SHELL, FINISH)
    play.hears(exec.ExecBackgrounded(call="1-1"), EXEC)
    (again,) = finish(play, "1-2").events(*WAITING)
    assert "1-1 still runs" in again.note


def test_a_phase_is_not_finished_after_a_failed_step_of_the_same_turn() -> None:
    play = tool_ended(reply(a_run(), 1, WRITE, FINISH), "1-1", ok=False, text="no such file")
    (again,) = finish(play, "1-2").events(*WAITING)
    assert "not finished" in again.note
    assert how_it_ended(finish(reply(play, 2, FINISH), "2-1")) == "finished"


def test_nothing_comes_behind_the_end() -> None:
    assert refused(reply(a_run(), 1, FINISH, WRITE, FINISH)) == ["nothing comes behind `finish`"] * 2


def test_red_tests_are_not_finished_over_where_test_results_are_wanted() -> None:
    play = exec_ended(reply(a_run(produces="test_results"), 1, TEST), "1-1", 1, tests=RED)
    reply(play, 2, FINISH)
    assert how_it_ended(play) == "test_failure"
    assert "test_one" in play.events(RunFailed)[0].reason


def test_red_tests_can_be_made_green_in_the_turn_that_finishes() -> None:
    for results, end in ((TestResults(passed=2), "finished"), (RED, "")):
        play = exec_ended(reply(a_run(produces="test_results"), 1, TEST), "1-1", 1, tests=RED)
        reply(play, 2, TEST, FINISH)
        exec_ended(play, "2-1", int(results is RED), tests=results)
        finish(play, "2-2")
        assert (how_it_ended(play) if end else "") == end
        assert bool(asked(play)) == (not end)


def test_tests_that_came_to_no_result_are_not_green() -> None:
    play = exec_ended(reply(a_run(produces="test_results"), 1, TEST), "1-1", 1, ended_by="cap", exit=None)
    assert how_it_ended(reply(play, 2, FINISH)) == "test_failure"


def test_a_phase_that_is_not_about_tests_can_be_finished_over_red_ones() -> None:
    play = exec_ended(reply(a_run(), 1, TEST), "1-1", 1, tests=RED)
    assert how_it_ended(finish(reply(play, 2, FINISH), "2-1")) == "finished"
