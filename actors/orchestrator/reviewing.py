"""A look at a phase before it is done, by an architect: what it is told, and what becomes of what it says."""

from collections.abc import Mapping

import msgspec

from actors.desk import Desk
from actors.orchestrator.floor import Floor
from actors.orchestrator.roster import SUBJECT as ROSTER
from actors.orchestrator.task import Task
from actors.orchestrator.workflow import Workflow
from bus.messages.agent import WorkAssigned
from bus.messages.base import Pieces, Recovery
from bus.messages.routing import ReviewAssigned, ReviewEnded

PHASE = "review"
ADVICE_CHARS, HINT_CHARS, REASON_CHARS = 800, 2000, 500
SAID = "\n\nWhat was said:\n"
LOOK = (
    "Find out why the phase `{phase}` fails: read the logs of its runs and the files that it is about. Change nothing. "
    "Say in the summary of `finish` what whoever does it next must do differently, in a few sentences. If somebody "
    "else should do it, assign it; if only a person can decide, escalate it."
)


def produced(workflows: Mapping[str, Workflow], workflow: str, phase: str) -> str:
    """What a phase makes; a look at one is in no workflow and makes a review."""
    phases = workflows[workflow].phases if workflow in workflows else []
    return next((each.produces for each in phases if each.name == phase), PHASE)


def assigned(floor: Floor, desk: Desk, id: str) -> bool:
    """Whether somebody was given the look that is wanted. Nobody is waited for."""
    subject = f"evt.task.{id}"
    state: Task = desk.state(subject)
    members = desk.state(ROSTER).members
    if state.review is None or not floor.reviews:
        return False
    found = (floor.choose(role, members, state.repo, only=state.review.agent) for role in floor.architects)
    agent = next((each for each in found if each and each not in floor.suspects), "")
    if not agent:
        return False
    epoch = state.epoch + 1
    told = ReviewAssigned(
        phase=state.phase or state.next_phase,
        agent=agent,
        role=members[agent].role,
        run=f"{id}-{epoch}",
        epoch=epoch,
        because=state.review.because,
    )
    desk.append(subject, told)
    return True


def ended(state: Task, *, advice: str = "", reason: str = "") -> ReviewEnded:
    """How it ended; without a reason it ended well."""
    assert state.assignment is not None
    return ReviewEnded(
        phase=state.phase or state.next_phase,
        agent=state.assignment.agent,
        run=state.assignment.run,
        ok=not reason,
        advice=advice[:ADVICE_CHARS],
        reason=reason[:REASON_CHARS],
    )


def work_for(floor: Floor, id: str, state: Task) -> WorkAssigned:
    """The work as the architect reads it."""
    assert state.assignment is not None
    phase = state.phase or state.next_phase
    return WorkAssigned(
        run=state.assignment.run,
        task=id,
        phase=PHASE,
        role=state.assignment.role,
        text=state.text,
        lease_s=floor.lease_s,
        context={**state.context, "review": {"task_id": id, "phase": phase}},
        inputs=list(state.done),
        recovery=_trouble_of(state),
        produces=PHASE,
        checklist=list(state.checklist),
    )


def _trouble_of(state: Task) -> Recovery | None:
    """The last failure, and all that was tried before it."""
    if not state.trouble.attempts:
        return None
    last = state.trouble.attempts[-1]
    story = "\n".join(f"- {each}" for each in state.trouble.story(last.phase))
    hint = f"{LOOK.format(phase=last.phase)}{SAID}{last.error}\n\nWhat was tried so far:\n{story}"
    return Recovery(last.failure, PHASE, hint[:HINT_CHARS], last.error, last.tries, last.tier)


def with_advice(state: Task, recovery: Recovery | None) -> tuple[Pieces, Recovery | None]:
    """What was said goes behind what failed, as words that are not ours; or along with a task where nothing failed."""
    if recovery is None:
        return {**state.context, PHASE: state.advice}, None
    advice = f"\n\nThe review of it: {state.advice}"
    hint = recovery.hint[: HINT_CHARS - len(advice) - len(SAID)]
    return state.context, msgspec.structs.replace(recovery, hint=f"{hint}{'' if SAID in hint else SAID}{advice}")
