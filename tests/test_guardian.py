"""What the Guardian orders, as sentences about events."""

import pytest

from actors.guardian.decide import DEAD_LETTERS, Guardian
from bus.ids import derived_id
from bus.messages import guardian, task
from bus.messages.base import Command
from bus.messages.timers import FreezeDue
from tests.given import NOW, Story

MAIN = "evt.guardian.main"
ORDER = derived_id("message")
RUNNING = (task.TaskSubmitted(task="x", workflow="w", phases=["a"]), task.PipelineStarted())
JOINED = (guardian.ActorJoined(actor="coder-01"), guardian.ActorJoined(actor="orchestrator"))


def story() -> Story:
    return Story(lambda: Guardian(answer_s=2))


def running() -> Story:
    return story().given("evt.task.t1", *RUNNING)


def test_a_pause_is_ordered_with_its_reason() -> None:
    running().when(guardian.PausePipeline(pipeline_id="t1", reason="look")).then(
        (f"evt.guardian.{ORDER}", guardian.PauseOrdered(pipeline="t1", reason="look"))
    ).then_answered(order=ORDER, pipeline_id="t1")


def test_an_override_is_ordered_as_it_was_given() -> None:
    wish = {"skip_tests": False, "deployment_environment": "staging"}
    running().when(guardian.OverridePipeline(pipeline_id="t1", override=wish, reason="safety")).then(
        (f"evt.guardian.{ORDER}", guardian.OverrideOrdered(pipeline="t1", override=wish, reason="safety"))
    )


def test_an_override_that_no_assignment_could_carry_is_refused() -> None:
    heavy = task.TaskSubmitted(task="x", workflow="w", phases=["a"], context={"long": "y" * 29_000})
    story().given("evt.task.t1", heavy, task.PipelineStarted()).when(
        guardian.OverridePipeline(pipeline_id="t1", override={"more": "z" * 29_000})
    ).then_refused("bytes")


def test_a_repeated_order_is_given_once_and_answered_again() -> None:
    ordered = running().given(f"evt.guardian.{ORDER}", guardian.PauseOrdered(pipeline="t1"))
    ordered.when(guardian.PausePipeline(pipeline_id="t1")).then_nothing().then_answered(order=ORDER)


@pytest.mark.parametrize(
    "wish",
    [
        guardian.PausePipeline(pipeline_id="nobody"),
        guardian.ResumePipeline(pipeline_id="nobody"),
        guardian.OverridePipeline(pipeline_id="nobody", override={"a": 1}),
    ],
)
def test_an_order_to_a_pipeline_that_does_not_exist_is_refused(wish: Command) -> None:
    story().when(wish).then_refused("no such task")


def test_a_resume_of_a_running_pipeline_is_refused() -> None:
    running().when(guardian.ResumePipeline(pipeline_id="t1")).then_refused("running")


def test_an_ended_pipeline_takes_no_orders() -> None:
    ended = running().given("evt.task.t1", task.TaskCompleted())
    ended.when(guardian.PausePipeline(pipeline_id="t1")).then_refused("completed")
    ended.when(guardian.OverridePipeline(pipeline_id="t1", override={"a": 1})).then_refused("completed")


def test_a_freeze_names_everybody_who_must_answer_and_waits_for_them() -> None:
    frozen = story().given(MAIN, *JOINED).when(guardian.Freeze(reason="fire"))
    frozen.then((MAIN, guardian.FreezeOrdered(order=ORDER, actors=["coder-01", "orchestrator"], reason="fire")))
    assert frozen.outcome is not None
    (timer,) = frozen.outcome.timers
    assert (timer.at_s, timer.body) == (NOW + 2, FreezeDue(order=ORDER))


def test_a_second_freeze_is_refused_with_the_way_out() -> None:
    frozen = story().given(MAIN, *JOINED, guardian.FreezeOrdered(order="f", actors=[]))
    refused = frozen.when(guardian.Freeze()).then_refused("frozen already")
    assert refused.refusal is not None and "thaw" in refused.refusal.what_next


def test_an_acknowledgement_counts_once_and_only_for_the_freeze_in_force() -> None:
    frozen = story().given(MAIN, *JOINED, guardian.FreezeOrdered(order="f", actors=[]))
    acknowledged = guardian.FreezeAcknowledged(order="f", actor="coder-01")
    frozen.when(guardian.AcknowledgeFreeze(order="f", actor="coder-01")).then((MAIN, acknowledged))
    frozen.when(guardian.AcknowledgeFreeze(order="old", actor="coder-01")).then_nothing()
    again = frozen.given(MAIN, acknowledged)
    again.when(guardian.AcknowledgeFreeze(order="f", actor="coder-01")).then_nothing()


def test_who_has_not_answered_in_time_is_named() -> None:
    frozen = story().given(MAIN, *JOINED, guardian.FreezeOrdered(order="f", actors=[]))
    frozen.given(MAIN, guardian.FreezeAcknowledged(order="f", actor="orchestrator"))
    frozen.when(FreezeDue(order="f")).then((MAIN, guardian.FreezeUnanswered(order="f", actors=["coder-01"])))


def test_when_all_have_answered_nobody_is_named() -> None:
    frozen = story().given(MAIN, *JOINED, guardian.FreezeOrdered(order="f", actors=[]))
    for actor in ("coder-01", "orchestrator"):
        frozen.given(MAIN, guardian.FreezeAcknowledged(order="f", actor=actor))
    frozen.when(FreezeDue(order="f")).then_nothing()


def test_a_thaw_ends_the_freeze_and_without_one_is_refused() -> None:
    frozen = story().given(MAIN, guardian.FreezeOrdered(order="f", actors=[]))
    frozen.when(guardian.Thaw(reason="out")).then((MAIN, guardian.ThawOrdered(order="f", reason="out")))
    story().when(guardian.Thaw()).then_refused("nothing is frozen")


def test_a_letter_that_an_actor_gave_up_is_recorded() -> None:
    story().when(guardian.BuryLetter(stream="COMMANDS", seq=7, reason="boom")).then(
        (DEAD_LETTERS, guardian.LetterBuried(stream="COMMANDS", seq=7, reason="boom"))
    )


def ended(*events: task.TaskEvent) -> Story:
    return running().given("evt.task.t1", *events)


WAITING = task.PersonAsked(phase="a", failure="help", question="?")


def test_a_merge_is_approved_for_a_task_that_is_completed() -> None:
    ended(task.TaskCompleted()).when(guardian.ApproveMerge(task_id="t1", reason="fine")).then(
        (f"evt.guardian.{ORDER}", guardian.MergeApproved(task="t1", reason="fine"))
    ).then_answered(order=ORDER, pipeline_id="t1", ordered="merge")


@pytest.mark.parametrize("event", [task.TaskCompleted(), task.TaskFailed(reason="no"), task.TaskCancelled(), WAITING])
def test_work_that_nobody_goes_on_with_can_be_discarded(event: task.TaskEvent) -> None:
    ended(event).when(guardian.DiscardWork(task_id="t1")).then(
        (f"evt.guardian.{ORDER}", guardian.DiscardOrdered(task="t1"))
    ).then_answered(order=ORDER, ordered="discard")


@pytest.mark.parametrize("wish", [guardian.ApproveMerge(task_id="t1"), guardian.DiscardWork(task_id="t1")])
def test_work_in_progress_is_neither_merged_nor_discarded(wish: Command) -> None:
    running().when(wish).then_refused("running")
    story().when(wish).then_refused("no such task")


def test_only_what_is_completed_is_merged() -> None:
    ended(WAITING).when(guardian.ApproveMerge(task_id="t1")).then_refused("waiting")
    ended(task.TaskCancelled()).when(guardian.ApproveMerge(task_id="t1")).then_refused("cancelled")


def test_a_repeated_order_about_work_is_given_once() -> None:
    given = ended(task.TaskCompleted()).given(f"evt.guardian.{ORDER}", guardian.MergeApproved(task="t1"))
    given.when(guardian.ApproveMerge(task_id="t1")).then_nothing().then_answered(order=ORDER)


def test_the_sandbox_is_waived_once_and_by_name() -> None:
    wish = guardian.WaiveSandbox(reason="my own machine")
    story().when(wish).then((MAIN, guardian.SandboxWaived(reason="my own machine")))
    story().given(MAIN, guardian.SandboxWaived(reason="x")).when(wish).then_nothing().then_answered(
        ordered="waive_sandbox"
    )


def test_a_pause_of_a_task_that_waits_for_a_person_is_refused_with_the_way_out() -> None:
    refused = ended(WAITING).when(guardian.PausePipeline(pipeline_id="t1")).then_refused("waiting for a person")
    assert refused.refusal is not None and "Reset or cancel" in refused.refusal.what_next


def test_a_person_can_answer_a_question_with_an_override() -> None:
    wish = guardian.OverridePipeline(pipeline_id="t1", override={"database": "sqlite"})
    assert len(ended(WAITING).when(wish).told()) == 1
