"""What the executor decides, as sentences: each call begins once, in its order, and comes to one end."""

from collections.abc import Iterator
from typing import Any

import pytest

from actors.agent.role import Role
from actors.agent.team import Team
from actors.decider import Done, Effect, Hold, Progress
from actors.executor.decide import BEHIND_LOST, GUARDIAN, SANDBOX, TOO_LATE, Executor
from actors.executor.jobs import EVENT_MAX_BYTES, Backgrounded, Job, Order, Result, Silent, Stop, excerpt, fitting
from bus.envelope import COMMIT_MAX_BYTES, Commit, encode
from bus.messages import exec, step, task
from bus.messages.base import Event, Excerpt, Pieces, TestResults
from bus.messages.guardian import DiscardOrdered, FreezeOrdered, MergeApproved, SandboxWaived, ThawOrdered
from bus.messages.sandbox import LeftoversKilled, SandboxAttested
from bus.messages.workspace import (
    MergeRefused,
    TreeSaved,
    TreeTested,
    WorkspaceDiscarded,
    WorkspaceMerged,
    WorkspaceOpened,
)
from tests.given import Play

STEP, EXEC, SPACE = "evt.step.c.t-1", "evt.exec.c.t-1", "evt.workspace.t"
OTHER_STEP, OTHER_EXEC = "evt.step.d.u-1", "evt.exec.d.u-1"
OPENED = WorkspaceOpened("r", "b", "c", "main", "p")
TEAM = Team({"coder": Role("coder", "codes", "Code.", [], network=True)}, {}, {"c": ["src/**"]})
DONE = "The hands say so."


class NoHands:
    """Nothing is done here: what would be done stands in the decisions."""

    def __init__(self, level: str = "B", leftovers: int = 0) -> None:
        self.attested, self.leftovers = SandboxAttested(level=level, about="test"), leftovers

    async def open(self, tell: Any) -> None: ...

    async def close(self) -> None: ...

    def perform(self, effect: Effect) -> None: ...


def floor(level: str = "B", leftovers: int = 0) -> Play:
    """An executor, and two runs of two tasks."""
    play = Play(lambda: Executor(TEAM, NoHands(level, leftovers), lambda workflow, phase: f"{phase} of {workflow}"))
    for id, steps in (("t", STEP), ("u", OTHER_STEP)):
        play.given(
            f"evt.task.{id}", task.TaskSubmitted(task="x", workflow="w", phases=["code"], repo="/r", base="main")
        )
        play.given(steps, step.StepsOpened(task=id, phase="code", role="coder"))
    return play


def request(
    play: Play, call: str, tool: str = "write", subject: str = STEP, *, again: int = 0, old: bool = False
) -> Play:
    given: dict[str, Pieces] = {"write": {"path": "a", "content": "x"}, "run": {"command": "make"}}
    return play.hears(step.ToolRequested(call, tool, given.get(tool, {}), again), subject, again=old)


def begun(play: Play) -> list[str]:
    return [what.key for what in play.done() if isinstance(what, Job | Order)]


def job_of(play: Play, key: str) -> Job:
    """What the hands were told, whenever that was."""
    executor = play.decider
    assert isinstance(executor, Executor)
    return next(job for job in (*executor.first.values(), *executor.aside.values()) if job.key == key)


def done(play: Play, key: str, *workspace: Event, end: Event | None = None) -> Play:
    """The hands have done it."""
    job = job_of(play, key)
    ended: Event = exec.ToolEnded(job.call, True, Excerpt(DONE), 1, again=job.again)
    if job.name in ("run", "test"):
        ended = exec.ExecEnded(job.call, "exit", Excerpt(DONE), 1, 0, again=job.again)
    return play.hears(Done(key, Result(job, [end or ended], list(workspace), [])))


def ends(play: Play) -> list[tuple[str, str, int]]:
    kinds = (exec.ToolEnded, exec.ExecEnded, exec.ExecLost)
    return [(type(event).__name__, event.call, event.again) for event in play.events(*kinds)]


def test_the_executor_begins_by_saying_what_holds_commands_in_and_what_was_left() -> None:
    told = Play(lambda: Executor(TEAM, NoHands("A", 2), lambda workflow, phase: "")).told()
    assert told == [(SANDBOX, SandboxAttested(level="A", about="test")), (SANDBOX, LeftoversKilled(count=2))]


def test_the_hands_are_told_all_that_they_need() -> None:
    (job,) = request(floor(), "1-1").done()
    assert (job.subject, job.agent, job.run, job.phase, job.name) == (EXEC, "c", "t-1", "code", "write")
    assert (job.place.task, job.place.repo, job.place.base, job.place.opened) == ("t", "/r", "main", None)
    assert (job.territory, job.network, job.produces, job.redo) == (("src/**",), True, "code of w", False)


def test_the_calls_of_a_run_are_done_one_after_the_other() -> None:
    play = floor()
    assert begun(request(play, "1-1")) == ["t-1/1-1/0"]
    assert begun(request(play, "1-2")) == begun(request(play, "1-3")) == []
    assert begun(done(play, "t-1/1-1/0")) == ["t-1/1-2/0"]
    assert begun(done(play, "t-1/1-2/0")) == ["t-1/1-3/0"]
    assert begun(done(play, "t-1/1-3/0")) == []


def test_runs_do_not_wait_for_each_other() -> None:
    play = request(floor(), "1-1", "run")
    assert begun(request(play, "1-1", "run", OTHER_STEP)) == ["u-1/1-1/0"]


def test_each_call_comes_to_one_end_and_is_dealt_with_then() -> None:
    play = request(floor(), "1-1")
    assert play.outcome is not None and play.outcome.opened == ["t-1/1-1/0"]
    assert ends(done(play, "t-1/1-1/0")) == [("ToolEnded", "1-1", 0)]
    assert play.outcome is not None and play.outcome.closed == ["t-1/1-1/0"]
    late = Result(_job(play, "1-1"), [exec.ToolEnded("1-1", True, Excerpt(""), 1)], [OPENED], [])
    assert play.hears(Done("t-1/1-1/0", late)).events() == []
    assert play.begin().hears(Done("t-1/1-1/0", late)).events() == []


def _job(play: Play, call: str) -> Job:
    """The job as the hands know it."""
    (job,) = request(floor(), call).done()
    assert isinstance(job, Job)
    return job


def test_a_call_that_is_asked_for_twice_is_done_once() -> None:
    play = request(floor(), "1-1", "run")
    request(play, "1-2")
    for call in ("1-1", "1-2"):
        assert request(play, call, old=True).told() == [] and play.done() == []
    play.hears(Progress("t-1/1-1/0", Backgrounded()))
    assert request(play, "1-1", "run", old=True).done() == []
    done(play, "t-1/1-1/0")
    assert request(play, "1-1", "run", old=True).told() == [] and play.done() == []


def test_a_command_is_said_to_begin_before_it_begins_and_is_not_begun_again_after_a_crash() -> None:
    play = request(floor(), "1-1", "run")
    assert play.events() == [exec.ExecStarted("1-1", "B")]
    request(play.begin(), "1-1", "run", old=True)
    assert ends(play) == [("ExecLost", "1-1", 0)] and play.done() == []
    assert request(play, "1-1", "run", old=True).events() == []
    assert begun(request(play, "1-1", "run", again=1)) == ["t-1/1-1/1"]


def test_a_file_is_written_again_after_a_crash() -> None:
    play = request(floor(), "1-1")
    (job,) = request(play.begin(), "1-1", old=True).done()
    assert job.redo


def test_calls_behind_a_lost_one_are_lost_with_it_so_that_their_order_stays() -> None:
    play = request(floor(), "1-1", "run")
    request(play, "1-2"), request(play, "1-3", "finish"), request(play, "2-1")
    play.begin()
    assert ends(request(play, "1-1", "run", old=True)) == [("ExecLost", "1-1", 0)]
    assert ends(request(play, "1-2", old=True)) == [("ExecLost", "1-2", 0)]
    play.begin()
    assert ends(request(play, "1-3", "finish", old=True)) == [("ExecLost", "1-3", 0)]
    assert play.events(exec.ExecLost)[0].reason == BEHIND_LOST
    assert begun(request(play, "2-1", old=True)) == ["t-1/2-1/0"], "another reply's calls are not behind it"
    done(play, "t-1/2-1/0")
    assert begun(request(play, "1-1", "run", again=1)) == ["t-1/1-1/1"]
    assert begun(request(play, "1-2", again=1)) == []
    assert begun(done(play, "t-1/1-1/1")) == ["t-1/1-2/1"]


def test_without_a_sandbox_no_command_runs_unless_somebody_accepted_that() -> None:
    for tool in ("run", "test", "deploy"):
        play = request(floor("C"), "1-1", tool)
        (end,) = play.events()
        assert end.failure == "permission_denied" and "waive-sandbox" in end.output.text
        assert play.done() == [] and begun(request(play, "1-2")) == ["t-1/1-2/0"]
    play = floor("C").hears(SandboxWaived("mine"), GUARDIAN)
    assert request(play, "1-1", "run").events() == [exec.ExecStarted("1-1", "C")]


def frozen(play: Play) -> Play:
    return play.hears(FreezeOrdered(order="f", actors=[]), GUARDIAN)


def test_a_freeze_stops_what_runs_and_is_acknowledged() -> None:
    play = frozen(request(request(floor(), "1-1", "run"), "1-1", "run", OTHER_STEP))
    assert play.done() == [Stop(("t-1/1-1/0", "u-1/1-1/0"), "freeze")]
    assert play.outcome is not None and [each.command for each in play.outcome.sendings] == ["acknowledge_freeze"]


def test_a_freeze_that_is_over_stops_nothing() -> None:
    play = frozen(floor()).hears(ThawOrdered(order="f"), GUARDIAN)
    request(play, "1-1", "run")
    assert play.hears(FreezeOrdered(order="f", actors=[]), GUARDIAN, again=True).done() == []


def test_nothing_begins_while_frozen() -> None:
    play = request(request(floor(), "1-1"), "1-2")
    frozen(play)
    with pytest.raises(Hold):
        request(play, "1-1", "run", OTHER_STEP)
    assert begun(done(play, "t-1/1-1/0")) == [], "what is done is told, and the next waits"
    assert ends(play) == [("ToolEnded", "1-1", 0)]
    assert not play.decider.ready(play.desk)
    assert begun(play.hears(ThawOrdered(order="f"), GUARDIAN)) == ["t-1/1-2/0"]


def test_what_waits_behind_a_stopped_command_is_made_again_after_it() -> None:
    play = request(request(floor(), "1-1", "run"), "1-2")
    frozen(play)
    done(play, "t-1/1-1/0", end=exec.ExecEnded("1-1", "freeze", Excerpt(""), 1))
    assert ends(play) == [("ExecEnded", "1-1", 0), ("ExecLost", "1-2", 0)]


def close(play: Play) -> Play:
    return play.hears(step.StepsClosed("stopped"), STEP)


def test_when_a_run_is_over_what_waits_is_ended_and_what_runs_is_stopped() -> None:
    play = request(request(request(floor(), "1-1", "run"), "1-2"), "1-3")
    close(play)
    assert ends(play) == [("ToolEnded", "1-2", 0), ("ToolEnded", "1-3", 0)]
    assert play.done() == [Stop(("t-1/1-1/0",), "cancel")]
    assert ends(done(play, "t-1/1-1/0")) == [("ExecEnded", "1-1", 0)] and begun(play) == []


def test_a_call_of_a_run_that_was_over_before_is_never_begun() -> None:
    play = request(floor(), "1-1")
    close(play)
    request(play.begin(), "1-1", old=True)
    assert play.done() == [] and play.events()[0].output.text == TOO_LATE
    play = frozen(floor())
    with pytest.raises(Hold):
        request(play, "1-1")
    close(play).hears(ThawOrdered(order="f"), GUARDIAN)
    assert request(play, "1-1", old=True).done() == [] and ends(play) == [("ToolEnded", "1-1", 0)]


def test_nothing_is_kept_in_mind_of_a_run_that_is_over() -> None:
    play = request(request(floor(), "1-1", "run"), "1-2")
    close(play)
    done(play, "t-1/1-1/0")
    executor = play.decider
    assert isinstance(executor, Executor)
    assert not (executor.known or executor.lines or executor.first or executor.aside or executor.closing)


def test_a_command_in_the_background_lets_the_next_call_begin() -> None:
    play = request(request(floor(), "1-1", "run"), "1-2")
    play.hears(Progress("t-1/1-1/0", Backgrounded()))
    assert play.events() == [exec.ExecBackgrounded("1-1")] and begun(play) == ["t-1/1-2/0"]
    assert play.hears(Progress("t-1/1-1/0", Backgrounded())).events() == []
    assert play.hears(Progress("t-1/1-1/0", Silent(30))).events() == [exec.ExecSilent("1-1", 30)]
    assert ends(done(play, "t-1/1-1/0")) == [("ExecEnded", "1-1", 0)] and begun(play) == []
    assert ends(done(play, "t-1/1-2/0")) == [("ToolEnded", "1-2", 0)]


def test_an_input_that_cannot_be_read_is_refused_here_too() -> None:
    play = floor().hears(step.ToolRequested("1-1", "write", {"path": "a"}), STEP)
    assert play.done() == [] and ends(play) == [("ToolEnded", "1-1", 0)]


def test_the_workspace_is_told_before_the_end_and_opened_once() -> None:
    play = request(request(floor(), "1-1"), "1-1", "write", STEP)
    tested = TreeTested("tree", "t-1", 1, 0)
    done(play, "t-1/1-1/0", OPENED, tested)
    assert [subject for subject, _ in play.told()] == [SPACE, SPACE, EXEC]
    request(play, "1-2")
    assert job_of(play, "t-1/1-2/0").place.opened == OPENED
    assert job_of(play, "t-1/1-2/0").green == {"tree"}
    assert done(play, "t-1/1-2/0", OPENED).events(WorkspaceOpened) == []


def test_what_the_last_tests_came_to_goes_to_the_next_call() -> None:
    play = request(floor(), "1-1", "test")
    done(play, "t-1/1-1/0", end=exec.ExecEnded("1-1", "exit", Excerpt(""), 1, 0, tests=TestResults(passed=3)))
    request(play, "1-2", "finish")
    assert job_of(play, "t-1/1-2/0").tests == TestResults(passed=3)


MERGE, DISCARD = MergeApproved("t"), DiscardOrdered("t")
ONE, TWO = "evt.guardian.one", "evt.guardian.two"


def a_workspace() -> Iterator[Play]:
    play = floor().given(SPACE, OPENED, TreeSaved("t-1", "code", "tree", "c"))
    assert isinstance(play, Play)
    yield play.begin()


def ordered(play: Play, event: Event) -> Play:
    (order,) = [what for what in play.done() if isinstance(what, Order)]
    return play.hears(Done(order.key, Result(order, [], [event], [])))


def test_an_order_is_carried_out_once_also_across_a_crash() -> None:
    (play,) = a_workspace()
    assert begun(play.hears(MERGE, ONE)) == ["merge/one"]
    assert begun(play.begin().hears(MERGE, ONE, again=True)) == ["merge/one"], "nobody knows what became of it"
    assert ordered(play, WorkspaceMerged("one", "main", "c")).events() == [WorkspaceMerged("one", "main", "c")]
    assert play.hears(MERGE, ONE, again=True).done() == [] and play.events() == []
    assert play.begin().hears(MERGE, ONE, again=True).done() == []


def test_orders_about_one_workspace_come_one_after_the_other() -> None:
    (play,) = a_workspace()
    play.hears(DISCARD, ONE)
    with pytest.raises(Hold):
        play.hears(MERGE, TWO)
    play.hears(Done("discard/one", Result(_order(play), [], [WorkspaceDiscarded("one")], [])))
    (refused,) = play.hears(MERGE, TWO, again=True).events()
    assert isinstance(refused, MergeRefused) and "discarded" in refused.reason


def _order(play: Play) -> Order:
    return Order("discard/one", "one", "t", "discard", OPENED, 0)


def test_no_order_is_carried_out_while_somebody_works_there_or_everything_stands_still() -> None:
    (play,) = a_workspace()
    request(play, "1-1")
    with pytest.raises(Hold):
        play.hears(MERGE, ONE)
    assert begun(done(play, "t-1/1-1/0").hears(MERGE, ONE, again=True)) == ["merge/one"]
    (play,) = a_workspace()
    with pytest.raises(Hold):
        frozen(play).hears(MERGE, ONE)


def test_an_order_about_no_workspace_is_refused() -> None:
    assert floor().hears(MERGE, ONE).events() == [MergeRefused("one", "there is no workspace")]


def test_nothing_is_done_in_a_workspace_that_is_gone() -> None:
    (play,) = a_workspace()
    ordered(play.hears(DISCARD, ONE), WorkspaceDiscarded("one"))
    assert request(play, "1-1").done() == [] and "discarded" in play.events()[0].output.text


@pytest.mark.parametrize("content", [b"\x01" * 12_000, b"\xff" * 12_000, b'"\\\n' * 4000, "é".encode() * 9000])
def test_no_output_is_too_much_for_the_log(content: bytes) -> None:
    output, blobs = excerpt(content)
    encode(Commit("i", "", "", "", "", 1, "", [exec.ExecEnded("1-1", "exit", output, 1, 0)]))
    assert output.bytes == len(content) and blobs == [content]


@pytest.mark.parametrize(
    "event",
    [
        exec.ToolEnded("1-1", True, Excerpt("x"), 1, read=["p" * 900] * 200),
        exec.ToolEnded("1-1", True, Excerpt("x"), 1, created=["p" * 900] * 200),
        exec.ExecEnded("1-1", "exit", Excerpt("x"), 1, 1, tests=TestResults(failed=50, failures=["t" * 5000] * 50)),
    ],
)
def test_an_end_that_is_too_long_for_the_log_is_told_without_its_lists(event: Event) -> None:
    shorter = fitting(event)
    assert len(encode(Commit("i", "", "", "", "", 1, "", [shorter]))) < EVENT_MAX_BYTES < COMMIT_MAX_BYTES
    assert type(shorter) is type(event)
    assert fitting(shorter) == shorter
