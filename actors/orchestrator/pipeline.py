"""How a pipeline moves: a slot, a phase, an agent, the next phase, the end."""

from actors.decider import Message
from actors.desk import Desk
from actors.orchestrator import advice, escalation, lacking, reviewing, staffing
from actors.orchestrator.floor import Floor
from actors.orchestrator.slots import SUBJECT as SLOTS
from actors.orchestrator.task import TRANSITIONS, Task
from actors.recovery import classified
from bus.messages import run, slots, task
from bus.messages.council import CouncilEnded
from bus.messages.timers import RecoveryDue

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
    """Request the phase that is next, unless one is under way, or it is too early, or everything stands still."""
    subject = f"evt.task.{id}"
    state: Task = desk.state(subject)
    if state.status != "running" or state.assignment or desk.state(SLOTS).frozen:
        return
    if state.trouble.council:
        advice.ask(desk, id, state)
    elif not state.phase and state.trouble.not_before_s > desk.message.now_s:
        desk.wake("orchestrator", f"recovery-{id}", state.trouble.not_before_s, RecoveryDue(task=id))
    elif state.review and reviewing.assigned(floor, desk, id):
        staffing.hand_out(floor, desk, id)
    elif question := lacking.asked_for(floor, id, state):
        desk.append(subject, question)
        leave(floor, desk, id)
    else:
        if phase := "" if state.phase else state.next_phase:
            attempt = (state.attempt or state.trouble.requests.get(phase, 0)) + 1
            role = state.routed.role if state.routed else floor.plan(state.workflow, phase).role
            desk.append(subject, task.PhaseRequested(phase=phase, role=role, attempt=attempt))
        staffing.assign(floor, desk, id)


def recovery_due(floor: Floor, desk: Desk, id: str) -> None:
    """The pause before another try is over."""
    if not desk.state(f"evt.task.{id}").phase:
        go_on(floor, desk, id)


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
    role = state.works_as
    floor.give_back(run_id)
    if assigned.is_review:
        told = {"advice": end.summary} if isinstance(end, run.RunFinished) else {"reason": end.reason or "it ended"}
        desk.append(subject, reviewing.ended(state, **told))
        _go_on_or_rest(floor, desk, message.flow)
    elif isinstance(end, run.RunFinished):
        desk.append(subject, task.PhaseCompleted(phase=state.phase, agent=agent, run=run_id))
        if state.trouble.attempts:
            desk.append(subject, *escalation.ended(state, state.phase, ok=True))
            advice.close_cases(desk, state, state.phase, ok=True)
        _after_phase(floor, desk, message.flow)
    elif isinstance(end, run.RunFailed):
        _fail(floor, desk, message.flow, end)
        _go_on_or_rest(floor, desk, message.flow)
    else:
        _lose(floor, desk, message.flow, end.reason)
        _go_on_or_rest(floor, desk, message.flow)
    staffing.freed(floor, desk, role, state.repo)


def _after_phase(floor: Floor, desk: Desk, id: str) -> None:
    subject = f"evt.task.{id}"
    state: Task = desk.state(subject)
    if not state.next_phase:
        desk.append(subject, task.TaskCompleted())
        leave(floor, desk, id)
    else:
        _go_on_or_rest(floor, desk, id)


def _go_on_or_rest(floor: Floor, desk: Desk, id: str) -> None:
    """What was under way is over: a pipeline that is paused or waits gives its slot back, any other goes on."""
    if desk.state(f"evt.task.{id}").status in ("paused", "waiting"):
        leave(floor, desk, id)
    else:
        go_on(floor, desk, id)


def _fail(floor: Floor, desk: Desk, id: str, end: run.RunFailed) -> None:
    subject = f"evt.task.{id}"
    state: Task = desk.state(subject)
    plan, found = floor.plan(state.workflow, state.phase), classified(end.failure, end.reason)
    council = advice.council_of(floor, id, state)
    events = escalation.phase_failed(state, plan, found, end.reason, now_s=desk.message.now_s, council=council)
    desk.append(subject, *events)
    advice.close_cases(desk, state, state.phase, ok=False)


def _lose(floor: Floor, desk: Desk, id: str, reason: str) -> None:
    """The assignment is gone, the phase is not: somebody else takes it, unless that has happened too often."""
    subject = f"evt.task.{id}"
    state: Task = desk.state(subject)
    assert state.assignment is not None
    if state.assignment.is_review:
        desk.append(subject, reviewing.ended(state, reason=reason))
    elif state.trouble.losses + 1 >= escalation.LOSSES_MAX:
        _fail(floor, desk, id, run.RunFailed(reason=reason, failure="lost"))
    else:
        agent, run_id = state.assignment.agent, state.assignment.run
        desk.append(subject, task.AssignmentLost(phase=state.phase, agent=agent, run=run_id, reason=reason))


def council_ended(floor: Floor, desk: Desk, message: Message, ended: CouncilEnded) -> None:
    """A council that the task waits for, or that a person asked about it meanwhile: its answer, or a person's."""
    council, subject = message.subject.rsplit(".", 1)[1], f"evt.task.{ended.task}"
    state: Task = desk.state(subject)
    by_hand = state.status == "waiting" and council.startswith(f"{ended.task}-c{state.epoch}-")
    awaited = not state.closed and state.trouble.council == council
    if desk.knows(subject, message.id) or not (awaited or (by_hand and ended.solution)):
        return
    heard = task.CouncilAnswered(council=council, phase=ended.phase, outcome=ended.outcome, solution=ended.solution)
    if not ended.solution:
        question = f"{ended.phase} failed ({ended.failure}), and the council could not help: {ended.reason}"[:2000]
        asked = task.PersonAsked(phase=ended.phase, failure=ended.failure, question=question)
        desk.append(subject, heard, asked)
        leave(floor, desk, ended.task)
        return
    admitted = by_hand and ask_for_slot(desk, ended.task, RESUMED_FIRST)
    desk.append(subject, heard, *escalation.advised(state, floor.plan(state.workflow, ended.phase), ended))
    if admitted:
        start(floor, desk, ended.task)
    else:
        go_on(floor, desk, ended.task)


def pause(floor: Floor, desk: Desk, id: str, order: str, reason: str) -> None:
    """The current phase ends, no other begins; without one under way the slot is free at once."""
    subject = f"evt.task.{id}"
    state: Task = desk.state(subject)
    if (state.status, task.PipelinePaused) not in TRANSITIONS or desk.knows(subject, desk.message.id):
        return
    desk.append(subject, task.PipelinePaused(order=order, reason=reason))
    if state.assignment is None:
        floor.stop_waiting(state.role, id, state.repo)
        leave(floor, desk, id)
        staffing.freed(floor, desk, state.role, state.repo)


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


def leases_due(floor: Floor, desk: Desk) -> None:
    """Take the work of silent agents away and give it to others.

    In a repository one run at a time: a crash may cut between two tasks, and a territory must be free on the log before
    somebody else gets it.
    """
    floor.armed = False
    lost: dict[str, Task] = {}
    repos: set[str] = set()
    for run_id in floor.expired(desk.message.now_s):
        id, agent = floor.task_of[run_id], floor.agent_of[run_id]
        state: Task = desk.state(f"evt.task.{id}")
        if state.repo in repos:
            continue
        repos |= {state.repo} - {""}
        lost[id] = state
        floor.suspect(agent)
        staffing.revoke(floor, desk, state, "the lease expired")
        _lose(floor, desk, id, f"{agent} was silent for {floor.lease_s:g} s")
    for id, state in lost.items():
        _go_on_or_rest(floor, desk, id)
        staffing.freed(floor, desk, state.works_as, state.repo)
    staffing.arm_leases(floor, desk)


def take_up(floor: Floor, desk: Desk, ids: list[str]) -> None:
    """After a start: put the slots' holders back on the floor, and finish the steps that a crash interrupted."""
    states: dict[str, Task] = {id: desk.state(f"evt.task.{id}") for id in ids}
    for id, state in states.items():
        if state.assignment and not state.closed:
            staffing.restore(floor, desk, id, state)
    for id, state in states.items():
        if state.closed or state.status == "waiting" or (state.status == "paused" and state.assignment is None):
            desk.append(SLOTS, slots.PipelineReleased(task=id), flow=id)
        elif state.status == "pending":
            start(floor, desk, id)
        elif not state.assignment:
            go_on(floor, desk, id)
