"""What the orchestrator does, as sentences about events."""

import json
from pathlib import Path

import pytest

from actors.orchestrator.decide import Orchestrator
from actors.orchestrator.task import TRANSITIONS, Task, evolve, refuse_unless
from actors.orchestrator.workflow import Phase, Workflow, read_workflow, read_workflows
from bus.errors import Invalid, Missing, Refused
from bus.ids import derived_id
from bus.messages import guardian, run, slots, task
from bus.messages.agent import AgentJoined, Alive, RegisterAgent, WorkAssigned, WorkRevoked
from bus.messages.base import Input
from bus.messages.timers import LeasesDue
from tests.given import NOW, Story

FILES = Path(__file__).parent.parent / "actors"
SLOTS, ROSTER = "evt.slots.main", "evt.agent.roster"
T1, T2, T3 = "evt.task.t1", "evt.task.t2", "evt.task.t3"
TWO_STEPS = Workflow("two", "for tests", [Phase("plan", "planner"), Phase("code", "coder")])
PLANNER = AgentJoined(agent="planner-01", role="planner", capacity=9)
CODER = AgentJoined(agent="coder-01", role="coder", capacity=9)
SUBMITTED = task.TaskSubmitted(task="build it", workflow="two", phases=["plan", "code"])
PLAN = task.PhaseRequested(phase="plan", role="planner")
PLANNED_BY = task.PhaseAssigned(phase="plan", agent="planner-01", run="t1-1", epoch=1)
PLAN_WORK = WorkAssigned(run="t1-1", task="t1", phase="plan", role="planner", text="build it", lease_s=60.0)
RUN_1 = "evt.run.planner-01.t1-1"


def story() -> Story:
    """Two agents, two slots, nothing to do."""
    return Story(lambda: Orchestrator({"two": TWO_STEPS}, 60, 2)).given(ROSTER, PLANNER, CODER)


def planning() -> Story:
    """The task t1 is being planned."""
    return (
        story()
        .given(SLOTS, slots.PipelineAdmitted(task="t1"))
        .given(T1, SUBMITTED, task.PipelineStarted(), PLAN, PLANNED_BY)
        .given("evt.agent.planner-01", PLAN_WORK)
    )


def test_a_submitted_task_gets_a_slot_and_its_first_phase_an_agent() -> None:
    id = derived_id("message")
    subject = f"evt.task.{id}"
    story().when(task.SubmitTask(task="build it", workflow="two")).then(
        (SLOTS, slots.PipelineAdmitted(task=id)),
        (subject, SUBMITTED),
        (subject, task.PipelineStarted()),
        (subject, PLAN),
        (subject, task.PhaseAssigned(phase="plan", agent="planner-01", run=f"{id}-1", epoch=1)),
        (
            "evt.agent.planner-01",
            WorkAssigned(run=f"{id}-1", task=id, phase="plan", role="planner", text="build it", lease_s=60.0),
        ),
    ).then_answered(task_id=id, status="running")


def test_a_repeated_submission_is_answered_and_not_executed() -> None:
    id = derived_id("message")
    repeated = story().given(f"evt.task.{id}", SUBMITTED, cause="message").when(task.SubmitTask(task="build it"))
    repeated.then_nothing().then_answered(task_id=id, repeated=True)


def test_another_command_that_leads_to_the_same_task_id_is_refused() -> None:
    id = derived_id("message")
    story().given(f"evt.task.{id}", SUBMITTED, cause="other").when(task.SubmitTask(task="x")).then_refused("another")


def test_a_task_waits_when_all_slots_are_taken() -> None:
    full = story().given(SLOTS, slots.PipelineAdmitted(task="a"), slots.PipelineAdmitted(task="b"))
    id = derived_id("message")
    full.when(task.SubmitTask(task="build it", workflow="two", priority=3)).then(
        (SLOTS, slots.PipelineQueued(task=id, priority=3)),
        (f"evt.task.{id}", task.TaskSubmitted(task="build it", workflow="two", phases=["plan", "code"], priority=3)),
    ).then_answered(status="pending")


def test_an_unknown_workflow_is_refused_with_the_known_ones() -> None:
    refused = story().when(task.SubmitTask(task="x", workflow="three")).then_refused("three")
    assert refused.refusal is not None and "two" in refused.refusal.what_next


@pytest.mark.parametrize("phases", [["fly"], []])
def test_a_phase_subset_must_fit_the_workflow(phases: list[str]) -> None:
    story().when(task.SubmitTask(task="x", workflow="two", phases=phases)).then_refused("phase")


def test_deploy_without_test_is_refused() -> None:
    tiered = read_workflow(FILES / "workflows" / "tiered.toml")
    assert tiered.subset(["test", "deploy"]) == ["test", "deploy"]
    with pytest.raises(Invalid, match="needs phase 'test'"):
        tiered.subset(["implement", "deploy"])


def test_a_finished_run_completes_the_phase_and_the_next_one_begins() -> None:
    code = task.PhaseAssigned(phase="code", agent="coder-01", run="t1-2", epoch=2)
    work = WorkAssigned(
        run="t1-2",
        task="t1",
        phase="code",
        role="coder",
        text="build it",
        lease_s=60.0,
        inputs=[Input("plan", "planner-01", "t1-1")],
    )
    planning().when(run.RunFinished(), RUN_1, "t1").then(
        (T1, task.PhaseCompleted(phase="plan", agent="planner-01", run="t1-1")),
        (T1, task.PhaseRequested(phase="code", role="coder")),
        (T1, code),
        ("evt.agent.coder-01", work),
    )


def test_the_last_phase_ends_the_task_and_lets_the_next_one_in() -> None:
    coding = (
        planning()
        .given(SLOTS, slots.PipelineAdmitted(task="t2"), slots.PipelineQueued(task="t3"))
        .given(T2, SUBMITTED, task.PipelineStarted(), PLAN)
        .given(T3, SUBMITTED)
        .given(T1, task.PhaseCompleted(phase="plan", agent="planner-01", run="t1-1"))
        .given(T1, task.PhaseRequested(phase="code", role="coder"))
        .given(T1, task.PhaseAssigned(phase="code", agent="coder-01", run="t1-2", epoch=2))
        .given("evt.agent.coder-01", WorkAssigned(run="t1-2", task="t1", phase="code", role="coder", text="x"))
    )
    told = coding.when(run.RunFinished(), "evt.run.coder-01.t1-2", "t1").told()
    assert told[:4] == [
        (T1, task.PhaseCompleted(phase="code", agent="coder-01", run="t1-2")),
        (T1, task.TaskCompleted()),
        (SLOTS, slots.PipelineReleased(task="t1")),
        (SLOTS, slots.PipelineAdmitted(task="t3")),
    ]
    assert (T3, task.PipelineStarted()) in told


def test_a_pause_lets_the_phase_finish_and_starts_no_other() -> None:
    planning().when(guardian.PauseOrdered(pipeline="t1", reason="look"), "evt.guardian.o1").then(
        (T1, task.PipelinePaused(order="o1", reason="look"))
    )
    paused = planning().given(T1, task.PipelinePaused(order="o1"))
    paused.when(run.RunFinished(), RUN_1, "t1").then(
        (T1, task.PhaseCompleted(phase="plan", agent="planner-01", run="t1-1")),
        (SLOTS, slots.PipelineReleased(task="t1")),
    )


def test_a_resume_starts_the_next_phase_at_once() -> None:
    paused = (
        story()
        .given(SLOTS, slots.PipelineAdmitted(task="t1"), slots.PipelineReleased(task="t1"))
        .given(T1, SUBMITTED, task.PipelineStarted(), PLAN, PLANNED_BY)
        .given(T1, task.PipelinePaused(order="o1"))
        .given(T1, task.PhaseCompleted(phase="plan", agent="planner-01", run="t1-1"))
    )
    told = paused.when(guardian.ResumeOrdered(pipeline="t1", reason="go"), "evt.guardian.o2").told()
    assert told[:4] == [
        (SLOTS, slots.PipelineAdmitted(task="t1")),
        (T1, task.PipelineResumed(order="o2", reason="go")),
        (T1, task.PipelineStarted()),
        (T1, task.PhaseRequested(phase="code", role="coder")),
    ]


def test_an_override_is_in_the_context_of_the_next_phase() -> None:
    overridden = planning().given(T1, task.OverrideApplied(order="o1", override={"environment": "staging"}))
    told = overridden.when(run.RunFinished(), RUN_1, "t1").told()
    (work,) = [event for _, event in told if isinstance(event, WorkAssigned)]
    assert work.context == {"overrides": {"environment": "staging"}}


def test_an_order_that_comes_too_late_has_no_effect() -> None:
    ended = story().given(T1, SUBMITTED, task.PipelineStarted(), task.TaskCancelled())
    for order in (
        guardian.PauseOrdered(pipeline="t1"),
        guardian.ResumeOrdered(pipeline="t1"),
        guardian.OverrideOrdered(pipeline="t1", override={"a": 1}),
    ):
        ended.when(order, "evt.guardian.o1").then_nothing()


def test_while_everything_is_frozen_a_result_is_kept_and_nothing_begins() -> None:
    frozen = planning().given(SLOTS, slots.WorkFrozen(order="f"))
    frozen.when(run.RunFinished(), RUN_1, "t1").then(
        (T1, task.PhaseCompleted(phase="plan", agent="planner-01", run="t1-1"))
    )


def test_a_freeze_is_recorded_and_acknowledged() -> None:
    frozen = planning().when(guardian.FreezeOrdered(order="f", actors=[]), "evt.guardian.main")
    frozen.then((SLOTS, slots.WorkFrozen(order="f")))
    assert frozen.outcome is not None
    (sending,) = frozen.outcome.sendings
    assert (sending.actor, sending.command) == ("guardian", "acknowledge_freeze")


def test_a_thaw_goes_on_where_the_freeze_stopped() -> None:
    frozen = (
        planning()
        .given(SLOTS, slots.WorkFrozen(order="f"))
        .given(T1, task.PhaseCompleted(phase="plan", agent="planner-01", run="t1-1"))
    )
    told = frozen.when(guardian.ThawOrdered(order="f"), "evt.guardian.main").told()
    assert told[:2] == [(SLOTS, slots.WorkThawed(order="f")), (T1, task.PhaseRequested(phase="code", role="coder"))]


def test_a_silent_agent_loses_its_work_to_another() -> None:
    second = AgentJoined(agent="planner-02", role="planner")
    told = planning().given(ROSTER, second).when(LeasesDue(), now_s=NOW + 61).told()
    assert told[:2] == [
        (
            T1,
            task.AssignmentLost(phase="plan", agent="planner-01", run="t1-1", reason="planner-01 was silent for 60 s"),
        ),
        (T1, task.PhaseAssigned(phase="plan", agent="planner-02", run="t1-2", epoch=2)),
    ]
    assert ("evt.agent.planner-01", WorkRevoked(run="t1-1", reason="the lease expired")) in told


def test_the_late_result_of_a_lost_run_is_refused() -> None:
    lost = planning().given(
        T1,
        task.AssignmentLost(phase="plan", agent="planner-01", run="t1-1", reason="silent"),
        task.PhaseAssigned(phase="plan", agent="planner-02", run="t1-2", epoch=2),
    )
    reason = "the work had been given to somebody else"
    lost.when(run.RunFinished(), RUN_1, "t1").then(
        (T1, task.ResultRefused(agent="planner-01", run="t1-1", reason=reason))
    )


def test_a_result_that_was_taken_already_is_not_news() -> None:
    taken = planning().given(T1, task.PhaseCompleted(phase="plan", agent="planner-01", run="t1-1"))
    told = taken.when(run.RunFinished(), RUN_1, "t1").told()
    assert not [event for _, event in told if isinstance(event, task.PhaseCompleted | task.ResultRefused)]


def test_a_cancelled_task_gives_back_its_agent_and_its_slot() -> None:
    planning().when(task.CancelTask(task_id="t1", reason="no need")).then(
        (T1, task.TaskCancelled(reason="no need")),
        (SLOTS, slots.PipelineReleased(task="t1")),
        ("evt.agent.planner-01", WorkRevoked(run="t1-1", reason="no need")),
    ).then_answered(task_id="t1", status="cancelled")


def test_what_comes_from_a_cancelled_task_changes_nothing_any_more() -> None:
    cancelled = planning().given(T1, task.TaskCancelled())
    cancelled.when(run.RunFinished(), RUN_1, "t1").then(
        (
            T1,
            task.ResultRefused(agent="planner-01", run="t1-1", reason="the work had been given to somebody else"),
        ),
    )
    cancelled.when(run.RunFailed(reason="no"), RUN_1, "t1").then_nothing()


def test_a_reset_gives_the_phase_to_a_fresh_run() -> None:
    told = planning().when(task.ResetTask(task_id="t1", reason="stuck")).told()
    assert told[:3] == [
        (T1, task.TaskReset(reason="stuck")),
        (T1, PLAN),
        (T1, task.PhaseAssigned(phase="plan", agent="planner-01", run="t1-2", epoch=2)),
    ]


def test_a_failed_task_can_be_reset_and_runs_again() -> None:
    failed = story().given(T1, SUBMITTED, task.PipelineStarted(), task.TaskFailed(reason="no"))
    told = failed.when(task.ResetTask(task_id="t1")).told()
    assert told[:4] == [
        (SLOTS, slots.PipelineAdmitted(task="t1")),
        (T1, task.TaskReset()),
        (T1, task.PipelineStarted()),
        (T1, PLAN),
    ]


def test_a_registered_agent_is_told_its_open_runs() -> None:
    known = planning().when(RegisterAgent(agent="planner-01", role="planner", capacity=9))
    known.then_nothing().then_answered(agent="planner-01")
    assert known.outcome is not None
    assert '"run": "t1-1"' in json.dumps(known.outcome.answer)


def test_an_assignment_that_a_crash_kept_from_the_agent_is_written_at_the_next_start() -> None:
    cut = (
        story()
        .given(SLOTS, slots.PipelineAdmitted(task="t1"))
        .given(T1, SUBMITTED, task.PipelineStarted(), PLAN, PLANNED_BY)
    )
    cut.when(Alive("planner-01", []))
    assert cut.recovered._entities["evt.agent.planner-01"].v == 1


def test_events_that_do_not_fit_into_one_commit_are_spread_over_several() -> None:
    text = "x" * 20_000
    frozen = story().given(
        SLOTS, *(slots.PipelineAdmitted(task=f"t{n}") for n in range(9)), slots.WorkFrozen(order="f")
    )
    for n in range(9):
        submitted = task.TaskSubmitted(task=text, workflow="two", phases=["plan"])
        frozen.given(f"evt.task.t{n}", submitted, task.PipelineStarted())
    frozen.when(guardian.ThawOrdered(order="f"), "evt.guardian.main")
    assert frozen.outcome is not None
    told = [draft for draft in frozen.outcome.drafts if draft.subject == "evt.agent.planner-01"]
    assert len(told) > 1 and len(frozen.told()) == 1 + 9 * 3


def test_more_slots_let_more_in() -> None:
    waiting = (
        planning()
        .given(SLOTS, slots.PipelineAdmitted(task="t2"), slots.PipelineQueued(task="t3"))
        .given(T2, SUBMITTED, task.PipelineStarted(), PLAN)
        .given(T3, SUBMITTED)
    )
    told = waiting.when(slots.ResizeSlots(limit=3)).told()
    assert told[:2] == [(SLOTS, slots.SlotsResized(limit=3, by_hand=True)), (SLOTS, slots.PipelineAdmitted(task="t3"))]


@pytest.mark.parametrize(
    "status", ["absent", "pending", "running", "paused", "waiting", "completed", "failed", "cancelled"]
)
@pytest.mark.parametrize("event", sorted({event for _, event in TRANSITIONS} - {task.TaskSubmitted}, key=str))
def test_the_table_decides_what_is_refused(status: str, event: type[task.TaskEvent]) -> None:
    state = Task(status=status)  # type: ignore[arg-type]
    if (status, event) in TRANSITIONS:
        refuse_unless(state, event, "do it")
    else:
        with pytest.raises(Missing if status == "absent" else Refused):
            refuse_unless(state, event, "do it")


def test_an_event_that_the_table_does_not_know_leaves_the_status_alone() -> None:
    assert evolve(Task(status="completed"), task.PipelinePaused(order="o")).status == "completed"


def test_a_phase_can_only_fall_back_on_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text('name = "odd"\nabout = "x"\nphases = [{name = "a", role = "r", on_failure = "b"}]\n')
    with pytest.raises(Invalid, match=r"\$\.phases\[0\]\.on_failure: 'b'"):
        read_workflow(path)


def test_every_workflow_that_comes_with_witan_is_valid() -> None:
    assert set(read_workflows(FILES / "workflows")) >= {"tiered", "direct", "review"}
