"""Who does a phase: an agent of its role with room and a free territory, now or when there is one."""

from actors.desk import Desk
from actors.orchestrator import reviewing
from actors.orchestrator.floor import Floor
from actors.orchestrator.roster import SUBJECT as ROSTER
from actors.orchestrator.slots import SUBJECT as SLOTS
from actors.orchestrator.task import Task
from bus.messages import task
from bus.messages.agent import WorkAssigned, WorkRevoked
from bus.messages.timers import AgentDue, LeasesDue


def assign(floor: Floor, desk: Desk, id: str) -> bool:
    """Give the requested phase to an agent, or let it wait for one."""
    subject = f"evt.task.{id}"
    state: Task = desk.state(subject)
    agent = _agent_for(floor, desk, id, state)
    if not agent:
        floor.wait(state.role, id)
        if state.routed and state.routed.agent:
            _wait_for_named(floor, desk, id)
        return False
    epoch = state.epoch + 1
    desk.append(subject, task.PhaseAssigned(phase=state.phase, agent=agent, run=f"{id}-{epoch}", epoch=epoch))
    hand_out(floor, desk, id)
    return True


def hand_out(floor: Floor, desk: Desk, id: str) -> None:
    """The task's agent has been decided on: it is told, and busy from now on."""
    state: Task = desk.state(f"evt.task.{id}")
    assert state.assignment is not None
    agent, run_id = state.assignment.agent, state.assignment.run
    floor.named.pop(id, None)
    floor.take(agent, run_id, id, desk.message.now_s)
    if state.repo:
        floor.let_go(state.repo, id)
        floor.work_in(state.repo, run_id)
    desk.append(f"evt.agent.{agent}", work_for(floor, desk, id), flow=id)
    arm_leases(floor, desk)


def _wait_for_named(floor: Floor, desk: Desk, id: str) -> None:
    """One that was named is waited for as long as a lease lasts, and not once more for each look."""
    if id not in floor.named:
        at_s = floor.named[id] = desk.message.now_s + floor.lease_s
        desk.wake("orchestrator", f"agent-{id}", at_s, AgentDue(task=id))


def _agent_for(floor: Floor, desk: Desk, id: str, state: Task) -> str:
    """In a repository nobody overtakes a task that waits for a territory there, so none waits for ever."""
    members, avoid = desk.state(ROSTER).members, ""
    if state.trouble.attempts:
        recovery = state.trouble.recovery_of(state.phase)
        avoid = state.trouble.last_agent if recovery and recovery.tier == 2 else ""
    only = state.routed.agent if state.routed else ""
    if not state.repo:
        return floor.choose(state.role, members, avoid=avoid, only=only)
    if floor.next_in(state.repo) in ("", id):
        agent = floor.choose(state.role, members, state.repo, avoid, only=only)
        if agent or not floor.choose(state.role, members, only=only):
            return agent
    floor.hold_up(state.repo, id)
    return ""


def work_for(floor: Floor, desk: Desk, id: str) -> WorkAssigned:
    """The assignment as the agent reads it."""
    state: Task = desk.state(f"evt.task.{id}")
    assert state.assignment is not None
    if state.assignment.is_review:
        return reviewing.work_for(floor, id, state)
    recovery = state.trouble.recovery_of(state.phase) if state.trouble.attempts else None
    context, recovery = reviewing.with_advice(state, recovery) if state.advice else (state.context, recovery)
    return WorkAssigned(
        run=state.assignment.run,
        task=id,
        phase=state.phase,
        role=state.role,
        text=state.text,
        attempt=state.attempt,
        lease_s=floor.lease_s,
        context=context,
        inputs=list(state.done),
        recovery=recovery,
        produces=floor.plan(state.workflow, state.phase).produces,
        checklist=list(state.checklist),
    )


def staff(floor: Floor, desk: Desk, role: str) -> None:
    """Somebody of this role has room: give out what waits for one, first come first served."""
    line = floor.waiting.get(role)
    if not line or desk.state(SLOTS).frozen:
        return
    held_up = 0
    repos: dict[str, None] = {}
    while len(line) > held_up and floor.choose(role, desk.state(ROSTER).members):
        id = line[held_up]
        state: Task = desk.state(f"evt.task.{id}")
        if state.status == "running" and state.waits_for_agent and not assign(floor, desk, id):
            held_up += 1
            continue
        del line[held_up]
        if state.repo:
            repos[state.repo] = None
    for repo in repos:
        _let_in(floor, desk, repo)


def freed(floor: Floor, desk: Desk, role: str, repo: str) -> None:
    """A run is over, or a task waits no longer: its territory first, then its agent."""
    if repo:
        _let_in(floor, desk, repo)
    staff(floor, desk, role)


def let_all_in(floor: Floor, desk: Desk) -> None:
    for repo in list(floor.held_up):
        _let_in(floor, desk, repo)


def _let_in(floor: Floor, desk: Desk, repo: str) -> None:
    """Those who wait for a territory, in their order."""
    if desk.state(SLOTS).frozen:
        return
    while id := floor.next_in(repo):
        state: Task = desk.state(f"evt.task.{id}")
        if state.status == "running" and state.waits_for_agent and not assign(floor, desk, id):
            return
        floor.stop_waiting(state.role, id, repo)


def revoke(floor: Floor, desk: Desk, state: Task, reason: str) -> None:
    """Tell the agent to stop; whatever it still sends is refused, because the run is not the current one any more."""
    if state.assignment:
        floor.give_back(state.assignment.run)
        revoked = WorkRevoked(run=state.assignment.run, reason=reason)
        desk.append(f"evt.agent.{state.assignment.agent}", revoked)


def arm_leases(floor: Floor, desk: Desk) -> None:
    """One timer for all leases, set only when none is: it is due when the first of them can be."""
    if not floor.armed and floor.deadlines:
        floor.armed = True
        desk.wake("orchestrator", "leases", min(floor.deadlines.values()) + 0.05, LeasesDue())


def restore(floor: Floor, desk: Desk, id: str, state: Task) -> None:
    """After a start: the run goes on, and its agent is told if a crash kept that from it."""
    assert state.assignment is not None
    agent, run_id = state.assignment.agent, state.assignment.run
    floor.take(agent, run_id, id, desk.message.now_s)
    if state.repo:
        floor.work_in(state.repo, run_id)
    if not _was_told(desk, id, agent, run_id):
        desk.append(f"evt.agent.{agent}", work_for(floor, desk, id), flow=id)
    arm_leases(floor, desk)


def _was_told(desk: Desk, id: str, agent: str, run_id: str) -> bool:
    """Whether the agent's queue has the assignment: it is written behind the task's own commit."""
    mark = f'"run":"{run_id}"'.encode()
    place = max(record.seq for record in desk.records(f"evt.task.{id}") if mark in record.body)
    return any(mark in record.body for record in desk.records(f"evt.agent.{agent}", place))
