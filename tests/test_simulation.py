"""Thousands of small histories, each decided by a seed, each held to every promise."""

import os

import pytest

from bus.envelope import Commit, Record, encode, link
from bus.messages import run, slots, task
from bus.messages.base import Event
from tests import checkers
from tests.simulation import LIMIT, World

SEEDS = int(os.environ.get("SEEDS", "400"))
"""`make faults` takes 10,000 of them."""


@pytest.mark.parametrize("share", range(8))
def test_every_history_keeps_every_promise(share: int) -> None:
    crashes = stalls = lost = 0
    for seed in range(share, SEEDS, 8):
        world = World(seed)
        world.run()
        wrong = checkers.everything_wrong(world.log.records, LIMIT)
        assert not wrong, f"seed {seed}: {wrong[:5]}"
        crashes += world.crash_count
        stalls += world.stall_count
        lost += sum(isinstance(told.event, task.AssignmentLost) for told in checkers.told(world.log.records))
    assert crashes and stalls and lost, "a kind of fault was never reached"


def test_a_history_is_decided_by_its_seed_alone() -> None:
    def shape(seed: int) -> list[tuple[str, list[str]]]:
        world = World(seed)
        world.run()
        return [(told.subject, type(told.event).__name__) for told in checkers.told(world.log.records)]  # type: ignore[misc]

    assert shape(7) == shape(7)
    assert shape(7) != shape(8)


def _log(*commits: tuple[str, Event]) -> list[Record]:
    """Records with one event each, chained as they should be."""
    records: list[Record] = []
    versions: dict[str, tuple[int, str]] = {}
    for seq, (subject, event) in enumerate(commits, 1):
        v, prev = versions.get(subject, (0, ""))
        body = encode(Commit(f"id-{seq}", "", "agents-0", "", "", v + 1, prev, [event]))
        versions[subject] = (v + 1, link(subject, body))
        records.append(Record(subject, seq, body))
    return records


T = "evt.task.t"
SUBMITTED = task.TaskSubmitted(task="x", workflow="small", phases=["design"])
ASSIGNED = task.PhaseAssigned(phase="design", agent="a", run="t-1")
COMPLETED = task.PhaseCompleted(phase="design", agent="a", run="t-1")
ADMITTED = ("evt.slots.main", slots.PipelineAdmitted(task="t"))


def test_the_checkers_find_nothing_in_a_clean_log() -> None:
    log = _log(ADMITTED, (T, SUBMITTED), (T, ASSIGNED), (T, COMPLETED), (T, task.TaskCompleted()))
    assert checkers.everything_wrong(log, LIMIT) == []


PLANTED: dict[str, list[tuple[str, Event]]] = {
    "too many at once": [("evt.slots.main", slots.PipelineAdmitted(task=id)) for id in "abc"],
    "no slot": [(T, SUBMITTED), (T, ASSIGNED)],
    "started while paused": [ADMITTED, (T, SUBMITTED), (T, task.PipelinePaused(order="o")), (T, ASSIGNED)],
    "started while frozen": [ADMITTED, ("evt.slots.main", slots.WorkFrozen(order="o")), (T, SUBMITTED), (T, ASSIGNED)],
    "completed twice": [ADMITTED, (T, SUBMITTED), (T, ASSIGNED), (T, COMPLETED), (T, COMPLETED)],
    "ended twice": [("evt.run.a.t-1", run.RunFinished()), ("evt.run.a.t-1", run.RunFinished())],
    "somebody else's result": [ADMITTED, (T, SUBMITTED), (T, ASSIGNED), (T, task.PhaseCompleted("design", "b", "t-9"))],
    "completed without its phases": [ADMITTED, (T, SUBMITTED), (T, task.TaskCompleted())],
    "never ends": [ADMITTED, (T, SUBMITTED)],
}


@pytest.mark.parametrize("fault", PLANTED)
def test_every_checker_can_fail(fault: str) -> None:
    assert checkers.everything_wrong(_log(*PLANTED[fault]), LIMIT)


def test_a_broken_chain_is_found() -> None:
    first, second = _log((T, SUBMITTED), (T, COMPLETED))
    assert checkers.broken_chains([first, second]) == []
    assert checkers.broken_chains([second])
    assert checkers.broken_chains([first._replace(body=first.body.replace(b"small", b"large")), second])
