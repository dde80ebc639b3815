"""Who is named for a phase, by a person, an architect or the rules; and how a task is handed to a person."""

from actors.decider import Message
from actors.desk import Desk
from actors.orchestrator import advice, escalation, pipeline, reviewing, staffing
from actors.orchestrator.floor import Floor
from actors.orchestrator.roster import SUBJECT as ROSTER
from actors.orchestrator.roster import Member
from actors.orchestrator.routing import Facts, complexity, route, work_type_of
from actors.orchestrator.task import Task, refuse_unless
from bus.errors import Invalid, Refused
from bus.messages import task as said
from bus.messages.kinds import read_commit
from bus.messages.routing import AssignTask, EscalateTask, TaskRouted

ITSELF = "orchestrator"


def assign(floor: Floor, desk: Desk, message: Message, wish: AssignTask) -> None:
    """Name somebody for the phase that comes next; one that waits for an agent is given out anew."""
    subject = f"evt.task.{wish.task_id}"
    if desk.knows(subject, message.id):
        routed = _said_before(desk, subject, message.id)
    else:
        state: Task = desk.state(subject)
        refuse_unless(state, TaskRouted, "assign")
        routed = _routed(floor, desk, state, wish)
        _apply(floor, desk, wish.task_id, routed)
    told = {name: getattr(routed, name) for name in TaskRouted.__struct_fields__} if routed else {}
    desk.answer(task_id=wish.task_id, status=desk.state(subject).status, **told)


def _said_before(desk: Desk, subject: str, cause: str) -> TaskRouted | None:
    commits = (read_commit(record) for record in desk.records(subject))
    events = (event for commit in commits if commit.cause == cause for event in commit.events)
    return next((event for event in events if isinstance(event, TaskRouted)), None)


def _apply(floor: Floor, desk: Desk, id: str, routed: TaskRouted) -> None:
    subject = f"evt.task.{id}"
    state: Task = desk.state(subject)
    floor.named.pop(id, None)
    waits = state.status == "running" and state.waits_for_agent
    if waits:
        floor.stop_waiting(state.role, id, state.repo)
    desk.append(subject, routed)
    if waits:
        pipeline.go_on(floor, desk, id)
        staffing.freed(floor, desk, state.role, state.repo)


def _routed(floor: Floor, desk: Desk, state: Task, wish: AssignTask) -> TaskRouted:
    """The decision; whoever is named must exist."""
    if wish.auto == bool(wish.agent or wish.role):
        raise Invalid("an assignment names an agent or a role, or leaves it to the rules", "Say one of the three.")
    members: dict[str, Member] = desk.state(ROSTER).members
    phase = _phase_meant(state)
    own = floor.plan(state.workflow, phase).role
    role = members[wish.agent].role if wish.agent in members else wish.role
    if not wish.auto:
        _refuse_strangers(wish, members)
    routed = _decided(floor, members, state, own=own, role=role)
    review = routed.role in floor.architects and routed.role != own
    if review:
        _refuse_unless_reviewable(floor, state)
    reason = "; ".join(each for each in (wish.reason, routed.reason) if each)
    return TaskRouted(
        phase=phase,
        role=routed.role,
        agent=wish.agent,
        reason=reason[:2000],
        confidence=routed.confidence,
        complexity=routed.complexity,
        by=wish.by,
        review=review,
    )


def _phase_meant(state: Task) -> str:
    """The phase that nobody has begun; while the last one is under way, that one if it has to be done again."""
    begun = state.assignment is not None and not state.assignment.is_review
    left = state.phases[len(state.done) + begun :] or state.phases[-1:]
    return state.phase if state.phase and not begun else left[0]


def _refuse_strangers(wish: AssignTask, members: dict[str, Member]) -> None:
    roles = sorted({member.role for member in members.values()})
    if wish.agent and wish.agent not in members:
        raise Refused(f"there is no agent {wish.agent!r}", f"The agents are: {', '.join(sorted(members)) or 'none'}.")
    if wish.role and wish.role not in roles:
        raise Refused(f"there is no agent of the role {wish.role!r}", f"The roles are: {', '.join(roles) or 'none'}.")
    if wish.agent and wish.role not in ("", members[wish.agent].role):
        raise Refused(f"{wish.agent} is a {members[wish.agent].role}, not a {wish.role}", "Name the agent alone.")


def _decided(floor: Floor, members: dict[str, Member], state: Task, *, own: str, role: str) -> TaskRouted:
    """The role that was named, or the one that the rules name; how hard the task is, in both cases."""
    rules, failures = floor.rules, len(state.trouble.attempts)
    if rules is None:
        if not role:
            raise Refused("there are no rules here to decide by", "Name an agent or a role.")
        return TaskRouted(phase="", role=role)
    kind = work_type_of(state.text, role or own, rules.work_types)
    score = complexity(
        state.text,
        rules.weights,
        required_role=role or own,
        work_type=kind,
        priority=state.priority,
        failures=failures,
        steps=len(state.checklist),
    )
    if role:
        return TaskRouted(phase="", role=role, complexity=score.total)
    aside = [] if floor.reviews else [each for each in floor.architects if each != own]
    roles = sorted({member.role for member in members.values()} - set(aside))
    found = route(Facts(own, kind, failures), score, roles, rules)
    if not found.role:
        raise Refused(f"nobody can have it: {found.reason}", "See who is there with `witan query agents`.")
    return TaskRouted("", found.role, "", found.reason, found.confidence, score.total)


def _refuse_unless_reviewable(floor: Floor, state: Task) -> None:
    if not floor.reviews:
        raise Refused("a script thinks here, and an architect needs a model", "Name one of those who do the phase.")
    if state.assignment is not None and state.assignment.is_review:
        raise Refused("an architect looks at this task already", "Name one of those who do the phase.")


def agent_due(floor: Floor, desk: Desk, id: str) -> None:
    """The agent that was named has not come: anybody else of its role may have the phase."""
    state: Task = desk.state(f"evt.task.{id}")
    if floor.named.get(id, 0.0) > desk.message.now_s or state.routed is None or not state.routed.agent:
        return
    floor.named.pop(id, None)
    if state.status == "running" and state.waits_for_agent:
        reason = f"{state.routed.agent} did not take it within {floor.lease_s:g} s"
        role = state.routed.role
        complexity = _decided(floor, {}, state, own=role, role=role).complexity
        _apply(floor, desk, id, TaskRouted(state.phase, role, "", reason, 1.0, complexity, ITSELF))


def escalate(floor: Floor, desk: Desk, message: Message, wish: EscalateTask) -> None:
    """Nobody works on it any more, and a person is asked."""
    subject = f"evt.task.{wish.task_id}"
    if not desk.knows(subject, message.id):
        state: Task = desk.state(subject)
        refuse_unless(state, said.PersonAsked, "escalate")
        floor.stop_waiting(state.role, wish.task_id, state.repo)
        staffing.revoke(floor, desk, state, f"the task waits for a person: {wish.reason}"[:2000])
        asked = said.PersonAsked(
            phase=state.phase or state.next_phase,
            failure="escalated",
            question=wish.reason,
            urgency=wish.urgency,
            by=wish.by,
        )
        advice.call_off(desk, wish.task_id, state, "a person was asked")
        desk.append(subject, *_taken_away(state), *escalation.ended(state), asked)
        pipeline.leave(floor, desk, wish.task_id)
        staffing.freed(floor, desk, state.works_as, state.repo)
    desk.answer(task_id=wish.task_id, status=desk.state(subject).status)


def _taken_away(state: Task) -> list[said.TaskEvent]:
    reason = "a person is asked first"
    if state.assignment is None:
        return []
    if state.assignment.is_review:
        return [reviewing.ended(state, reason=reason)]
    agent, run = state.assignment.agent, state.assignment.run
    return [said.AssignmentLost(phase=state.phase, agent=agent, run=run, reason=reason)]
