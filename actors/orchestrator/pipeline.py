"""How a pipeline moves: a slot, a phase, an agent, the next phase, the end."""

from actors.decider import Message
from actors.desk import Desk
from actors.orchestrator.floor import Floor
from actors.orchestrator.roster import SUBJECT as ROSTER
from actors.orchestrator.slots import SUBJECT as SLOTS
from actors.orchestrator.task import TRANSITIONS, Task
from bus.messages import run, slots, task
from bus.messages.agent import WorkAssigned, WorkRevoked
from bus.messages.timers import LeasesDue

RESUMED_FIRST = 10
"""A resumed pipeline goes before every priority that a submission can have."""


def ask_for_slot(desk: Desk, id: str, priority: int) -> bool:
    """A slot at once, or a place in the line. True: the pipeline holds a slot."""
    admission = desk.state(SLOTS)
    if id in admission.holders:
        return True
    if admission.free > 0 and not admission.frozen and not admission.depth:
        desk.append(SLOTS, slots.PipelineAdmitted(task=id), flow=id)
        return True
    if not admission.waits(id):
        desk.append(SLOTS, slots.PipelineQueued(task=id, priority=priority), flow=id)
    return False


def admit(floor: Floor, desk: Desk) -> None:
    """Fill the free slots from the line."""
    admission = desk.state(SLOTS)
    while admission.free > 0 and not admission.frozen and (id := admission.first()):
        if desk.state(f"evt.task.{id}").status != "pending":  # a crash cut its leaving in two
            desk.append(SLOTS, slots.PipelineWithdrawn(task=id), flow=id)
            continue
        desk.append(SLOTS, slots.PipelineAdmitted(task=id), flow=id)
        start(floor, desk, id)


def leave(floor: Floor, desk: Desk, id: str) -> None:
    """Give the slot or the place in the line back, and let the next one in."""
    admission = desk.state(SLOTS)
    if id in admission.holders:
        desk.append(SLOTS, slots.PipelineReleased(task=id), flow=id)
        admit(floor, desk)
    elif admission.waits(id):
        desk.append(SLOTS, slots.PipelineWithdrawn(task=id), flow=id)


def start(floor: Floor, desk: Desk, id: str) -> None:
    """The pipeline holds a slot: it runs from now on."""
    desk.append(f"evt.task.{id}", task.PipelineStarted())
    go_on(floor, desk, id)


def go_on(floor: Floor, desk: Desk, id: str) -> None:
    """Request the phase that is next, unless one is under way or everything stands still."""
    subject = f"evt.task.{id}"
    state: Task = desk.state(subject)
    if state.status != "running" or state.assignment or desk.state(SLOTS).frozen:
        return
    if not state.phase:
        role = floor.workflows[state.workflow].phase(state.next_phase).role
        desk.append(subject, task.PhaseRequested(phase=state.next_phase, role=role, attempt=state.attempt + 1))
    assign(floor, desk, id)


def assign(floor: Floor, desk: Desk, id: str) -> None:
    """Give the requested phase to an agent, or let it wait for one."""
    subject = f"evt.task.{id}"
    state: Task = desk.state(subject)
    agent = floor.choose(state.role, desk.state(ROSTER).members)
    if not agent:
        floor.wait(state.role, id)
        return
    epoch = state.epoch + 1
    run_id = f"{id}-{epoch}"
    desk.append(subject, task.PhaseAssigned(phase=state.phase, agent=agent, run=run_id, epoch=epoch))
    floor.take(agent, run_id, id, desk.message.now_s)
    desk.append(f"evt.agent.{agent}", work_for(floor, desk, id), flow=id)
    arm_leases(floor, desk)


def work_for(floor: Floor, desk: Desk, id: str) -> WorkAssigned:
    """The assignment as the agent reads it."""
    state: Task = desk.state(f"evt.task.{id}")
    assert state.assignment is not None
    return WorkAssigned(
        run=state.assignment.run,
        task=id,
        phase=state.phase,
        role=state.role,
        text=state.text,
        attempt=state.attempt,
        lease_s=floor.lease_s,
        context=state.context,
        inputs=list(state.done),
    )


def staff(floor: Floor, desk: Desk, role: str) -> None:
    """Somebody of this role has room: give out what waits for one."""
    line = floor.waiting.get(role)
    if desk.state(SLOTS).frozen:
        return
    while line:
        if not floor.choose(role, desk.state(ROSTER).members):
            return
        id = line.popleft()
        state: Task = desk.state(f"evt.task.{id}")
        if state.status == "running" and state.waits_for_agent:
            assign(floor, desk, id)


def run_ended(
    floor: Floor, desk: Desk, message: Message, end: run.RunFinished | run.RunFailed | run.RunStopped
) -> None:
    """A run has come to its end: the current one moves its task on, a late one is refused."""
    _, _, agent, run_id = message.subject.split(".")
    subject = f"evt.task.{message.flow}"
    state: Task = desk.state(subject)
    assigned = state.assignment
    if assigned is None or (assigned.agent, assigned.run) != (agent, run_id):
        known = state.status == "absent" or desk.knows(subject, message.id)
        if not known and isinstance(end, run.RunFinished) and all(run_id != done.run for done in state.done):
            late = task.ResultRefused(agent=agent, run=run_id, reason="the work had been given to somebody else")
            desk.append(subject, late)
        return
    role = state.role
    floor.give_back(run_id)
    if isinstance(end, run.RunFinished):
        desk.append(subject, task.PhaseCompleted(phase=state.phase, agent=agent, run=run_id))
        _after_phase(floor, desk, message.flow)
    elif isinstance(end, run.RunFailed):
        _phase_failed(floor, desk, message.flow, end.reason)
    else:
        _lose(floor, desk, message.flow, end.reason)
    staff(floor, desk, role)


def _after_phase(floor: Floor, desk: Desk, id: str) -> None:
    subject = f"evt.task.{id}"
    state: Task = desk.state(subject)
    if not state.next_phase:
        desk.append(subject, task.TaskCompleted())
        leave(floor, desk, id)
    else:
        _go_on_or_rest(floor, desk, id)


def _go_on_or_rest(floor: Floor, desk: Desk, id: str) -> None:
    """What was under way is over: a paused pipeline gives its slot back, any other goes on."""
    if desk.state(f"evt.task.{id}").status == "paused":
        leave(floor, desk, id)
    else:
        go_on(floor, desk, id)


def _phase_failed(floor: Floor, desk: Desk, id: str, reason: str) -> None:
    subject = f"evt.task.{id}"
    state: Task = desk.state(subject)
    assert state.assignment is not None
    agent, run_id, phase = state.assignment.agent, state.assignment.run, state.phase
    desk.append(subject, task.PhaseFailed(phase=phase, agent=agent, run=run_id, reason=reason, attempt=state.attempt))
    if state.attempt >= floor.workflows[state.workflow].phase(phase).attempts_max:
        desk.append(subject, task.TaskFailed(reason=f"{phase} failed {state.attempt} times: {reason}"))
        leave(floor, desk, id)
    else:
        _go_on_or_rest(floor, desk, id)


def _lose(floor: Floor, desk: Desk, id: str, reason: str) -> None:
    """The assignment is gone, the phase is not: somebody else takes it, once the pipeline is not paused."""
    subject = f"evt.task.{id}"
    state: Task = desk.state(subject)
    assert state.assignment is not None
    agent, run_id = state.assignment.agent, state.assignment.run
    desk.append(subject, task.AssignmentLost(phase=state.phase, agent=agent, run=run_id, reason=reason))
    _go_on_or_rest(floor, desk, id)


def revoke(floor: Floor, desk: Desk, state: Task, reason: str) -> None:
    """Tell the agent to stop; whatever it still sends is refused, because the run is not the current one any more."""
    if state.assignment:
        floor.give_back(state.assignment.run)
        revoked = WorkRevoked(run=state.assignment.run, reason=reason)
        desk.append(f"evt.agent.{state.assignment.agent}", revoked)


def pause(floor: Floor, desk: Desk, id: str, order: str, reason: str) -> None:
    """The current phase ends, no other begins; without one under way the slot is free at once."""
    subject = f"evt.task.{id}"
    state: Task = desk.state(subject)
    if (state.status, task.PipelinePaused) not in TRANSITIONS or desk.knows(subject, desk.message.id):
        return
    desk.append(subject, task.PipelinePaused(order=order, reason=reason))
    if state.assignment is None:
        floor.stop_waiting(state.role, id)
        leave(floor, desk, id)


def resume(floor: Floor, desk: Desk, id: str, order: str, reason: str) -> None:
    """The next phase begins at once if there is a slot, and before all others if there is none."""
    subject = f"evt.task.{id}"
    state: Task = desk.state(subject)
    if (state.status, task.PipelineResumed) not in TRANSITIONS or desk.knows(subject, desk.message.id):
        return
    admitted = ask_for_slot(desk, id, RESUMED_FIRST)
    desk.append(subject, task.PipelineResumed(order=order, reason=reason))
    if admitted:
        start(floor, desk, id)


def arm_leases(floor: Floor, desk: Desk) -> None:
    """One timer for all leases, set only when none is: it is due when the first of them can be."""
    if not floor.armed and floor.deadlines:
        floor.armed = True
        desk.wake("orchestrator", "leases", min(floor.deadlines.values()) + 0.05, LeasesDue())


def leases_due(floor: Floor, desk: Desk) -> None:
    """Take the work of silent agents away and give it to others."""
    floor.armed = False
    for run_id in floor.expired(desk.message.now_s):
        id, agent = floor.task_of[run_id], floor.agent_of[run_id]
        floor.suspect(agent)
        revoke(floor, desk, desk.state(f"evt.task.{id}"), "the lease expired")
        _lose(floor, desk, id, f"{agent} was silent for {floor.lease_s:g} s")
    arm_leases(floor, desk)


def take_up(floor: Floor, desk: Desk, id: str) -> None:
    """After a start: put a slot's holder back on the floor, or finish the step that a crash interrupted."""
    state: Task = desk.state(f"evt.task.{id}")
    if state.closed or (state.status == "paused" and state.assignment is None):
        desk.append(SLOTS, slots.PipelineReleased(task=id), flow=id)
    elif state.status == "pending":
        start(floor, desk, id)
    elif state.assignment:
        agent, run_id = state.assignment.agent, state.assignment.run
        floor.take(agent, run_id, id, desk.message.now_s)
        if not _was_told(desk, id, agent, run_id):
            desk.append(f"evt.agent.{agent}", work_for(floor, desk, id), flow=id)
        arm_leases(floor, desk)
    else:
        go_on(floor, desk, id)


def _was_told(desk: Desk, id: str, agent: str, run_id: str) -> bool:
    """Whether the agent's queue has the assignment: it is written behind the task's own commit."""
    mark = f'"run":"{run_id}"'.encode()
    place = max(record.seq for record in desk.records(f"evt.task.{id}") if mark in record.body)
    return any(mark in record.body for record in desk.records(f"evt.agent.{agent}", place))
