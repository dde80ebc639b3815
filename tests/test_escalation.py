"""What the orchestrator does about a phase that failed, tier by tier, as sentences about events."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.decider import Message
from actors.desk import Desk
from actors.folds import FOLDS
from actors.orchestrator.decide import Orchestrator
from actors.orchestrator.escalation import LOSSES_MAX, RECOVERIES_MAX
from actors.orchestrator.task import Task
from actors.orchestrator.workflow import Phase, Workflow
from actors.recovery import FAILURES, STRATEGIES, TRIES_MAX
from bus.messages import guardian, run, slots, task
from bus.messages.agent import AgentJoined, WorkAssigned
from bus.messages.timers import LeasesDue, RecoveryDue
from tests.given import NOW, Story

SLOTS, ROSTER, T1 = "evt.slots.main", "evt.agent.roster", "evt.task.t1"
FLOW = Workflow(
    "build", "for tests", [Phase("code", "coder", produces="code"), Phase("test", "tester", on_failure="code")]
)
TEAM = [AgentJoined(agent=f"{role}-{n}", role=role, capacity=9) for role in ("coder", "tester") for n in (1, 2)]
SUBMITTED = task.TaskSubmitted(task="build it", workflow="build", phases=["code", "test"])
CODED = (
    task.PhaseRequested(phase="code", role="coder"),
    task.PhaseAssigned(phase="code", agent="coder-1", run="t1-1", epoch=1),
    task.PhaseCompleted(phase="code", agent="coder-1", run="t1-1"),
)
RED = run.RunFailed(reason="1 failed, 2 passed", failure="test_failure")


def story() -> Story:
    return Story(lambda: Orchestrator({"build": FLOW}, 60, 2)).given(ROSTER, *TEAM)


def running(*events: Any) -> Story:
    admitted = story().given(SLOTS, slots.PipelineAdmitted(task="t1"))
    return admitted.given(T1, SUBMITTED, task.PipelineStarted(), *events)


def working(phase: str = "code", epoch: int = 1, agent: str = "", attempt: int = 1) -> list[Any]:
    role = {"code": "coder", "test": "tester"}[phase]
    return [
        task.PhaseRequested(phase=phase, role=role, attempt=attempt),
        task.PhaseAssigned(phase=phase, agent=agent or f"{role}-1", run=f"t1-{epoch}", epoch=epoch),
    ]


def tried(failure: str = "timeout", tries: int = 1, phase: str = "code", tier: int = 1, at_s: float = 0) -> list[Any]:
    """One recovery that did not help."""
    started = task.RecoveryStarted(phase, failure, "medium", "s", tier, tries, f"hint {tries}", "error", at_s)
    failed = task.PhaseFailed(phase=phase, agent="coder-1", run="t1-1", reason="no", failure=failure)
    return [
        *working(phase),
        failed,
        started,
        *working(phase),
        failed,
        task.RecoveryEnded(phase, failure, "s", tier, False),
    ]


def failed_by(story: Story, reason: str, failure: str = "unknown", agent: str = "coder-1", epoch: int = 1) -> Story:
    told = run.RunFailed(reason=reason, failure=failure)
    return story.when(told, f"evt.run.{agent}.t1-{epoch}", "t1")


def events(story: Story, *types: type) -> list[Any]:
    return [event for _, event in story.told() if isinstance(event, types)]


def test_a_failure_is_classified_and_tried_again_after_a_pause() -> None:
    told = failed_by(running(*working()), "json.decoder.JSONDecodeError: Expecting value")
    failed, started = (event for _, event in told.told())
    assert isinstance(failed, task.PhaseFailed) and failed.failure == "syntax_error"
    assert isinstance(started, task.RecoveryStarted)
    assert (started.strategy, started.tier, started.tries, started.severity) == ("re_prompt", 1, 1, "low")
    assert started.not_before_s == NOW + 0.5 and "JSONDecodeError" in started.hint
    assert told.outcome is not None
    (timer,) = told.outcome.timers
    assert (timer.name, timer.at_s, timer.body) == ("recovery-t1", NOW + 0.5, RecoveryDue(task="t1"))


def test_the_type_that_the_agent_names_is_believed() -> None:
    told = failed_by(running(*working()), "it would not end", failure="turns")
    assert [event.failure for event in events(told, task.PhaseFailed, task.RecoveryStarted)] == ["turns", "turns"]


def test_when_the_pause_is_over_the_same_role_tries_with_the_hint() -> None:
    failed = task.PhaseFailed(phase="code", agent="coder-1", run="t1-1", reason="no", failure="timeout")
    resting = running(
        *working(), failed, task.RecoveryStarted("code", "timeout", "medium", "s", 1, 1, "less", "slow", NOW + 1)
    )
    (work,) = events(resting.when(RecoveryDue(task="t1"), now_s=NOW + 1), WorkAssigned)
    assert (work.phase, work.attempt, work.produces) == ("code", 2, "code")
    assert (work.recovery.failure, work.recovery.hint, work.recovery.tries) == ("timeout", "less", 1)


def test_before_the_pause_is_over_nothing_begins_and_a_start_sets_the_timer_again() -> None:
    failed = task.PhaseFailed(phase="code", agent="coder-1", run="t1-1", reason="no", failure="timeout")
    later = task.RecoveryStarted("code", "timeout", "medium", "s", 1, 1, "less", "slow", NOW + 9)
    resting = running(*working(), failed, later).when(RecoveryDue(task="t1"))
    resting.then_nothing()
    assert resting.outcome is not None and resting.outcome.timers[0].at_s == NOW + 9
    decider = Orchestrator({"build": FLOW}, 60, 2)
    outcome = Desk("orchestrator", FOLDS, resting).decide(decider.recover, Message("begin", None, now_s=NOW), 0)
    assert [timer.name for timer in outcome.timers] == ["recovery-t1"]


def test_the_fourth_failure_of_one_type_goes_to_a_fresh_agent_who_hears_of_the_others() -> None:
    stuck = running(*(event for n in (1, 2, 3) for event in tried(tries=n)), *working())
    told = failed_by(stuck, "timed out", failure="timeout")
    (started,) = events(told, task.RecoveryStarted)
    assert (started.tier, started.strategy) == (2, "fresh_agent")
    assert started.hint.count("timeout, tried s") == 3
    stuck.given(T1, *(event for _, event in told.told()))
    (work,) = events(stuck.when(RecoveryDue(task="t1"), now_s=NOW + 999), WorkAssigned)
    (assigned,) = events(stuck, task.PhaseAssigned)
    assert assigned.agent == "coder-2" and work.recovery.tier == 2


def test_another_type_has_tries_of_its_own() -> None:
    told = failed_by(running(*(event for n in (1, 2, 3) for event in tried(tries=n)), *working()), "SyntaxError")
    assert [(each.tier, each.tries) for each in events(told, task.RecoveryStarted)] == [(1, 1)]


def test_what_will_be_the_same_each_time_is_not_tried_by_the_same_agent() -> None:
    told = failed_by(running(*working()), "invalid x-api-key", failure="model_error")
    assert [each.tier for each in events(told, task.RecoveryStarted)] == [2]


def test_after_the_review_a_person_is_asked_where_there_is_no_council() -> None:
    reviewed = running(*tried(tier=2), *working())
    told = failed_by(reviewed, "boom").told()
    assert [type(event) for _, event in told] == [task.PhaseFailed, task.PersonAsked, slots.PipelineReleased]


def test_who_asks_for_help_is_heard_by_a_person_at_once() -> None:
    told = failed_by(running(*working()), "which database?", failure="help")
    told.then(
        (T1, task.PhaseFailed(phase="code", agent="coder-1", run="t1-1", reason="which database?", failure="help")),
        (T1, task.PersonAsked(phase="code", failure="help", question="which database?")),
        (SLOTS, slots.PipelineReleased(task="t1")),
    )


WAITING = (*working(), task.PersonAsked(phase="code", failure="help", question="?"))


def test_a_waiting_task_is_reset_or_cancelled_and_refuses_all_else() -> None:
    waiting = story().given(T1, SUBMITTED, task.PipelineStarted(), *WAITING)
    told = waiting.when(task.ResetTask(task_id="t1")).told()
    assert [type(event) for _, event in told[:3]] == [slots.PipelineAdmitted, task.TaskReset, task.PipelineStarted]
    cancelled = story().given(T1, SUBMITTED, task.PipelineStarted(), *WAITING).when(task.CancelTask(task_id="t1"))
    assert (T1, task.TaskCancelled()) in cancelled.told()
    waiting.when(guardian.PauseOrdered(pipeline="t1"), "evt.guardian.o").then_nothing()


def test_a_reset_sets_tries_and_attempts_to_zero_and_ends_the_recoveries() -> None:
    failed = task.PhaseFailed(phase="code", agent="coder-1", run="t1-1", reason="no", failure="timeout")
    started = task.RecoveryStarted("code", "timeout", "medium", "s", 1, 3, "h", "e", NOW + 99)
    told = running(*working(), failed, started).when(task.ResetTask(task_id="t1")).told()
    assert (T1, task.RecoveryEnded("code", "timeout", "s", 1, False)) in told
    assert (T1, task.PhaseRequested(phase="code", role="coder", attempt=1)) in told
    assert [event.recovery for _, event in told if isinstance(event, WorkAssigned)] == [None]


def test_a_start_takes_the_slot_from_a_task_that_waits() -> None:
    cut = running(*WAITING)
    cut.when(LeasesDue())
    assert cut.recovered.state(SLOTS).holders == {}


def test_tests_that_fail_send_the_work_back_to_the_code() -> None:
    testing = running(*CODED, *working("test", 2))
    told = testing.when(RED, "evt.run.tester-1.t1-2", "t1")
    kinds = [type(event) for _, event in told.told()]
    assert kinds == [task.PhaseFailed, task.RecoveryStarted, task.PhaseReopened]
    testing.given(T1, *(event for _, event in told.told()))
    (work,) = events(testing.when(RecoveryDue(task="t1"), now_s=NOW + 9), WorkAssigned)
    assert (work.phase, work.role, work.attempt, work.inputs) == ("code", "coder", 2, [])
    assert work.recovery.failure == "test_failure" and "1 failed" in work.recovery.hint
    assert work.recovery.hint.startswith("The phase test failed")


def reopened() -> Story:
    failed = task.PhaseFailed(phase="test", agent="tester-1", run="t1-2", reason="red", failure="test_failure")
    started = task.RecoveryStarted("test", "test_failure", "medium", "fix_the_code", 1, 1, "fix", "red", NOW)
    again = task.PhaseReopened(phase="code", because="test: test_failure")
    return running(*CODED, *working("test", 2), failed, started, again, *working("code", 3, attempt=2))


def test_the_recovery_is_over_when_the_phase_that_failed_is_completed() -> None:
    mended = reopened().when(run.RunFinished(), "evt.run.coder-1.t1-3", "t1")
    assert events(mended, task.RecoveryEnded) == []
    (work,) = events(mended, WorkAssigned)
    assert (work.phase, work.attempt, work.recovery) == ("test", 2, None)
    mended.given(T1, *(event for subject, event in mended.told() if subject == T1))
    told = mended.when(run.RunFinished(), "evt.run.tester-1.t1-4", "t1").told()
    assert [type(event) for subject, event in told if subject == T1] == [
        task.PhaseCompleted,
        task.RecoveryEnded,
        task.TaskCompleted,
    ]
    assert (T1, task.RecoveryEnded("test", "test_failure", "fix_the_code", 1, True)) in told


def test_a_phase_that_fails_while_it_is_done_for_another_is_told_of_both() -> None:
    twice = failed_by(reopened(), "it timed out", failure="timeout", epoch=3)
    assert [event.phase for event in events(twice, task.RecoveryStarted)] == ["code"]
    twice.given(T1, *(event for _, event in twice.told()))
    (work,) = events(twice.when(RecoveryDue(task="t1"), now_s=NOW + 9), WorkAssigned)
    assert work.recovery.failure == "timeout"
    assert "took too long" in work.recovery.hint and "The phase test failed" in work.recovery.hint


def test_a_task_without_the_earlier_phase_tries_the_same_one_again() -> None:
    only = task.TaskSubmitted(task="x", workflow="build", phases=["test"])
    alone = story().given(SLOTS, slots.PipelineAdmitted(task="t1"))
    told = alone.given(T1, only, task.PipelineStarted(), *working("test")).when(RED, "evt.run.tester-1.t1-1", "t1")
    assert [type(event) for _, event in told.told()] == [task.PhaseFailed, task.RecoveryStarted]


def test_a_failure_while_paused_keeps_its_recovery_for_the_resumption() -> None:
    paused = running(*working(), task.PipelinePaused(order="o"))
    told = failed_by(paused, "SyntaxError").told()
    assert [type(event) for _, event in told] == [task.PhaseFailed, task.RecoveryStarted, slots.PipelineReleased]
    for subject, event in told:
        paused.given(subject, event)
    paused.when(RecoveryDue(task="t1"), now_s=NOW + 9).then_nothing()
    resumed = paused.when(guardian.ResumeOrdered(pipeline="t1"), "evt.guardian.r", now_s=NOW + 9)
    assert [work.recovery.failure for work in events(resumed, WorkAssigned)] == ["syntax_error"]


def test_a_paused_pipeline_that_needs_a_person_waits() -> None:
    told = failed_by(running(*working(), task.PipelinePaused(order="o")), "?", failure="help")
    state = told.recovered.state(T1)
    assert state.status == "waiting" and not told.recovered.state(SLOTS).holders


def test_a_failure_while_frozen_is_recovered_after_the_thaw() -> None:
    frozen = running(*working()).given(SLOTS, slots.WorkFrozen(order="f"))
    failed = failed_by(frozen, "SyntaxError")
    assert failed.outcome is not None and failed.outcome.timers == []
    frozen.given(T1, *(event for _, event in failed.told()))
    thawed = frozen.when(guardian.ThawOrdered(order="f"), "evt.guardian.main")
    assert thawed.outcome is not None and [timer.name for timer in thawed.outcome.timers] == ["recovery-t1"]


def test_an_assignment_that_is_lost_again_and_again_is_a_failure() -> None:
    lost = task.AssignmentLost(phase="code", agent="coder-1", run="t1-1", reason="silent")
    silent = running(*working()[:1], *(lost for _ in range(LOSSES_MAX - 1)), working()[1])
    told = silent.when(LeasesDue(), now_s=NOW + 61)
    assert [event.failure for event in events(told, task.PhaseFailed, task.RecoveryStarted)] == ["lost", "lost"]


def test_a_phase_that_goes_well_has_no_more_events_than_before() -> None:
    told = running(*working()).when(run.RunFinished(), "evt.run.coder-1.t1-1", "t1").told()
    assert [type(event) for _, event in told] == [
        task.PhaseCompleted,
        task.PhaseRequested,
        task.PhaseAssigned,
        WorkAssigned,
    ]


class _Pipeline:
    """One task in the hands of an orchestrator, and a fate for each of its runs."""

    def __init__(self) -> None:
        self.decider = Orchestrator({"build": FLOW}, 60, 2)
        self.source = running()
        self.desk = Desk("orchestrator", FOLDS, self.source)
        self.now, self.count = NOW, 0
        self.recoveries: list[task.RecoveryStarted] = []
        self.over = ""
        self._tell(lambda desk, told: self.decider.recover(desk, told), None, "")

    def _tell(self, decide: Any, body: Any, subject: str) -> None:
        self.count += 1
        message = Message(f"m-{self.count}", body, subject, "t1", self.now)
        self.desk.decide(decide, message, 0)
        for event in self.desk._events.get(T1, []):
            if isinstance(event, task.RecoveryStarted):
                self.recoveries.append(event)
            elif isinstance(event, task.TaskCompleted | task.PersonAsked):
                self.over = type(event).__name__

    @property
    def state(self) -> Task:
        state: Task = self.desk.state(T1)
        return state

    def end_run(self, failure: str) -> None:
        assert self.state.assignment is not None
        agent, id = self.state.assignment.agent, self.state.assignment.run
        end = run.RunFailed(reason="no", failure=failure) if failure else run.RunFinished()
        self._tell(self.decider.decide, end, f"evt.run.{agent}.{id}")

    def rest(self) -> None:
        self.now += 1000
        self._tell(self.decider.decide, RecoveryDue(task="t1"), "")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["", *FAILURES]), min_size=1, max_size=40))
def test_no_sequence_of_failures_goes_on_for_ever(fates: list[str]) -> None:
    pipeline, runs = _Pipeline(), 0
    while not pipeline.over:
        if pipeline.state.assignment is None:
            pipeline.rest()
        pipeline.end_run(fates[runs % len(fates)])
        runs += 1
        assert runs <= 3 * RECOVERIES_MAX + 3
    assert len(pipeline.recoveries) <= RECOVERIES_MAX
    for failure in STRATEGIES:
        for phase in ("code", "test"):
            ours = [each for each in pipeline.recoveries if (each.phase, each.failure) == (phase, failure)]
            assert sum(each.tier == 1 for each in ours) <= TRIES_MAX


@pytest.mark.parametrize("failure", sorted(STRATEGIES))
def test_one_failure_for_ever_ends_at_a_person(failure: str) -> None:
    pipeline = _Pipeline()
    while not pipeline.over:
        if pipeline.state.assignment is None:
            pipeline.rest()
        pipeline.end_run(failure)
    assert pipeline.over == "PersonAsked"
    assert [each.tier for each in pipeline.recoveries] == [1, 1, 1, 2]
    waits = [each.not_before_s for each in pipeline.recoveries]
    assert waits == sorted(waits)
