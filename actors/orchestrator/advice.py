"""What the orchestrator and the council say to each other: it is asked, called off, told how it went."""

from actors.desk import Desk
from actors.orchestrator.escalation import NO_COUNCIL, Council
from actors.orchestrator.floor import Floor
from actors.orchestrator.task import Task
from bus.messages.council import CallOff, CloseCase, Convene


def council_of(floor: Floor, id: str, state: Task) -> Council:
    """The council that a task may ask now; its name is the same whenever it is asked for the same failure."""
    return NO_COUNCIL if floor.council_after is None else Council(f"{id}-c{state.epoch}", floor.council_after)


def ask(desk: Desk, id: str, state: Task) -> None:
    """Said again after a crash, it is heard once: the council has a name."""
    desk.send("council", "convene", Convene(task_id=id, council=state.trouble.council))


def call_off(desk: Desk, id: str, state: Task, reason: str) -> None:
    """Nobody needs the answer any more: one that is waited for, that a person asked for, or that is worked with."""
    if state.trouble.council or (state.status == "waiting" and state.trouble.attempts):
        desk.send("council", "call_off", CallOff(task_id=id, reason=reason))
    close_cases(desk, state, "", ok=None)


def close_cases(desk: Desk, state: Task, phase: str, *, ok: bool | None) -> None:
    """The phase that a council helped with is over, so it is known whether it did; None: it was taken away."""
    for attempt in state.trouble.under_way(phase):
        if attempt.council:
            desk.send("council", "close_case", CloseCase(council=attempt.council, ok=ok))
