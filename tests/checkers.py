"""What must be true of every log, at every prefix: pure functions that name what is wrong."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from actors.territory import Territory, overlaps
from bus.envelope import Commit, Record, link
from bus.messages import guardian, routing, run, slots, task
from bus.messages.agent import AgentJoined
from bus.messages.kinds import read_commit

GOING_ON = (
    task.PhaseRequested,
    task.PhaseAssigned,
    task.PhaseCompleted,
    task.PhaseFailed,
    task.RecoveryStarted,
    task.PersonAsked,
    task.TaskCompleted,
    task.TaskCancelled,
)


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
            case task.PhaseAssigned() | routing.ReviewAssigned() if subject[9:] not in holders:
                wrong.append(f"{seq}: {subject} starts a phase without a slot")
        if len(holders) > limit:
            wrong.append(f"{seq}: {len(holders)} pipelines at once")
    return wrong


def started_while_paused(records: Iterable[Record]) -> list[str]:
    """P7: after a recorded pause, or while a person is asked, no phase of the pipeline starts; after a freeze none."""
    wrong: list[str] = []
    paused: set[str] = set()
    waiting: set[str] = set()
    frozen = False
    for seq, subject, _, event in told(records):
        match event:
            case task.PersonAsked():
                waiting.add(subject)
                paused.discard(subject)
            case task.PipelinePaused():
                paused.add(subject)
            case task.PipelineResumed() | task.TaskReset():
                paused.discard(subject)
                waiting.discard(subject)
            case task.CouncilAnswered() if event.solution:
                waiting.discard(subject)
            case slots.WorkFrozen():
                frozen = True
            case slots.WorkThawed():
                frozen = False
            case task.PhaseRequested() | task.PhaseAssigned() | routing.ReviewAssigned() if (
                subject in paused | waiting or frozen
            ):
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
    """P4: a phase is completed once unless reopened, a run ends once, a task ends once, a command counts once."""
    wrong: list[str] = []
    reopened: dict[str, int] = defaultdict(int)
    seen: set[tuple[str, ...]] = set()
    for seq, subject, commit, event in told(records):
        key: tuple[str, ...] = ()
        match event:
            case task.PhaseCompleted():
                key = (subject, "phase", event.phase, str(reopened[subject]))
            case task.PhaseReopened():
                reopened[subject] += 1
            case run.RunFinished() | run.RunFailed() | run.RunStopped():
                key = (subject, "end")
            case run.RunStarted():
                key = (subject, "start")
            case task.TaskSubmitted() | task.TaskCompleted() | task.TaskCancelled():
                key = (subject, type(event).__name__)
            case task.OverrideApplied() | task.PipelinePaused() | task.PipelineResumed():
                key = (subject, type(event).__name__, event.order)
            case task.TaskReset() | routing.TaskRouted():
                key = (subject, type(event).__name__, commit.cause)
            case routing.ReviewAssigned() | routing.ReviewEnded():
                key = (subject, type(event).__name__, event.run)
        if key and key in seen:
            wrong.append(f"{seq}: {key} a second time")
        seen.add(key)
    return wrong


def out_of_order(records: Iterable[Record]) -> list[str]:
    """Phases are completed in their order, and each result belongs to the run that was assigned last."""
    wrong: list[str] = []
    phases: dict[str, list[str]] = {}
    whole: dict[str, list[str]] = {}
    current: dict[str, str] = {}
    ended: set[str] = set()
    for seq, subject, _, event in told(records):
        match event:
            case task.TaskSubmitted():
                phases[subject], whole[subject] = list(event.phases), list(event.phases)
            case task.PhaseReopened() if event.phase in whole[subject]:
                phases[subject] = whole[subject][whole[subject].index(event.phase) :]
            case task.PhaseAssigned():
                current[subject] = event.run
            case task.AssignmentLost() | task.PhaseFailed() | task.TaskReset():
                current.pop(subject, None)
            case task.PhaseCompleted():
                if not phases[subject] or phases[subject].pop(0) != event.phase:
                    wrong.append(f"{seq}: {subject} completes {event.phase} out of turn")
                if current.get(subject) != event.run:
                    wrong.append(f"{seq}: {subject} takes the result of {event.run}, not of {current.get(subject)}")
            case task.TaskCompleted() if phases[subject]:
                wrong.append(f"{seq}: {subject} is completed without {phases[subject]}")
        if subject in ended and isinstance(event, GOING_ON):
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


def tried_too_often(records: Iterable[Record]) -> list[str]:
    """Between two words of a person: three tries a type and phase, one review and one council a phase, 30 in all."""
    wrong: list[str] = []
    tries: dict[str, list[task.RecoveryStarted]] = defaultdict(list)
    asked: dict[str, set[str]] = defaultdict(set)
    for seq, subject, _, event in told(records):
        if isinstance(event, task.TaskReset):
            tries[subject].clear()
            asked[subject].clear()
        elif isinstance(event, task.RecoveryStarted):
            tries[subject].append(event)
            here = [each for each in tries[subject] if each.phase == event.phase and each.tier == event.tier]
            if event.tier == 1:
                here = [each for each in here if each.failure == event.failure]
            if len(here) > {1: 3, 2: 1}.get(event.tier, 30) or len(tries[subject]) > 30:
                wrong.append(f"{seq}: {subject} tries {event.phase} after {event.failure} too often")
        elif isinstance(event, task.CouncilAsked):
            if event.phase in asked[subject]:
                wrong.append(f"{seq}: {subject} asks a council about {event.phase} a second time")
            asked[subject].add(event.phase)
    return wrong


def reopened_without_need(records: Iterable[Record]) -> list[str]:
    """A phase is reopened by a recovery just begun, for the sake of a later phase, and only when it was done."""
    wrong: list[str] = []
    phases: dict[str, list[str]] = {}
    done: dict[str, set[str]] = defaultdict(set)
    before: dict[str, Any] = {}
    for seq, subject, _, event in told(records):
        match event:
            case task.TaskSubmitted():
                phases[subject] = event.phases
            case task.PhaseCompleted():
                done[subject].add(event.phase)
            case task.PhaseReopened():
                why, order = before.get(subject), phases[subject]
                if not isinstance(why, task.RecoveryStarted) or (why.failure != "test_failure" and why.tier < 2):
                    wrong.append(f"{seq}: {subject} reopens {event.phase} for no reason")
                elif event.phase not in done[subject] or order.index(event.phase) >= order.index(why.phase):
                    wrong.append(f"{seq}: {subject} reopens {event.phase} for {why.phase}, which does not follow it")
                done[subject] -= set(order[order.index(event.phase) :])
        before[subject] = event
    return wrong


def unframed_recoveries(records: Iterable[Record], at_the_end: bool = True) -> list[str]:
    """Each recovery that begins also ends, or the task does; well only where its phase was completed just then."""
    wrong: list[str] = []
    begun: dict[str, dict[str, int]] = defaultdict(dict)
    completed: dict[str, str] = {}
    for seq, subject, _, event in told(records):
        match event:
            case task.RecoveryStarted() if event.phase in begun[subject]:
                wrong.append(f"{seq}: {subject} recovers {event.phase} twice at once")
            case task.RecoveryStarted():
                begun[subject][event.phase] = seq
            case task.RecoveryEnded():
                if begun[subject].pop(event.phase, None) is None:
                    wrong.append(f"{seq}: {subject} ends a recovery that never began")
                if event.ok and completed.get(subject) != event.phase:
                    wrong.append(f"{seq}: {subject} calls {event.phase} recovered and it is not")
            case task.PhaseCompleted():
                completed[subject] = event.phase
            case task.PhaseRequested():
                completed.pop(subject, None)
            case task.TaskReset() | task.TaskCompleted() if begun[subject]:
                wrong.append(f"{seq}: {subject} leaves the recovery of {set(begun[subject])} open")
            case task.TaskCancelled() | task.TaskFailed():
                begun.pop(subject, None)
    left = {subject for subject, open in begun.items() if open} if at_the_end else set()
    return wrong + [f"{subject} never ends a recovery" for subject in sorted(left)]


def in_each_others_way(records: Iterable[Record]) -> list[str]:
    """Never two runs at once in one repository whose agents' territories overlap."""
    wrong: list[str] = []
    territories: dict[str, Territory] = {}
    repos: dict[str, str] = {}
    at_work: dict[str, dict[str, str]] = defaultdict(dict)
    for seq, subject, _, event in told(records):
        match event:
            case AgentJoined():
                territories[event.agent] = Territory(tuple(event.territory))
            case task.TaskSubmitted():
                repos[subject] = event.repo
            case task.PhaseAssigned() | routing.ReviewAssigned() if repos.get(subject):
                here = at_work[repos[subject]]
                mine = territories[event.agent]
                wrong += [
                    f"{seq}: {event.agent} is in the way of {agent} in {repos[subject]}"
                    for agent in here.values()
                    if overlaps(mine, territories[agent])
                ]
                here[subject] = event.agent
            case (
                task.PhaseCompleted()
                | routing.ReviewEnded()
                | task.PhaseFailed()
                | task.AssignmentLost()
                | task.TaskReset()
                | task.TaskCancelled()
            ):
                at_work[repos.get(subject, "")].pop(subject, None)
    return wrong


def slots_of_those_who_wait(records: Iterable[Record]) -> list[str]:
    """Who waits for a person and still holds a slot loses it in the next commit about slots."""
    wrong: list[str] = []
    holders: set[str] = set()
    waiting: set[str] = set()
    for record in records:
        events = read_commit(record).events
        if record.subject == "evt.slots.main":
            idle = holders & waiting
            holders |= {event.task for event in events if isinstance(event, slots.PipelineAdmitted)}
            holders -= {event.task for event in events if isinstance(event, slots.PipelineReleased)}
            wrong += [f"{record.seq}: {id} waits for a person and keeps its slot" for id in idle & holders]
        for event in events:
            if isinstance(event, task.PersonAsked):
                waiting.add(record.subject[9:])
            elif isinstance(event, task.TaskReset | task.TaskCancelled | task.CouncilAnswered):
                waiting.discard(record.subject[9:])
    return wrong


def reviews_without_end(records: Iterable[Record], at_the_end: bool = True) -> list[str]:
    """One look at a time, none beside work on the phase, and each is over before the phase is requested or done."""
    wrong: list[str] = []
    looks: dict[str, str] = {}
    busy: set[str] = set()
    for seq, subject, _, event in told(records):
        match event:
            case routing.ReviewAssigned():
                if subject in looks or subject in busy:
                    wrong.append(f"{seq}: {subject} is looked at while somebody is at it")
                looks[subject] = event.run
            case routing.ReviewEnded() if looks.pop(subject, "") != event.run:
                wrong.append(f"{seq}: {subject} ends a look that never began")
            case task.PhaseAssigned():
                busy.add(subject)
                if subject in looks:
                    wrong.append(f"{seq}: {subject} is worked on while it is looked at")
            case task.PhaseCompleted() | task.PhaseFailed() | task.AssignmentLost():
                busy.discard(subject)
            case task.TaskReset() | task.TaskCancelled():
                busy.discard(subject)
                looks.pop(subject, None)
    return wrong + [f"{subject} is looked at for ever" for subject in sorted(looks) if at_the_end]


def everything_wrong(records: list[Record], limit: int, at_the_end: bool = True) -> list[str]:
    """All of it."""
    return [
        *broken_chains(records),
        *too_many_at_once(records, limit),
        *started_while_paused(records),
        *started_by_frozen_agents(records),
        *done_twice(records),
        *out_of_order(records),
        *tried_too_often(records),
        *reopened_without_need(records),
        *unframed_recoveries(records, at_the_end),
        *in_each_others_way(records),
        *slots_of_those_who_wait(records),
        *reviews_without_end(records, at_the_end),
        *(unfinished(records) if at_the_end else []),
    ]
