"""Who is named for a phase, who looks at it first, and how a task is handed to a person: sentences about events."""

from pathlib import Path
from typing import Any

import pytest

import actors
from actors.orchestrator.decide import Orchestrator
from actors.orchestrator.rules import read_rules
from actors.orchestrator.workflow import Phase, Workflow
from bus.messages import run, slots, task
from bus.messages.agent import AgentJoined, WorkAssigned, WorkRevoked
from bus.messages.routing import AssignTask, EscalateTask, ReviewAssigned, ReviewEnded, TaskRouted
from bus.messages.timers import AgentDue
from tests.given import NOW, Play, Story

SLOTS, ROSTER, T1 = "evt.slots.main", "evt.agent.roster", "evt.task.t1"
FLOW = Workflow("build", "for tests", [Phase("code", "coder", produces="code"), Phase("test", "tester")])
CODER, OTHER, TESTER = (AgentJoined(agent=each, role=each[:-2]) for each in ("coder-1", "coder-2", "tester-1"))
CTO = AgentJoined(agent="cto-1", role="cto", territory=[])
RULES = read_rules(Path(actors.__file__).parent)
REQUESTED = task.PhaseRequested(phase="code", role="coder")
WORKING = task.PhaseAssigned(phase="code", agent="coder-1", run="t1-1", epoch=1)
LOOK = ReviewAssigned(phase="code", agent="cto-1", role="cto", run="t1-1", epoch=1, because="hard")
HARD = "Refactor the architecture of the multi-file API and verify it"


def story(*team: AgentJoined, reviews: bool = True) -> Story:
    told = Story(lambda: Orchestrator({"build": FLOW}, 60, 2, rules=RULES, reviews=reviews))
    return told.given(ROSTER, *(team or (CODER, OTHER, TESTER, CTO)))


def submitted(told: Story, text: str = "build it", *events: Any) -> Story:
    return told.given(T1, task.TaskSubmitted(task=text, workflow="build", phases=["code", "test"]), *events)


def running(told: Story, *events: Any, text: str = "build it") -> Story:
    return submitted(told.given(SLOTS, slots.PipelineAdmitted(task="t1")), text, task.PipelineStarted(), *events)


def assign(told: Story, **who: Any) -> Story:
    return told.when(AssignTask(task_id="t1", **who))


def routed(told: Story) -> TaskRouted:
    (found,) = [event for _, event in told.told() if isinstance(event, TaskRouted)]
    return found


def kinds(told: Story) -> list[str]:
    return [type(event).__name__ for _, event in told.told()]


def work(told: Story) -> WorkAssigned:
    (found,) = [event for _, event in told.told() if isinstance(event, WorkAssigned)]
    return found


def test_an_agent_that_is_named_for_a_pending_task_is_on_the_log_and_in_the_answer() -> None:
    told = assign(submitted(story()), agent="coder-2", reason="knows it", by="cto-01")
    assert kinds(told) == ["TaskRouted"]
    found = routed(told)
    assert (found.phase, found.role, found.agent, found.by) == ("code", "coder", "coder-2", "cto-01")
    assert (found.reason, found.confidence, found.complexity) == ("knows it", 1.0, 2.5)
    told.then_answered(status="pending", agent="coder-2", role="coder", phase="code")


def taken_up(told: Story) -> Story:
    """What the orchestrator does with this log when it starts."""
    play = Play(told._decider)
    play._records, play._heads = told._records, told._heads
    return play.begin()


def test_the_named_agent_gets_the_phase_though_another_comes_first() -> None:
    named = TaskRouted(phase="code", role="coder", agent="coder-2")
    told = taken_up(submitted(story().given(SLOTS, slots.PipelineAdmitted(task="t1")), "x", named))
    assert kinds(told)[:3] == ["PipelineStarted", "PhaseRequested", "PhaseAssigned"]
    assert [event.agent for _, event in told.told() if isinstance(event, task.PhaseAssigned)] == ["coder-2"]


def test_a_phase_that_nobody_has_begun_goes_to_whoever_is_named_now() -> None:
    told = assign(running(story(TESTER, CTO), REQUESTED), role="tester")
    assert kinds(told) == ["TaskRouted", "PhaseAssigned", "WorkAssigned"]
    assert (work(told).role, work(told).phase) == ("tester", "code")


def test_while_a_phase_is_under_way_the_next_one_is_meant() -> None:
    told = assign(running(story(), REQUESTED, WORKING), agent="coder-2")
    assert kinds(told) == ["TaskRouted"] and routed(told).phase == "test"


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ({"agent": "nobody"}, "there is no agent 'nobody'"),
        ({"role": "painter"}, "there is no agent of the role 'painter'"),
        ({"agent": "coder-1", "role": "tester"}, "coder-1 is a coder"),
        ({}, "names an agent or a role"),
        ({"auto": True, "role": "coder"}, "names an agent or a role"),
    ],
)
def test_who_does_not_exist_is_refused_with_what_to_type(who: dict[str, Any], words: str) -> None:
    assign(submitted(story()), **who).then_refused(words)


@pytest.mark.parametrize("end", [task.TaskCancelled(), task.TaskFailed("no")])
def test_a_task_that_has_ended_is_neither_assigned_nor_escalated(end: Any) -> None:
    assign(running(story(), end), role="coder").then_refused("cannot assign: the task is")
    running(story(), end).when(EscalateTask(task_id="t1", reason="?")).then_refused("cannot escalate: the task is")


def test_a_repeated_assignment_is_done_once_and_answered_the_same() -> None:
    named = TaskRouted(phase="code", role="coder", agent="coder-2", reason="r", complexity=2.5)
    told = submitted(story()).given(T1, named, cause="message")
    assign(told, agent="coder-2").then_nothing().then_answered(agent="coder-2", reason="r", complexity=2.5)


def test_the_rules_give_an_easy_task_to_the_role_of_its_phase_and_say_why() -> None:
    found = routed(assign(submitted(story()), auto=True))
    assert (found.role, found.review) == ("coder", False)
    assert "requires the role coder" in found.reason and found.confidence == 0.95


def test_the_rules_let_the_cto_look_at_a_hard_task_first() -> None:
    told = assign(submitted(story(), HARD), auto=True)
    found = routed(told)
    assert (found.role, found.review, found.confidence) == ("cto", True, 0.9)
    assert found.complexity > 7 and "is over 7" in found.reason


def test_where_a_script_thinks_the_rules_do_without_the_cto_and_a_person_cannot_name_it() -> None:
    assert routed(assign(submitted(story(reviews=False), HARD), auto=True)).role == "coder"
    assign(submitted(story(reviews=False)), role="cto").then_refused("a script thinks here")


def test_an_agent_that_does_not_come_within_a_lease_is_not_waited_for() -> None:
    named = TaskRouted(phase="code", role="coder", agent="coder-2")
    told = running(busy(story(CODER, OTHER, TESTER)), named, REQUESTED).when(AgentDue(task="t1"), now_s=NOW + 61)
    assert kinds(told) == ["TaskRouted", "PhaseAssigned", "WorkAssigned"]
    assert (routed(told).agent, routed(told).by) == ("", "orchestrator")
    assert "coder-2 did not take it within 60 s" in routed(told).reason
    early = running(busy(story(CODER, OTHER, TESTER)), named, REQUESTED)
    early.when(AgentDue(task="t1"), now_s=NOW + 59).then_nothing()
    waits = taken_up(running(busy(story(CODER, OTHER, TESTER)), named, REQUESTED)).outcome
    assert waits is not None and [(each.name, each.at_s) for each in waits.timers if each.name == "agent-t1"] == [
        ("agent-t1", NOW + 60)
    ]


def busy(told: Story) -> Story:
    """coder-2 is busy with another task."""
    elsewhere = task.PhaseAssigned(phase="code", agent="coder-2", run="t2-1", epoch=1)
    other = task.TaskSubmitted(task="y", workflow="build", phases=["code", "test"])
    told.given("evt.agent.coder-2", WorkAssigned("t2-1", "t2", "code", "coder", "y"))
    return told.given(SLOTS, slots.PipelineAdmitted(task="t2")).given(
        "evt.task.t2", other, task.PipelineStarted(), REQUESTED, elsewhere
    )


def test_an_escalated_task_waits_for_a_person_and_its_run_is_taken_away() -> None:
    told = running(story(), REQUESTED, WORKING).when(EscalateTask(task_id="t1", reason="which?", urgency="critical"))
    lost = task.AssignmentLost(phase="code", agent="coder-1", run="t1-1", reason="a person is asked first")
    asked = task.PersonAsked("code", "escalated", "which?", "critical", "person")
    revoked = WorkRevoked(run="t1-1", reason="the task waits for a person: which?")
    told.then(
        (T1, lost),
        (T1, asked),
        (SLOTS, slots.PipelineReleased(task="t1")),
        ("evt.agent.coder-1", revoked),
    ).then_answered(status="waiting")


def test_a_pending_task_is_escalated_out_of_the_line() -> None:
    full = [slots.PipelineAdmitted(task="u"), slots.PipelineAdmitted(task="v")]
    told = submitted(story().given(SLOTS, *full, slots.PipelineQueued(task="t1", priority=0)))
    told.when(EscalateTask(task_id="t1", reason="which?"))
    assert kinds(told) == ["PersonAsked", "PipelineWithdrawn"]


def test_a_task_that_waits_for_a_person_is_not_escalated_again() -> None:
    asked = task.PersonAsked("code", "help", "?")
    running(story(), asked).when(EscalateTask(task_id="t1", reason="which?")).then_refused("waiting for a person")


def in_trouble(*more: Any, team: tuple[AgentJoined, ...] = ()) -> Story:
    """All tries have failed, and a fresh agent is to have it."""
    failed = task.PhaseFailed(phase="code", agent="coder-1", run="t1-1", reason="no", failure="timeout")
    fresh = task.RecoveryStarted("code", "timeout", "medium", "fresh_agent", 2, 1, "Take another way.", "too slow")
    return running(story(*team), REQUESTED, WORKING, failed, fresh, *more)


def test_a_phase_that_failed_in_spite_of_all_is_looked_at_before_a_fresh_agent_has_it() -> None:
    told = taken_up(in_trouble())
    assert kinds(told) == ["ReviewAssigned", "WorkAssigned"]
    given = work(told)
    assert (given.role, given.phase, given.produces, given.run) == ("cto", "review", "review", "t1-2")
    assert given.recovery is not None and "the phase `code` fails" in given.recovery.hint
    assert "too slow" in given.recovery.hint.partition("What was said:")[2]


def test_what_was_said_goes_to_the_fresh_agent_as_words_that_are_not_ours() -> None:
    look = ReviewAssigned(phase="code", agent="cto-1", role="cto", run="t1-2", epoch=2)
    told = in_trouble(look).when(run.RunFinished(summary="Read in chunks."), "evt.run.cto-1.t1-2", "t1")
    assert kinds(told) == ["ReviewEnded", "PhaseRequested", "PhaseAssigned", "WorkAssigned"]
    given = work(told)
    assert given.role == "coder" and given.recovery is not None
    own, _, said = given.recovery.hint.partition("\n\nWhat was said:\n")
    assert own == "Take another way." and "Read in chunks." in said


@pytest.mark.parametrize("end", [run.RunFailed("nobody to ask", "help"), run.RunStopped("stopped")])
def test_a_look_that_fails_leaves_the_recovery_as_it_is(end: Any) -> None:
    look = ReviewAssigned(phase="code", agent="cto-1", role="cto", run="t1-2", epoch=2)
    told = in_trouble(look).when(end, "evt.run.cto-1.t1-2", "t1")
    assert kinds(told) == ["ReviewEnded", "PhaseRequested", "PhaseAssigned", "WorkAssigned"]
    (ended,) = [event for _, event in told.told() if isinstance(event, ReviewEnded)]
    assert not ended.ok and ended.reason == end.reason
    assert work(told).recovery is not None and work(told).recovery.hint == "Take another way."  # type: ignore[union-attr]


def test_without_a_cto_nobody_is_waited_for() -> None:
    told = taken_up(in_trouble(team=(CODER, OTHER, TESTER)))
    assert kinds(told) == ["PhaseRequested", "PhaseAssigned", "WorkAssigned"] and work(told).role == "coder"


def test_the_cto_can_name_somebody_while_it_looks_and_is_not_named_itself() -> None:
    told = assign(running(story(), LOOK), agent="coder-2", by="cto-1")
    assert kinds(told) == ["TaskRouted"] and routed(told).phase == "code"
    assign(running(story(), LOOK), role="cto").then_refused("looks at this task already")


def test_the_cto_can_escalate_the_task_that_it_looks_at() -> None:
    told = running(story(), LOOK).when(EscalateTask(task_id="t1", reason="which?", by="cto-1"))
    assert kinds(told) == ["ReviewEnded", "PersonAsked", "PipelineReleased", "WorkRevoked"]
