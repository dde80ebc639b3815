"""A workflow, a phase or a role whose file is taken away while a task is in it: a person is asked, nobody breaks."""

from pathlib import Path

import pytest

from actors.decider import Message
from actors.orchestrator import reviewing
from actors.orchestrator.decide import Orchestrator
from actors.orchestrator.workflow import Phase, Workflow
from bus.errors import Refused
from bus.messages import run, slots, step, task
from bus.messages.agent import WorkAssigned
from bus.messages.call import ModelFailed
from bus.messages.timers import RecoveryDue
from cli.app import App
from cli.config import Settings
from tests.buying_ground import LOCAL, Desk
from tests.given import Play
from tests.test_orchestrator import (
    CODER,
    PLAN,
    PLAN_WORK,
    PLANNED_BY,
    PLANNER,
    ROSTER,
    RUN_1,
    SLOTS,
    SUBMITTED,
    T1,
    TWO_STEPS,
)

ONLY_PLAN = Workflow("two", "for tests", [Phase("plan", "planner")])
ALL_ROLES = ("planner", "coder")


class Floor(Play):
    """The task t1 holds a slot; the files are as they are when Witan starts again."""

    def __init__(self, *workflows: Workflow, roles: tuple[str, ...] = ALL_ROLES) -> None:
        self.workflows, self.roles = {each.name: each for each in workflows}, roles
        super().__init__(lambda: Orchestrator(self.workflows, 60, 2, roles=self.roles))
        self.given(ROSTER, PLANNER, CODER).given(SLOTS, slots.PipelineAdmitted(task="t1"))
        self.given(T1, SUBMITTED, task.PipelineStarted())

    def at_work(self) -> "Floor":
        self.given(T1, PLAN, PLANNED_BY).given("evt.agent.planner-01", PLAN_WORK).begin()
        return self

    def ends(self, end: run.RunFinished | run.RunFailed) -> "Floor":
        """The run that is under way comes to its end."""
        self.given(RUN_1, end)
        ended = Message("end", end, RUN_1, "t1", self.now_s, True)
        self._keep(self.desk.decide(self.decider.decide, ended, 0))
        return self

    def asked(self) -> str:
        """What the person is asked, as the one thing that happens to the task, which gives its slot back."""
        told = [event for _, event in self.told() if not isinstance(event, task.PhaseCompleted)]
        question, released = told
        assert isinstance(question, task.PersonAsked) and released == slots.PipelineReleased(task="t1")
        return question.question


@pytest.mark.parametrize(
    ("workflows", "words"),
    [((), "There is no workflow `two` any more."), ((ONLY_PLAN,), "The workflow `two` has no phase `code` any more.")],
)
def test_a_task_whose_next_phase_no_file_knows_any_more_asks_for_the_file(
    workflows: tuple[Workflow, ...], words: str
) -> None:
    play = Floor(*workflows).at_work()
    play.ends(run.RunFinished([]))
    assert play.asked().startswith(words)
    assert "`witan reset t1`" in play.asked() and "`witan cancel t1`" in play.asked()


def test_a_start_without_the_workflow_asks_at_once_and_a_reset_with_it_goes_on() -> None:
    play = Floor()
    play.begin()
    assert "`two`" in play.asked()
    play.workflows["two"] = TWO_STEPS
    play.begin()
    play.hears(task.ResetTask(task_id="t1", reason="it is back"))
    assert PLAN in play.events(task.PhaseRequested)


def test_a_run_under_way_goes_on_without_its_file_and_its_failure_is_one_like_any_other() -> None:
    play = Floor().at_work()
    play.ends(run.RunFailed(reason="tests fail", failure="test_failed"))
    (failed,) = play.events(task.PhaseFailed)
    assert failed.phase == "plan"
    play.now_s += 3600
    play.hears(RecoveryDue(task="t1"))
    assert "There is no workflow `two` any more." in play.asked()


def test_a_phase_that_waits_for_a_role_that_is_gone_is_begun_again_as_its_workflow_says_now() -> None:
    poet = task.PhaseRequested(phase="plan", role="poet")
    play = Floor(TWO_STEPS)
    play.given(T1, poet).begin()
    assert play.asked().startswith("There is no role `poet` any more.")
    play.hears(task.ResetTask(task_id="t1", reason="the coder's"))
    assert play.events(task.PhaseRequested) == [PLAN]


def test_a_run_in_a_role_that_is_gone_is_told_so_instead_of_a_reply() -> None:
    desk = Desk(LOCAL)
    desk.given("evt.agent.p", WorkAssigned("u-1", "t", "implement", "poet", "a rhyme"))
    desk.given("evt.step.p.u-1", step.StepsOpened(task="t", phase="implement", role="poet"))
    desk.hears(step.ModelRequested(turn=1), "evt.step.p.u-1")
    (failed,) = desk.events(ModelFailed)
    assert failed.failure == "help" and "no role `poet` any more" in failed.reason
    assert desk.outcome is not None and desk.outcome.opened == desk.outcome.closed
    assert desk.asks().provider == LOCAL.provider


def test_what_a_phase_makes_is_an_artifact_of_no_kind_when_its_file_is_gone() -> None:
    assert reviewing.produced({}, "two", "plan") == reviewing.PHASE


def test_agents_of_a_role_without_a_file_are_refused_at_the_start_in_words(tmp_path: Path) -> None:
    app = App(Settings(state_dir=tmp_path, script="instant", agents={"poet": 1}), projections=False)
    with pytest.raises(Refused, match=r"`agents.poet` is set, and there is no role 'poet'") as refusal:
        app.open()
    assert "witan/roles/poet.toml" in refusal.value.what_next
