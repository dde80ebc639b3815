"""A run that begins with a council's solution: it is applied and tested first, and the mind is told how that went."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from actors.agent.decide import Agents
from actors.agent.loop import APPLIED, GREEN, NOT_APPLIED, RED
from actors.agent.role import Role
from actors.agent.team import Team
from actors.council.problem import Change, Proposal
from actors.executor.files.room import Room
from actors.executor.git.opened import Opened
from actors.executor.trials.applying import apply
from actors.executor.trials.changes import put
from actors.territory import Territory
from actors.tools import KNOWN, TOOLS
from actors.treasurer.context import Transcript
from actors.treasurer.story import story_of
from bus.messages import call as minds
from bus.messages import exec, step
from bus.messages.agent import WorkAssigned
from bus.messages.base import Excerpt, Recovery, TestResults
from bus.messages.run import RunFailed
from cli.trace import tree_of
from tests.given import Play
from tests.test_context import quoted
from tests.test_loop import (
    FINISH,
    QUEUE,
    SCRIPT,
    a_run,
    asked,
    call,
    exec_ended,
    how_it_ended,
    refused,
    registered,
    reply,
    tool_ended,
    work,
)
from tests.test_loop import RED as FAILING
from tests.transcripts import a_round, hear, words
from tests.transcripts import asked as prompt_of
from tests.trial_ground import encoded

SOLUTION = "ab" * 32
RECOVERY = Recovery("timeout", "council", "The council says.", "boom", tier=3, solution=SOLUTION)
APPLY = step.ToolRequested("0-1", "apply", {"solution": SOLUTION})
OPENED = step.StepsOpened("t", "code", "coder", "timeout")


def begun() -> Play:
    return a_run(recovery=RECOVERY)


def notes(play: Play) -> list[str]:
    return [event.note for event in play.events(step.ModelRequested)]


def test_the_solution_is_applied_before_the_mind_is_asked() -> None:
    assert begun().events(step.StepsOpened, step.ToolRequested, step.ModelRequested) == [OPENED, APPLY]


def test_what_is_applied_is_tested_and_then_the_mind_hears_that_it_is_green() -> None:
    play = tool_ended(begun(), "0-1")
    assert play.events(step.ToolRequested, step.ModelRequested) == [step.ToolRequested("0-2", "test", {})]
    exec_ended(play, "0-2", tests=TestResults(passed=3))
    assert asked(play) == [(1, 0)] and notes(play) == [f"{APPLIED} {GREEN}"]


def test_red_tests_are_told_and_end_nothing() -> None:
    play = exec_ended(tool_ended(begun(), "0-1"), "0-2", 1, "boom", tests=FAILING)
    assert asked(play) == [(1, 0)] and notes(play) == [f"{APPLIED} {RED}"]
    assert play.events(RunFailed, step.StepRecoveryStarted) == []


@pytest.mark.parametrize("failure", ["permission_denied", "file_not_found", "unknown"])
def test_a_solution_that_does_not_apply_is_not_tested_and_the_mind_goes_on(failure: str) -> None:
    play = tool_ended(begun(), "0-1", ok=False, text="No space left on device", failure=failure)
    assert play.events(step.ToolRequested, RunFailed, step.StepRecoveryStarted) == []
    assert asked(play) == [(1, 0)] and notes(play) == [NOT_APPLIED]
    assert asked(reply(play, 1)) == [(2, 0)]


def test_where_the_role_has_no_tests_none_are_run() -> None:
    writer = Team({"coder": Role("coder", "codes", "Code.", ["write", "finish"])})
    play = registered(Play(lambda: Agents("c", {"c": "coder"}, 1, SCRIPT, writer))).hears(
        work(recovery=RECOVERY), QUEUE
    )
    assert notes(tool_ended(play, "0-1")) == [APPLIED]


def test_tests_that_go_to_the_background_do_not_keep_the_mind_waiting() -> None:
    play = tool_ended(begun(), "0-1").hears(exec.ExecBackgrounded("0-2"), "evt.exec.c.t-1")
    (note,) = notes(play)
    assert note.startswith(APPLIED) and "0-2" in note
    exec_ended(play, "0-2", tests=TestResults(passed=3))
    assert asked(play) == []
    assert asked(reply(play, 1)) == [(2, 0)]


def test_after_a_crash_it_is_not_begun_again_and_goes_on_where_it_was() -> None:
    play = begun()
    resumed = registered(play.begin(), work(recovery=RECOVERY))
    assert resumed.events() == []
    tool_ended(resumed, "0-1")
    again = registered(play.begin(), work(recovery=RECOVERY))
    assert again.events() == []
    assert notes(exec_ended(again, "0-2", tests=TestResults(passed=1))) == [f"{APPLIED} {GREEN}"]
    assert registered(play.begin(), work(recovery=RECOVERY)).events() == []


def test_a_call_whose_outcome_is_lost_is_made_again() -> None:
    play = tool_ended(begun(), "0-1").hears(exec.ExecLost("0-2", "a crash"), "evt.exec.c.t-1")
    assert play.events(step.ToolRequested) == [step.ToolRequested("0-2", "test", {}, 1)]
    exec_ended(play, "0-2", tests=TestResults(passed=1), again=1)
    assert notes(play) == [f"{APPLIED} {GREEN}"]


def test_red_tests_of_a_solution_are_not_finished_over() -> None:
    play = exec_ended(tool_ended(a_run(recovery=RECOVERY, produces="test_results"), "0-1"), "0-2", 1, tests=FAILING)
    assert how_it_ended(reply(play, 1, FINISH)) == "test_failure"


def test_no_role_can_list_it_and_no_mind_can_ask_for_it() -> None:
    assert "apply" in KNOWN and "apply" not in TOOLS
    (why,) = refused(reply(a_run(), 1, call("apply", solution=SOLUTION)))
    assert "has no tool 'apply'" in why


def solved(*more: object) -> Any:
    """A conversation that began with a solution."""
    given = WorkAssigned("t-1", "t", "code", "coder", "Build a parser.", recovery=RECOVERY)
    return hear(
        Transcript("t-1"),
        given,
        OPENED,
        APPLY,
        exec.ToolEnded("0-1", True, Excerpt("changed a.py"), 1, wrote=["a.py"]),
        step.StepEnded("0-1", True),
        step.ToolRequested("0-2", "test", {}),
        *more,
    )


RAN = exec.ExecEnded("0-2", "exit", Excerpt("1 failed"), 1, 1, tests=FAILING)
NOTED = step.StepEnded("0-2", False, failure="test_failure")


def test_the_first_prompt_says_what_was_done_and_what_came_of_it() -> None:
    transcript = solved(RAN, NOTED, step.ModelRequested(1, note=f"{APPLIED} {RED}"))
    (first,) = prompt_of(transcript).turns
    told = quoted(first)
    assert "changed a.py" in told["0-1, done before your first turn"]
    assert "1 passed, 1 failed" in told["0-2, done before your first turn"]
    assert RED in words(first) and "The council says." in words(first)


def test_later_prompts_begin_with_the_same_words() -> None:
    transcript = solved(RAN, NOTED, step.ModelRequested(1, note=f"{APPLIED} {RED}"))
    (first,) = prompt_of(transcript).turns
    assert prompt_of(hear(transcript, *a_round(1))).turns[0] == first


def test_what_ended_in_the_background_is_told_when_it_has_ended() -> None:
    transcript = solved(step.ModelRequested(1, note=APPLIED))
    assert "0-2, done before your first turn" not in quoted(prompt_of(transcript).turns[0])
    hear(transcript, minds.ModelReplied(1, "m", "Well."), RAN, NOTED, step.ModelRequested(2))
    assert "1 failed" in words(prompt_of(transcript).turns[-1])


def test_the_story_of_a_long_run_begins_with_the_solution() -> None:
    transcript = solved(RAN, NOTED, step.ModelRequested(1, note=f"{APPLIED} {RED}"))
    hear(transcript, *a_round(1), *a_round(2))
    told = story_of(transcript.rounds, 2, 1000)
    assert told.index("Before reply 1: 0-1 apply: done") < told.index("0-2 test") < told.index("Reply 1")
    assert "Files written so far: a.py" in told


def test_a_trace_says_what_came_before_the_first_turn() -> None:
    told = {"ms": 1, "ok": True, "loop": False, "failure": "", "exit": None, "ended_by": None, "again": 0, "input": ""}
    steps = [
        {**told, "turn": turn, "call": call, "tool": tool, "thought": None, "observation": ""}
        for turn, call, tool in ((0, "0-1", "apply"), (0, "0-2", "test"), (1, "1-1", "read"))
    ]
    run = {"phase": "code", "agent": "c", "run": "t-1", "attempt": 1, "outcome": "finished", "seconds": 1.0}
    about = {**run, "recovery": "timeout", "reason": "", "failure": "", "steps": steps}
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(tree_of("t", [about], full=False))
    text = console.export_text()
    assert text.index("before the first turn") < text.index("0-1 apply") < text.index("0-2 test")
    assert text.index("0-2 test") < text.index("turn 1") < text.index("1-1 read")


def a_workspace(tmp_path: Path) -> Opened:
    folder = tmp_path / "work" / "t"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("x = 1\ny = 2\n")
    return Opened("r", "witan/t", "b", "main", str(folder))


BOTH = Proposal([Change("a.py", "x = 3\n", "x = 1\n"), Change("new/b.py", "z = 1\n")])


def carried_out(
    place: Opened, proposal: Proposal = BOTH, key: str = "t-1/0-1/s", globs: tuple[str, ...] = ("**",)
) -> Any:
    with Room(Path(place.path), Territory(globs or ("**",))) as room:
        return apply(room, place, key, encoded(proposal))


def contents(place: Opened) -> dict[str, str]:
    return {path.relative_to(place.path).as_posix(): path.read_text() for path in Path(place.path).rglob("*.py")}


def test_a_solution_is_put_into_the_workspace_and_told_as_a_diff(tmp_path: Path) -> None:
    place = a_workspace(tmp_path)
    outcome = carried_out(place)
    assert outcome.ok and (outcome.created, outcome.wrote) == (("new/b.py",), ("a.py",))
    assert "-x = 1\n+x = 3" in outcome.text
    assert contents(place) == {"a.py": "x = 3\ny = 2\n", "new/b.py": "z = 1\n"}


def test_the_same_call_does_it_once_however_often_it_is_repeated(tmp_path: Path) -> None:
    place = a_workspace(tmp_path)
    assert carried_out(place) == carried_out(place)
    assert contents(place) == {"a.py": "x = 3\ny = 2\n", "new/b.py": "z = 1\n"}
    assert not carried_out(place, key="t-2/0-1/s").ok, "another run's call is another call"


def test_a_crash_between_two_files_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = a_workspace(tmp_path)

    def crash(room: Room, after: dict[str, bytes]) -> None:
        put(room, dict(list(after.items())[:1]))
        raise KeyboardInterrupt

    monkeypatch.setattr("actors.executor.trials.applying.put", crash)
    with pytest.raises(KeyboardInterrupt):
        carried_out(place)
    monkeypatch.undo()
    assert carried_out(place).ok
    assert contents(place) == {"a.py": "x = 3\ny = 2\n", "new/b.py": "z = 1\n"}


@pytest.mark.parametrize(
    "change",
    [
        Change("a.py", "new", "not there"),
        Change("none.py", "new", "old"),
        Change("../out.py", "new"),
        Change("other/c.py", "new"),
        Change(".git/config", "new"),
        Change("a.py/inside", "new"),
    ],
)
def test_what_does_not_fit_changes_nothing_at_all(tmp_path: Path, change: Change) -> None:
    place = a_workspace(tmp_path)
    outcome = carried_out(
        place, Proposal([Change("a.py", "x = 3\n", "x = 1\n"), change]), globs=("*.py", "a.py/*", "!other/**")
    )
    assert not outcome.ok and "nothing was changed" in outcome.text
    assert contents(place) == {"a.py": "x = 1\ny = 2\n"}
