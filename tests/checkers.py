"""What must be true of every log, at every prefix: pure functions that name what is wrong."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from bus.envelope import Commit, Record, link
from bus.messages import guardian, run, slots, task
from bus.messages.kinds import read_commit


class Told(NamedTuple):
    seq: int
    subject: str
    commit: Commit[Any]
    event: Any


def told(records: Iterable[Record]) -> Iterator[Told]:
    for record in records:
        commit = read_commit(record)
        for event in commit.events:
            yield Told(record.seq, record.subject, commit, event)


def broken_chains(records: Iterable[Record]) -> list[str]:
    """P2, P12: one gap-free history for each entity."""
    wrong, versions, links = [], defaultdict(int), defaultdict(str)  # type: ignore[var-annotated]
    for record in records:
        commit = read_commit(record)
        if commit.v != versions[record.subject] + 1 or commit.prev != links[record.subject]:
            wrong.append(f"{record.subject} at {record.seq}: v {commit.v} after {versions[record.subject]}")
        versions[record.subject], links[record.subject] = commit.v, link(record.subject, record.body)
    return wrong


def too_many_at_once(records: Iterable[Record], limit: int) -> list[str]:
    """P6: never more pipelines admitted than the limit; and no phase starts without a slot."""
    wrong: list[str] = []
    holders: set[str] = set()
    for seq, subject, _, event in told(records):
        match event:
            case slots.PipelineAdmitted():
                holders.add(event.task)
            case slots.PipelineReleased():
                holders.discard(event.task)
            case slots.SlotsResized():
                limit = event.limit
            case task.PhaseAssigned() if subject[9:] not in holders:
                wrong.append(f"{seq}: {subject} starts a phase without a slot")
        if len(holders) > limit:
            wrong.append(f"{seq}: {len(holders)} pipelines at once")
    return wrong


def started_while_paused(records: Iterable[Record]) -> list[str]:
    """P7: after a recorded pause no phase of the pipeline starts, after a freeze none at all."""
    wrong: list[str] = []
    paused: set[str] = set()
    frozen = False
    for seq, subject, _, event in told(records):
        match event:
            case task.PipelinePaused():
                paused.add(subject)
            case task.PipelineResumed() | task.TaskReset():
                paused.discard(subject)
            case slots.WorkFrozen():
                frozen = True
            case slots.WorkThawed():
                frozen = False
            case task.PhaseRequested() | task.PhaseAssigned() if subject in paused or frozen:
                wrong.append(f"{seq}: {subject} starts {event.phase} while {'frozen' if frozen else 'paused'}")
    return wrong


def started_by_frozen_agents(records: Iterable[Record]) -> list[str]:
    """P7: an agent that has acknowledged a freeze starts and ends no run until the thaw."""
    wrong: list[str] = []
    silent: set[str] = set()
    for seq, subject, commit, event in told(records):
        match event:
            case guardian.FreezeAcknowledged():
                silent.add(event.actor)
            case guardian.ThawOrdered():
                silent.clear()
            case run.RunStarted() | run.RunFinished() if commit.by in silent:
                wrong.append(f"{seq}: {commit.by} works on {subject} though it is frozen")
    return wrong


def done_twice(records: Iterable[Record]) -> list[str]:
    """P4: a phase is completed once, a run ends once, a task ends once unless it was reset, a command counts once."""
    wrong: list[str] = []
    seen: set[tuple[str, ...]] = set()
    for seq, subject, commit, event in told(records):
        key: tuple[str, ...] = ()
        match event:
            case task.PhaseCompleted():
                key = (subject, "phase", event.phase)
            case run.RunFinished() | run.RunFailed() | run.RunStopped():
                key = (subject, "end")
            case run.RunStarted():
                key = (subject, "start")
            case task.TaskSubmitted() | task.TaskCompleted() | task.TaskCancelled():
                key = (subject, type(event).__name__)
            case task.OverrideApplied() | task.PipelinePaused() | task.PipelineResumed():
                key = (subject, type(event).__name__, event.order)
            case task.TaskReset():
                key = (subject, "reset", commit.cause)
        if key and key in seen:
            wrong.append(f"{seq}: {key} a second time")
        seen.add(key)
    return wrong


def out_of_order(records: Iterable[Record]) -> list[str]:
    """Phases are completed in their order, and each result belongs to the run that was assigned last."""
    wrong: list[str] = []
    phases: dict[str, list[str]] = {}
    current: dict[str, str] = {}
    ended: set[str] = set()
    for seq, subject, _, event in told(records):
        match event:
            case task.TaskSubmitted():
                phases[subject] = list(event.phases)
            case task.PhaseAssigned():
                current[subject] = event.run
            case task.AssignmentLost() | task.TaskReset():
                current.pop(subject, None)
            case task.PhaseCompleted():
                if not phases[subject] or phases[subject].pop(0) != event.phase:
                    wrong.append(f"{seq}: {subject} completes {event.phase} out of turn")
                if current.get(subject) != event.run:
                    wrong.append(f"{seq}: {subject} takes the result of {event.run}, not of {current.get(subject)}")
            case task.TaskCompleted() if phases[subject]:
                wrong.append(f"{seq}: {subject} is completed without {phases[subject]}")
        if subject in ended and isinstance(event, task.PhaseRequested | task.PhaseAssigned):
            wrong.append(f"{seq}: {subject} goes on after its end")
        if isinstance(event, task.TaskCompleted | task.TaskCancelled):
            ended.add(subject)
    return wrong


def unfinished(records: Iterable[Record]) -> list[str]:
    """P3: every task reaches its end."""
    state: dict[str, str] = {}
    for _, subject, _, event in told(records):
        if isinstance(event, task.TaskSubmitted | task.TaskReset):
            state[subject] = "open"
        elif isinstance(event, task.TaskCompleted | task.TaskFailed | task.TaskCancelled):
            state[subject] = "ended"
    return [f"{subject} never ends" for subject, status in state.items() if status == "open"]


def everything_wrong(records: list[Record], limit: int, at_the_end: bool = True) -> list[str]:
    """All of it."""
    return [
        *broken_chains(records),
        *too_many_at_once(records, limit),
        *started_while_paused(records),
        *started_by_frozen_agents(records),
        *done_twice(records),
        *out_of_order(records),
        *(unfinished(records) if at_the_end else []),
    ]
