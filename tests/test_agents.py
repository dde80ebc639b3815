"""What an agent does with its work, as sentences about events."""

from pathlib import Path

import msgspec
import pytest

import actors
from actors.agent.decide import GUARDIAN, Agents
from actors.agent.mind import Script, ScriptedReply, read_script
from actors.decider import Answer, Hold
from bus.blobs import INLINE_MAX_BYTES, sha256
from bus.errors import Invalid
from bus.messages.agent import WorkAssigned, WorkRevoked
from bus.messages.guardian import FreezeOrdered
from bus.messages.run import RunFailed, RunFinished, RunStarted, RunStopped
from bus.messages.timers import StepDue
from tests.given import NOW, Story

FILES = Path(actors.__file__).parent
QUEUE, RUN = "evt.agent.coder-01", "evt.run.coder-01.t1-1"
STARTED = RunStarted(task="t1", phase="code", role="coder", mind="script:s")


def work(phase: str = "code", attempt: int = 1) -> WorkAssigned:
    return WorkAssigned(run="t1-1", task="t1", phase=phase, role="coder", text="build it", attempt=attempt)


def story(**reply: object) -> Story:
    fields = {"phase": "code", "name": "main.py", "type": "code", "content": "for {task}", **reply}
    script = Script("s", "for tests", [ScriptedReply(**fields)])  # type: ignore[arg-type]
    return Story(lambda: Agents("coder-01", {"coder-01": "coder"}, 4, script))


def test_work_is_started_and_finished_with_its_artifact() -> None:
    told = story().when(work(), QUEUE).told()
    assert told[0] == (RUN, STARTED)
    finished = told[1][1]
    assert isinstance(finished, RunFinished)
    (artifact,) = finished.artifacts
    assert (artifact.name, artifact.content, artifact.sha256) == ("main.py", "for build it", sha256(b"for build it"))


def test_a_large_artifact_is_kept_apart_and_named_by_its_sha256() -> None:
    told = story(pad_to_bytes=INLINE_MAX_BYTES + 1).when(work(), QUEUE)
    finished = told.told()[1][1]
    assert told.outcome is not None and finished.artifacts[0].content is None
    assert finished.artifacts[0].sha256 == sha256(told.outcome.blobs[0])


def test_a_slow_reply_is_waited_for_with_a_durable_timer() -> None:
    slow = story(delay_s=3).when(work(), QUEUE).then((RUN, STARTED))
    assert slow.outcome is not None
    (timer,) = slow.outcome.timers
    assert (timer.at_s, timer.body) == (NOW + 3, StepDue(agent="coder-01", run="t1-1"))


def test_three_heartbeats_fit_into_the_shortest_lease() -> None:
    agents = Agents("coder-01", {"coder-01": "coder"}, 4, Script("s", "", []))
    agents.active["t1-1"] = msgspec.structs.replace(work(), lease_s=6)
    agents.agent_of["t1-1"] = "coder-01"
    assert agents.beat_s == 2
    assert [(alive.agent, alive.runs) for alive in agents.beats()] == [("coder-01", ["t1-1"])]


def test_work_that_is_told_twice_is_started_once() -> None:
    story(delay_s=3).given(RUN, STARTED).when(work(), QUEUE).then_nothing()
    story().given(RUN, STARTED, RunFinished()).when(work(), QUEUE).then_nothing()


def test_an_open_run_goes_on_when_the_registration_is_answered() -> None:
    answer = Answer("register_agent", {"agent": "coder-01", "runs": [{**_plain(work())}]})
    told = story().given(RUN, STARTED).when(answer).told()
    assert [type(event) for _, event in told] == [RunFinished]


def test_the_script_can_fail_a_first_attempt() -> None:
    failing = story(fails_first=1, failure="no")
    assert failing.when(work(), QUEUE).told()[1] == (RUN, RunFailed(reason="no"))
    assert isinstance(failing.when(work(attempt=2), QUEUE).told()[1][1], RunFinished)


def test_a_phase_without_a_reply_fails_and_says_so() -> None:
    (_, failed) = story().when(work(phase="fly"), QUEUE).told()[1]
    assert isinstance(failed, RunFailed) and "no reply for fly" in failed.reason


def test_revoked_work_is_stopped() -> None:
    story().given(RUN, STARTED).when(WorkRevoked(run="t1-1", reason="late"), QUEUE).then((RUN, RunStopped("late")))
    story().given(RUN, STARTED, RunFinished()).when(WorkRevoked(run="t1-1", reason="late"), QUEUE).then_nothing()


def test_nothing_is_started_and_no_step_is_taken_while_frozen() -> None:
    frozen = story().given(GUARDIAN, FreezeOrdered(order="f", actors=[]))
    for message in (work(), StepDue(agent="coder-01", run="t1-1")):
        with pytest.raises(Hold):
            frozen.when(message, QUEUE)


@pytest.mark.parametrize("name", ["demo", "instant"])
def test_every_script_that_comes_with_witan_is_valid_and_says_that_it_is_one(name: str) -> None:
    assert read_script(FILES / "scripts" / f"{name}.toml").mind == f"script:{name}"


def test_a_mistake_in_a_script_is_named_with_its_path(tmp_path: object) -> None:
    path = FILES / "scripts" / "nowhere.toml"
    with pytest.raises(Invalid, match="no script"):
        read_script(path)


def _plain(work: WorkAssigned) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(work)
    return plain
