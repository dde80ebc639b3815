"""Who works where: two runs whose territories overlap are never in one repository at once, and nobody starves."""

from typing import Any

from actors.decider import Message
from actors.desk import Desk
from actors.folds import FOLDS
from actors.orchestrator.decide import Orchestrator
from actors.orchestrator.workflow import Phase, Workflow
from bus.ids import derived_id
from bus.messages import guardian, run, slots, task
from bus.messages.agent import AgentJoined, RegisterAgent, WorkAssigned
from bus.messages.timers import LeasesDue
from tests.given import NOW, Story

SLOTS, ROSTER = "evt.slots.main", "evt.agent.roster"
FLOWS = {
    "front": Workflow("front", "for tests", [Phase("draw", "painter")]),
    "back": Workflow("back", "for tests", [Phase("code", "coder"), Phase("test", "coder")]),
}
PAINTER = AgentJoined(agent="painter-1", role="painter", capacity=9, territory=["web/**"])
CODERS = [AgentJoined(agent=f"coder-{n}", role="coder") for n in (1, 2)]
REPO = "/srv/shop"


def story(*team: AgentJoined) -> Story:
    return Story(lambda: Orchestrator(FLOWS, 60, 9)).given(ROSTER, *(team or (PAINTER, *CODERS)))


def holding(story: Story, *ids: str) -> Story:
    return story.given(SLOTS, *(slots.PipelineAdmitted(task=id) for id in ids))


def at_work(story: Story, id: str, agent: str, repo: str = REPO, workflow: str = "back") -> Story:
    phase = FLOWS[workflow].phases[0]
    assigned = task.PhaseAssigned(phase=phase.name, agent=agent, run=f"{id}-1", epoch=1)
    requested(story, id, repo, workflow).given(f"evt.task.{id}", assigned)
    return story.given(f"evt.agent.{agent}", WorkAssigned(f"{id}-1", id, phase.name, phase.role, "x"))


def requested(story: Story, id: str, repo: str = REPO, workflow: str = "back") -> Story:
    names = [phase.name for phase in FLOWS[workflow].phases]
    submitted = task.TaskSubmitted(task="x", workflow=workflow, phases=names, repo=repo)
    wanted = task.PhaseRequested(phase=names[0], role=FLOWS[workflow].phases[0].role)
    return story.given(f"evt.task.{id}", submitted, task.PipelineStarted(), wanted)


def submit(story: Story, workflow: str = "back", repo: str = REPO) -> Story:
    return story.when(task.SubmitTask(task="x", workflow=workflow, repo=repo))


def handed_out(story: Story) -> list[tuple[str, str]]:
    return [(subject[9:], event.agent) for subject, event in story.told() if isinstance(event, task.PhaseAssigned)]


def test_in_one_repository_the_second_waits_though_there_is_an_agent() -> None:
    assert handed_out(submit(at_work(holding(story(), "a"), "a", "coder-1"))) == []


def test_in_another_repository_or_in_none_nobody_waits() -> None:
    me = derived_id("message")
    for repo in ("/srv/other", ""):
        assert handed_out(submit(at_work(holding(story(), "a"), "a", "coder-1"), repo=repo)) == [(me, "coder-2")]
    assert handed_out(submit(at_work(holding(story(), "a"), "a", "coder-1", repo=""), repo="")) == [(me, "coder-2")]


def test_territories_that_do_not_overlap_do_not_wait_for_each_other() -> None:
    engine = AgentJoined(agent="coder-3", role="coder", territory=["engine/**"])
    beside = at_work(holding(story(PAINTER, engine), "a"), "a", "painter-1", workflow="front")
    assert handed_out(submit(beside)) == [(derived_id("message"), "coder-3")]


def test_an_agent_of_the_role_with_a_free_territory_is_preferred_to_waiting() -> None:
    engine = AgentJoined(agent="coder-3", role="coder", territory=["engine/**"])
    beside = at_work(holding(story(PAINTER, *CODERS, engine), "a"), "a", "painter-1", workflow="front")
    assert handed_out(submit(beside)) == [(derived_id("message"), "coder-3")]


def test_one_agent_does_not_work_twice_in_one_repository() -> None:
    assert handed_out(submit(at_work(holding(story(), "a"), "a", "painter-1", workflow="front"), "front")) == []


def three_in_line() -> Story:
    """One works; a painter and then a coder wait for it."""
    line = at_work(holding(story(), "a", "b", "c"), "a", "coder-1")
    return requested(requested(line, "b", workflow="front"), "c")


def test_when_a_run_ends_the_first_in_line_comes_in_and_not_the_next_phase_of_the_same_task() -> None:
    told = three_in_line().when(run.RunFinished(), "evt.run.coder-1.a-1", "a")
    assert handed_out(told) == [("b", "painter-1")]


def test_nobody_overtakes_one_that_waits_for_a_territory() -> None:
    line = three_in_line()
    line.given("evt.agent.roster", AgentJoined(agent="coder-4", role="coder", territory=["docs/**"]))
    assert handed_out(line.when(RegisterAgent(agent="coder-5", role="coder"))) == []


def test_those_that_do_not_get_in_each_others_way_come_in_together() -> None:
    engine = AgentJoined(agent="coder-3", role="coder", territory=["engine/**"])
    all_of_it = AgentJoined(agent="coder-1", role="coder")
    line = at_work(holding(story(PAINTER, all_of_it, engine), "a", "b", "c"), "a", "coder-1")
    requested(requested(line, "b", workflow="front"), "c")
    told = line.when(run.RunFailed(reason="?", failure="help"), "evt.run.coder-1.a-1", "a")
    assert handed_out(told) == [("b", "painter-1"), ("c", "coder-3")]


def test_a_task_that_waits_for_an_agent_lets_others_into_the_repository() -> None:
    lone = AgentJoined(agent="coder-1", role="coder")
    busy = at_work(holding(story(PAINTER, lone), "a", "b"), "a", "coder-1", repo="")
    assert handed_out(submit(requested(busy, "b"), "front")) == [(derived_id("message"), "painter-1")]


def test_whoever_waits_comes_in_when_the_run_before_is_cancelled_or_reset_or_stands_aside() -> None:
    assert handed_out(three_in_line().when(task.CancelTask(task_id="a"))) == [("b", "painter-1")]
    assert handed_out(three_in_line().when(task.ResetTask(task_id="a"))) == [("b", "painter-1")]
    line = three_in_line().when(task.CancelTask(task_id="b"))
    assert handed_out(line) == []
    line.given("evt.task.b", task.TaskCancelled())
    told = line.when(run.RunFailed(reason="?", failure="help"), "evt.run.coder-1.a-1", "a")
    assert handed_out(told) == [("c", "coder-2")]


def test_a_paused_task_does_not_keep_others_from_the_repository() -> None:
    engine = AgentJoined(agent="coder-3", role="coder", territory=["engine/**"])
    line = at_work(holding(story(PAINTER, engine), "a", "b", "c"), "a", "painter-1", workflow="front")
    requested(requested(line, "b", workflow="front"), "c")
    assert handed_out(line.when(guardian.PauseOrdered(pipeline="b"), "evt.guardian.o")) == [("c", "coder-3")]


def test_after_a_thaw_all_that_can_begins_whatever_the_order() -> None:
    wide = AgentJoined(agent="coder-1", role="coder", territory=["src/**", "web/**"])
    narrow = AgentJoined(agent="coder-2", role="coder", territory=["src/**"])
    line = at_work(holding(story(PAINTER, wide, narrow), "c", "b"), "c", "coder-1")
    requested(line, "b", workflow="front")
    decider = Orchestrator(FLOWS, 60, 9)
    desk = Desk("orchestrator", FOLDS, line)
    desk.decide(decider.recover, Message("begin", None, now_s=NOW), 0)
    freeze, thaw = guardian.FreezeOrdered(order="f", actors=[]), guardian.ThawOrdered(order="f")
    for message in (
        Message("1", freeze, "evt.guardian.main", now_s=NOW),
        Message("2", run.RunFinished(), "evt.run.coder-1.c-1", "c", NOW),
        Message("3", thaw, "evt.guardian.main", now_s=NOW),
    ):
        desk.decide(decider.decide, message, 0)
    at_last = {id: desk.state(f"evt.task.{id}").assignment.agent for id in "bc"}
    assert at_last == {"b": "painter-1", "c": "coder-2"}


def test_a_cancelled_run_gives_its_agent_to_whoever_waits_for_one() -> None:
    lone = AgentJoined(agent="coder-1", role="coder")
    line = requested(at_work(holding(story(lone), "a", "b"), "a", "coder-1", repo=""), "b", repo="")
    assert handed_out(line.when(task.CancelTask(task_id="a"))) == [("b", "coder-1")]


def test_of_two_silent_runs_in_one_repository_one_is_dealt_with_at_a_time() -> None:
    engine = AgentJoined(agent="coder-3", role="coder", territory=["engine/**"])
    silent = at_work(holding(story(PAINTER, engine), "a", "b"), "a", "painter-1", workflow="front")
    told = at_work(silent, "b", "coder-3").when(LeasesDue(), now_s=NOW + 61)
    assert len([event for _, event in told.told() if isinstance(event, task.AssignmentLost)]) == 1
    assert told.outcome is not None and told.outcome.timers[0].at_s <= NOW + 61


def test_a_start_counts_all_that_work_before_it_hands_anything_out() -> None:
    line = requested(holding(story(), "b", "a"), "b")
    at_work(line, "a", "coder-1").when(LeasesDue())
    assert line.recovered.state("evt.task.b").assignment is None


def test_a_changed_territory_is_news() -> None:
    told: list[Any] = story().when(RegisterAgent(agent="coder-1", role="coder", territory=["src/**"])).told()
    assert told == [(ROSTER, AgentJoined(agent="coder-1", role="coder", territory=["src/**"]))]
    story().when(RegisterAgent(agent="coder-1", role="coder")).then_nothing()
