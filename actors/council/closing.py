"""Whether a council's answer helped, found out from what became of its task."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from actors.orchestrator import task as tasks
from actors.orchestrator.task import Task
from actors.orchestrator.trouble import COUNCIL_TIER
from bus.envelope import Record
from bus.messages import exec as done
from bus.messages import task as said
from bus.messages.council import OutcomeRecorded
from bus.messages.kinds import read_commit

APPLY_CALL = "0-1"
"""The step of a run that applies the solution, before the mind's first turn."""
WHY_CHARS = 500


class Sequel(NamedTuple):
    """What became of a task after a council. `ok` is None as long as nobody knows."""

    answered: bool = False
    ok: bool | None = None
    over: str = ""
    """How the task ended, if it did."""
    runs: tuple[tuple[str, str], ...] = ()


def sequel(records: Sequence[Record], council: str) -> Sequel:
    """What the task's own records say came after the council's answer."""
    told, state = Sequel(), Task()
    for event, withdrawn in _told(records):
        state = tasks.evolve(state, event)
        if isinstance(event, said.CouncilAnswered) and event.council == council:
            told = Sequel(answered=True)
        elif told.answered and told.ok is None:
            match event:
                case said.PhaseAssigned():
                    told = told._replace(runs=(*told.runs, (event.agent, event.run)))
                case said.RecoveryEnded() if event.tier == COUNCIL_TIER:
                    told = told._replace(over="taken away") if withdrawn else told._replace(ok=event.ok)
                case _:
                    pass
    return told._replace(over=state.status) if state.closed else told


def _told(records: Sequence[Record]) -> Iterable[tuple[said.TaskEvent, bool]]:
    """The events one by one, and whether a person took the work away in the same breath."""
    for record in records:
        events = read_commit(record).events
        withdrawn = any(isinstance(event, said.TaskReset | said.TaskCancelled | said.PersonAsked) for event in events)
        failed = any(isinstance(event, said.PhaseFailed) for event in events)
        yield from ((event, withdrawn and not failed) for event in events)


def outcome_of(told: Sequel, read: Callable[[str], Sequence[Record]], ok: bool | None) -> OutcomeRecorded | None:
    """The outcome, once it is known; `ok` is what the orchestrator says, None: go by the log alone."""
    ok = told.ok if ok is None else ok
    if ok is None and not told.over:
        return None
    applied, why = _applied(told, read)
    if ok is None:
        why = f"the task was {told.over}" if told.answered else f"the task was {told.over} without it"
        return OutcomeRecorded(outcome="not_applied", why=why)
    if not applied:
        return OutcomeRecorded(outcome="not_applied", why=why)
    if ok:
        return OutcomeRecorded(outcome="success", why="the phase went well with it")
    return OutcomeRecorded(outcome="failure", why="the phase failed all the same")


def _applied(told: Sequel, read: Callable[[str], Sequence[Record]]) -> tuple[bool, str]:
    """Whether any of the runs that were given the solution has it in its tree."""
    why = "no run came so far as to apply it"
    for agent, run in told.runs:
        for record in read(f"evt.exec.{agent}.{run}"):
            for event in read_commit(record).events:
                if isinstance(event, done.ToolEnded) and event.call == APPLY_CALL:
                    if event.ok:
                        return True, ""
                    why = f"it could not be applied: {event.output.text}"[:WHY_CHARS]
    return False, why
