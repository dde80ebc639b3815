"""What the executor decides for councils, as sentences: gathered once, each candidate tried once, two at a time."""

from typing import Any

import msgspec
import pytest

from actors.council.problem import Brief
from actors.decider import Done, Hold
from actors.executor.decide import GUARDIAN, SANDBOX, Executor
from actors.executor.jobs import Stop
from actors.executor.trials import decide
from actors.executor.trials.wanted import Found, Gather, Trial
from bus.messages import council, step, trial
from bus.messages import exec as said
from bus.messages.base import Excerpt, TestResults
from bus.messages.guardian import FreezeOrdered, ThawOrdered
from bus.messages.workspace import WorkspaceOpened
from tests.given import NOW, Play
from tests.test_executor import TEAM, NoHands

COUNCIL, TRIAL, SPACE = "evt.council.t-c1", "evt.trial.t-c1", "evt.workspace.t"
OPENED = WorkspaceOpened("r", "witan/t", "c", "main", "p")
BRIEF = Brief("make it", "code", "timeout", "boom", [], [], "c", "t-1", ["src/**"], "/r", "main")
UNTIL_S = NOW + 30
GATHERED = trial.ProblemGathered("ab", 2, "f", "other", "make test")
ENDED = council.CouncilEnded("called_off", "t", "code", "timeout", "no")


def floor(level: str = "B") -> Play:
    play = Play(lambda: Executor(TEAM, NoHands(level), lambda workflow, phase: ""))
    play.given("evt.step.c.t-1", step.StepsOpened("t", "code", "coder"), step.ToolRequested("1-1", "test", {}))
    play.given("evt.step.c.t-1", step.ToolRequested("2-1", "test", {"command": "make check"}))
    tests = TestResults(failed=1, failures=["test_it"])
    play.given("evt.exec.c.t-1", said.ExecEnded("1-1", "exit", Excerpt(""), 1, 1, tests=tests))
    play.given(SPACE, OPENED)
    return play.begin()


def convened(play: Play, id: str = "t-c1", *, again: bool = False) -> Play:
    brief = play.given_blob(msgspec.json.encode(BRIEF))
    event = council.CouncilConvened("t", "code", "timeout", "why", brief, "t-1", "c", UNTIL_S, 1)
    return play.hears(event, f"evt.council.{id}", again=again)


def sitting(level: str = "B") -> Play:
    """A council whose problem is gathered."""
    play = convened(floor(level))
    return gathered(play)


def gathered(play: Play, event: Any = GATHERED) -> Play:
    (wanted,) = works(play)
    return play.hears(Done(wanted.key, Found(wanted, event, (b"problem",))))


def ask(play: Play, candidate: str, *, again: bool = False, id: str = "t-c1") -> Play:
    event = council.TrialAsked(candidate, play.given_blob(candidate.encode()))
    return play.hears(event, f"evt.council.{id}", again=again)


def works(play: Play) -> list[Any]:
    """What has just been begun."""
    return [what for what in play.done() if isinstance(what, Gather | Trial)]


def begun(play: Play) -> list[str]:
    return [work.key for work in works(play)]


def under_way(play: Play) -> dict[str, Any]:
    executor = play.decider
    assert isinstance(executor, Executor)
    return executor.trials.under_way


def tried(play: Play, candidate: str, interrupted: Any = "") -> Play:
    (work,) = [each for each in under_way(play).values() if isinstance(each, Trial) and each.candidate == candidate]
    event = trial.CandidateTried(candidate, True, tests=TestResults(passed=1))
    return play.hears(Done(work.key, Found(work, event, interrupted=interrupted)))


def test_a_convened_council_has_its_problem_gathered() -> None:
    (wanted,) = works(convened(floor()))
    assert wanted == Gather("t-c1", BRIEF, OPENED, ("test_it",), "make check")


def test_what_was_gathered_is_told_once_and_its_text_is_kept() -> None:
    play = sitting()
    assert play.told() == [(TRIAL, GATHERED)]
    assert play.outcome is not None and play.outcome.blobs == [b"problem"] and play.outcome.closed == ["gather/t-c1"]
    assert begun(convened(play, again=True)) == [] == begun(convened(play.begin(), again=True))


def test_a_problem_that_cannot_be_gathered_is_told_and_not_tried_again() -> None:
    play = gathered(convened(floor()), trial.GatheringFailed("the task has no workspace"))
    assert play.told() == [(TRIAL, trial.GatheringFailed("the task has no workspace"))]
    assert begun(convened(play.begin(), again=True)) == []


def test_a_gathering_that_a_crash_cut_short_is_done_again() -> None:
    assert begun(convened(convened(floor()).begin(), again=True)) == ["gather/t-c1"]


def test_the_hands_are_told_all_that_a_trial_needs() -> None:
    (work,) = works(ask(sitting(), "m1"))
    assert (work.council, work.candidate, work.solution, work.opened) == ("t-c1", "m1", b"m1", OPENED)
    assert (work.territory, work.tests) == (("src/**",), "make test")
    assert (work.now_s, work.until_s, work.unheld) == (NOW, UNTIL_S, "")


@pytest.fixture(autouse=True)
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few candidates show what is begun and what waits."""
    monkeypatch.setattr(decide, "AT_ONCE", 2)


def test_two_are_tried_at_once_and_the_others_wait_their_turn() -> None:
    play = sitting()
    assert [begun(ask(play, each)) for each in ("m1", "m2", "m3", "m4")] == [
        ["trial/t-c1/m1/0"], ["trial/t-c1/m2/0"], [], []
    ]  # fmt: skip
    assert begun(tried(play, "m2")) == ["trial/t-c1/m3/0"]
    assert begun(tried(play, "m1")) == ["trial/t-c1/m4/0"]
    assert tried(play, "m3").events() == [trial.CandidateTried("m3", True, tests=TestResults(passed=1))]
    assert begun(tried(play, "m4")) == [] and under_way(play) == {}


def test_each_is_tried_once_however_often_it_is_asked_for() -> None:
    play = ask(ask(ask(sitting(), "m1"), "m2"), "m3")
    for candidate in ("m1", "m2", "m3"):
        assert ask(play, candidate, again=True).told() == [] and begun(play) == []
    tried(play, "m1")
    assert begun(ask(play, "m1", again=True)) == [] == begun(ask(play.begin(), "m1", again=True))


def test_after_a_crash_what_has_no_end_is_done_again() -> None:
    play = tried(ask(ask(ask(sitting(), "m1"), "m2"), "m3"), "m1")
    play.begin()
    assert [begun(ask(play, each, again=True)) for each in ("m1", "m2", "m3")] == [
        [], ["trial/t-c1/m2/0"], ["trial/t-c1/m3/0"]
    ]  # fmt: skip
    assert works(ask(play.begin(), "m2", again=True))[0].tests == "make test", "it is read from the log"


def test_a_late_word_of_an_earlier_life_counts_for_nothing() -> None:
    play = ask(sitting(), "m1")
    (work,) = under_way(play).values()
    event = trial.CandidateTried("m1", True)
    assert play.begin().hears(Done(work.key, Found(work, event))).told() == []


def test_the_end_of_a_council_stops_what_runs_and_forgets_what_waits() -> None:
    play = ask(ask(ask(sitting(), "m1"), "m2"), "m3")
    play.hears(ENDED, COUNCIL)
    assert play.done() == [Stop(("trial/t-c1/m1/0", "trial/t-c1/m2/0"), "cancel")]
    assert play.outcome is not None and play.outcome.closed == ["trial/t-c1/m3"]
    for candidate in ("m1", "m2"):
        assert tried(play, candidate, "cancel").told() == [] and begun(play) == []
        assert play.outcome is not None and play.outcome.closed == [f"trial/t-c1/{candidate}"]
    executor = play.decider
    assert isinstance(executor, Executor)
    assert not (executor.trials.cases or executor.trials.over or executor.trials.waiting)


def test_nothing_is_begun_for_a_council_that_is_over() -> None:
    play = sitting().hears(ENDED, COUNCIL)
    assert begun(ask(play, "m1")) == [] and play.told() == []
    play = convened(floor()).hears(ENDED, COUNCIL)
    play.begin()
    assert begun(convened(play, again=True)) == [] == begun(ask(play, "m1", again=True))
    assert play.hears(ENDED, COUNCIL, again=True).done() == []


def test_one_councils_end_is_not_anothers() -> None:
    play = ask(sitting(), "m1")
    gathered(convened(play, "t-c2"))
    ask(play, "m1", id="t-c2"), ask(play, "m2", id="t-c2")
    play.hears(ENDED, COUNCIL)
    assert play.done() == [Stop(("trial/t-c1/m1/0",), "cancel")]
    (own, others) = under_way(play).values()
    found = Found(own, trial.CandidateTried("m1", True), interrupted="cancel")
    assert begun(play.hears(Done(own.key, found))) == ["trial/t-c2/m2/0"] and others.council == "t-c2"


def frozen(play: Play) -> Play:
    return play.hears(FreezeOrdered(order="f", actors=[]), GUARDIAN)


def test_a_freeze_stops_trials_and_a_thaw_begins_them_anew() -> None:
    play = frozen(ask(ask(sitting(), "m1"), "m2"))
    assert play.done() == [Stop(("trial/t-c1/m1/0", "trial/t-c1/m2/0"), "freeze")]
    for candidate in ("m1", "m2"):
        assert tried(play, candidate, "freeze").told() == [] and begun(play) == []
        assert play.outcome is not None and play.outcome.closed == []
    assert sorted(begun(play.hears(ThawOrdered(order="f"), GUARDIAN))) == ["trial/t-c1/m1/1", "trial/t-c1/m2/1"]
    assert tried(play, "m1").events(trial.CandidateTried)


def test_nothing_is_begun_while_frozen() -> None:
    play = frozen(sitting())
    with pytest.raises(Hold):
        ask(play, "m1")
    with pytest.raises(Hold):
        convened(play, "t-c2")
    play.hears(ThawOrdered(order="f"), GUARDIAN)
    assert begun(ask(play, "m1", again=True)) == ["trial/t-c1/m1/0"]


def test_where_nothing_holds_commands_in_the_trial_is_told_so() -> None:
    (work,) = works(ask(sitting("C"), "m1"))
    assert "waive-sandbox" in work.unheld


def test_texts_that_are_lost_end_what_was_asked() -> None:
    play = floor()
    event = council.CouncilConvened("t", "code", "timeout", "why", "00" * 32, "t-1", "c", UNTIL_S, 1)
    (failed,) = play.hears(event, COUNCIL).events()
    assert isinstance(failed, trial.GatheringFailed) and begun(play) == []
    play = sitting()
    (lost,) = play.hears(council.TrialAsked("m1", "00" * 32), COUNCIL).events()
    assert isinstance(lost, trial.CandidateTried) and not lost.applies and begun(play) == []


def test_a_new_life_reads_on_behind_its_newest_trial() -> None:
    play = sitting()
    newest = {pattern: play.last(pattern) for pattern in ("evt.trial.*", SANDBOX)}
    assert all(newest.values())
    assert play.decider.resume_after(play.last, 99) == 0


def test_a_solution_goes_to_the_hands_with_the_call_that_applies_it() -> None:
    play = floor()
    digest = play.given_blob(b"the answer")
    play.hears(step.ToolRequested("0-1", "apply", {"solution": digest}), "evt.step.c.t-1")
    (job,) = play.done()
    assert (job.name, job.solution, job.territory) == ("apply", b"the answer", ("src/**",))
    play.hears(step.ToolRequested("0-3", "apply", {"solution": "00" * 32}), "evt.step.c.t-1")
    (refused,) = play.events(said.ToolEnded)
    assert not refused.ok
