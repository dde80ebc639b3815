"""A task goes on by files that somebody may take away while it is under way: then a person is asked for them."""

from actors.orchestrator.floor import Floor
from actors.orchestrator.task import Task
from bus.messages.task import PersonAsked

WAYS_ON = "Put the file back, start Witan again and type `witan reset {id}`; or `witan cancel {id}`."
WAYS_AROUND = "`witan reset {id}` begins the phase again as its workflow says now; or `witan cancel {id}`."


def asked_for(floor: Floor, id: str, state: Task) -> PersonAsked | None:
    """The question, if what the task needs for its phase is not there any more."""
    phase = state.phase or state.next_phase
    role = state.role if state.phase and not state.routed else ""
    if state.workflow not in floor.workflows:
        what, ways = f"There is no workflow `{state.workflow}` any more.", WAYS_ON
    elif (state.workflow, phase) not in floor.plans:
        what, ways = f"The workflow `{state.workflow}` has no phase `{phase}` any more.", WAYS_ON
    elif role and floor.roles and role not in floor.roles:
        what, ways = f"There is no role `{role}` any more.", WAYS_AROUND
    else:
        return None
    return PersonAsked(phase=phase, failure="help", question=f"{what} {ways.format(id=id)}")
