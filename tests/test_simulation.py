"""Thousands of small histories, each decided by a seed, each held to every promise."""

import os
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest
from msgspec.structs import replace

from actors.recovery import STRATEGIES
from bus.envelope import Commit, Record, encode, link
from bus.messages import routing, run, slots, task
from bus.messages.agent import AgentJoined
from bus.messages.base import Event
from tests import checkers
from tests.simulation import LIMIT, World

SEEDS = int(os.environ.get("SEEDS", "200"))
"""`make faults` takes 10,000 of them."""
FAULTS = [
    *("crashes", "stalls", "AssignmentLost", "PhaseReopened", "PersonAsked", "TaskReset", "reviewed"),
    *("TaskRouted", "ReviewAssigned", "ReviewEnded", "escalated"),
    *(f"{failure} recovered" for failure in STRATEGIES if failure != "unknown"),
]
"""Each share of the histories must have met all of them."""


@pytest.mark.parametrize("share", range(4))
def test_every_history_keeps_every_promise(share: int) -> None:
    reached = Counter[str]()
    for seed in range(share, SEEDS, 4):
        world = World(seed)
        world.run()
        wrong = checkers.everything_wrong(world.log.records, LIMIT)
        assert not wrong, f"seed {seed}: {wrong[:5]}"
        reached.update(crashes=world.crash_count, stalls=world.stall_count)
        reached.update(_name(told.event) for told in checkers.told(world.log.records))
    never = [fault for fault in FAULTS if not reached[fault]] if SEEDS >= 200 else []
    assert not never, f"a kind of fault was never reached: {never}"


def _name(event: object) -> str:
    if isinstance(event, task.PersonAsked) and event.failure == "escalated":
        return "escalated"
    if isinstance(event, task.RecoveryStarted):
        return f"{event.failure} recovered" if event.tier == 1 else "reviewed"
    return type(event).__name__


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
BEGUN: list[tuple[str, Event]] = [
    ADMITTED,
    (T, task.TaskSubmitted(task="x", workflow="small", phases=["code", "test"])),
]
STARTED = task.RecoveryStarted("design", "timeout", "medium", "smaller_scope", 1, 1, "hint", "error")
ENDED = task.RecoveryEnded("design", "timeout", "smaller_scope", 1, False)
CODED = task.PhaseCompleted(phase="code", agent="a", run="t-1")
CODING = task.PhaseAssigned(phase="code", agent="a", run="t-1")
REOPENED = task.PhaseReopened(phase="code", because="test: test_failure")
FOR_TESTS = task.RecoveryStarted("test", "test_failure", "medium", "fix_the_code", 1, 1, "hint", "error")
LOOK = routing.ReviewAssigned(phase="code", agent="c", role="cto", run="t-9")
ASKED = task.PersonAsked(phase="design", failure="help", question="?")


def _in_one_repo(other: str) -> list[tuple[str, Event]]:
    """Two agents at work in one repository, one anywhere under src."""
    both: list[tuple[str, Event]] = [
        ("evt.agent.roster", AgentJoined(agent="a", role="coder", territory=["src/**"])),
        ("evt.agent.roster", AgentJoined(agent="b", role="coder", territory=[other])),
    ]
    for id, agent in (("t", "a"), ("u", "b")):
        submitted = task.TaskSubmitted(task="x", workflow="small", phases=["design"], repo="/srv/one")
        assigned = task.PhaseAssigned(phase="design", agent=agent, run=f"{id}-1")
        both += [("evt.slots.main", slots.PipelineAdmitted(task=id))]
        both += [(f"evt.task.{id}", submitted), (f"evt.task.{id}", assigned)]
    return both


def test_the_checkers_find_nothing_in_a_clean_log() -> None:
    log = _log(ADMITTED, (T, SUBMITTED), (T, ASSIGNED), (T, COMPLETED), (T, task.TaskCompleted()))
    assert checkers.everything_wrong(log, LIMIT) == []
    assert checkers.everything_wrong(_log(*_in_one_repo("docs/**")), LIMIT, at_the_end=False) == []
    reopened = _log(*BEGUN, (T, CODING), (T, CODED), (T, FOR_TESTS), (T, REOPENED), (T, CODING), (T, CODED))
    assert checkers.everything_wrong(reopened, LIMIT, at_the_end=False) == []


PLANTED: dict[str, list[tuple[str, Event]]] = {
    "too many at once": [("evt.slots.main", slots.PipelineAdmitted(task=id)) for id in "abcd"],
    "no slot": [(T, SUBMITTED), (T, ASSIGNED)],
    "started while paused": [ADMITTED, (T, SUBMITTED), (T, task.PipelinePaused(order="o")), (T, ASSIGNED)],
    "started while frozen": [ADMITTED, ("evt.slots.main", slots.WorkFrozen(order="o")), (T, SUBMITTED), (T, ASSIGNED)],
    "completed twice": [ADMITTED, (T, SUBMITTED), (T, ASSIGNED), (T, COMPLETED), (T, COMPLETED)],
    "ended twice": [("evt.run.a.t-1", run.RunFinished()), ("evt.run.a.t-1", run.RunFinished())],
    "somebody else's result": [ADMITTED, (T, SUBMITTED), (T, ASSIGNED), (T, task.PhaseCompleted("design", "b", "t-9"))],
    "completed without its phases": [ADMITTED, (T, SUBMITTED), (T, task.TaskCompleted())],
    "never ends": [ADMITTED, (T, SUBMITTED)],
    "started while a person is asked": [ADMITTED, (T, SUBMITTED), (T, ASKED), (T, ASSIGNED)],
    "completed after its end": [ADMITTED, (T, SUBMITTED), (T, ASSIGNED), (T, task.TaskCancelled()), (T, COMPLETED)],
    "a fourth try": [(T, SUBMITTED), *[(T, STARTED), (T, ENDED)] * 4],
    "a second review": [(T, SUBMITTED), *[(T, msgspec.structs.replace(STARTED, tier=2)), (T, ENDED)] * 2],
    "a second council": [(T, SUBMITTED), *[(T, task.CouncilAsked("design", "timeout", "no", "t-c1"))] * 2],
    "reopened for no reason": [*BEGUN, (T, CODING), (T, CODED), (T, REOPENED)],
    "reopened though it was not done": [*BEGUN, (T, FOR_TESTS), (T, REOPENED)],
    "reopened for an earlier phase": [
        *BEGUN,
        (T, CODING),
        (T, CODED),
        (T, msgspec.structs.replace(FOR_TESTS, phase="code")),
        (T, REOPENED),
    ],
    "a recovery that never ends": [(T, SUBMITTED), (T, STARTED)],
    "a recovery that never began": [(T, SUBMITTED), (T, ENDED)],
    "two recoveries of one phase": [(T, SUBMITTED), (T, STARTED), (T, STARTED), (T, ENDED)],
    "a recovery that is called good too early": [
        (T, SUBMITTED),
        (T, STARTED),
        (T, msgspec.structs.replace(ENDED, ok=True)),
    ],
    "a recovery that a reset leaves open": [(T, SUBMITTED), (T, STARTED), (T, task.TaskReset()), (T, ENDED)],
    "two in one place": _in_one_repo("src/ui/**"),
    "a look beside the work": [*BEGUN, (T, CODING), (T, LOOK)],
    "work beside a look": [*BEGUN, (T, LOOK), (T, CODING)],
    "a look that never ends": [*BEGUN, (T, LOOK)],
    "a slot kept by who waits": [ADMITTED, (T, SUBMITTED), (T, ASKED), ("evt.slots.main", slots.SlotsResized(limit=3))],
}


@pytest.mark.parametrize("fault", PLANTED)
def test_every_checker_can_fail(fault: str) -> None:
    assert checkers.everything_wrong(_log(*PLANTED[fault]), LIMIT)


@pytest.mark.parametrize(
    ("checker", "fault"),
    [
        (checkers.started_while_paused, "started while a person is asked"),
        (checkers.out_of_order, "completed after its end"),
        (checkers.tried_too_often, "a fourth try"),
        (checkers.tried_too_often, "a second review"),
        (checkers.tried_too_often, "a second council"),
        (checkers.reopened_without_need, "reopened for no reason"),
        (checkers.reopened_without_need, "reopened though it was not done"),
        (checkers.reopened_without_need, "reopened for an earlier phase"),
        (checkers.unframed_recoveries, "a recovery that never ends"),
        (checkers.unframed_recoveries, "a recovery that never began"),
        (checkers.unframed_recoveries, "two recoveries of one phase"),
        (checkers.unframed_recoveries, "a recovery that is called good too early"),
        (checkers.unframed_recoveries, "a recovery that a reset leaves open"),
        (checkers.reviews_without_end, "a look that never ends"),
        (checkers.in_each_others_way, "two in one place"),
        (checkers.slots_of_those_who_wait, "a slot kept by who waits"),
    ],
)
def test_the_right_checker_finds_it(checker: Callable[[list[Record]], list[str]], fault: str) -> None:
    assert len(checker(_log(*PLANTED[fault]))) == 1


def test_a_broken_chain_is_found() -> None:
    first, second = _log((T, SUBMITTED), (T, COMPLETED))
    assert checkers.broken_chains([first, second]) == []
    assert checkers.broken_chains([second])
    assert checkers.broken_chains([replace(first, body=first.body.replace(b"small", b"large")), second])
