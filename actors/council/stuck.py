"""What the log knows of a task that is stuck: where, why, what was tried, and whose territory a solution may change."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from actors.agent.team import Team
from actors.council.problem import Brief
from actors.orchestrator import task as tasks
from actors.orchestrator.task import Task
from actors.orchestrator.trouble import COUNCIL_TIER
from actors.recovery import STRATEGIES, classified
from bus.envelope import Record
from bus.messages import routing
from bus.messages import task as said
from bus.messages.kinds import read_commit

CONSTRAINT_CHARS = 2000
CONSTRAINTS_MAX = 50


class Stuck(NamedTuple):
    """A task and the failure that a council is asked about. `agent` and `run` are the ones that failed last;
    where none has, the last that worked on it."""

    state: Task
    roles: dict[str, str]
    """By phase: who does it."""
    phase: str = ""
    failure: str = ""
    reason: str = ""
    error: str = ""
    agent: str = ""
    run: str = ""


def look_at(records: Sequence[Record], council: str = "") -> Stuck:
    """The failure that this council was asked about, or without a name what a person is asked about now."""
    state, roles = Task(), dict[str, str]()
    asked: said.CouncilAsked | said.PersonAsked | None = None
    failed: dict[str, said.PhaseFailed] = {}
    agent = run = ""
    for event in (event for record in records for event in read_commit(record).events):
        state = tasks.evolve(state, event)
        match event:
            case said.PhaseRequested() | routing.TaskRouted():
                roles[event.phase] = event.role
            case said.PhaseAssigned():
                agent, run = event.agent, event.run
            case said.PhaseFailed():
                failed[event.phase] = event
            case said.CouncilAsked() if council and event.council == council:
                asked = event
            case said.PersonAsked() if not council:
                asked = event
            case _:
                pass
    if asked is None:
        return Stuck(state, roles)
    phase = asked.phase or state.next_phase
    last = failed.get(phase)
    reason = asked.question if isinstance(asked, said.PersonAsked) else asked.reason
    if last is None:
        return Stuck(state, roles, phase, asked.failure, reason, reason, agent, run)
    return Stuck(state, roles, phase, asked.failure, reason, last.reason, last.agent, last.run)


def brief_of(stuck: Stuck, team: Team, blamed: Callable[[str, str], str]) -> Brief:
    """All of it for whoever gathers the problem."""
    state, phase = stuck.state, _mended(stuck, blamed)
    doer = next((done.agent for done in state.done if done.phase == phase), stuck.agent)
    return Brief(
        task=state.text,
        phase=stuck.phase,
        failure=stuck.failure,
        error=stuck.error,
        attempts=state.trouble.story(stuck.phase),
        constraints=_constraints(state),
        agent=stuck.agent,
        run=stuck.run,
        territory=team.territory(doer, stuck.roles.get(phase, "")),
        repo=state.repo,
        base=state.base,
    )


def _mended(stuck: Stuck, blamed: Callable[[str, str], str]) -> str:
    """The phase that is done once more with the solution, as the orchestrator will have it."""
    try:
        earlier = blamed(stuck.state.workflow, stuck.phase)
    except (KeyError, StopIteration):
        return stuck.phase  # the files do not know the workflow any more
    strategy = STRATEGIES.get(classified(stuck.failure).failure)
    to_blame = strategy is not None and strategy.reopens_tier <= COUNCIL_TIER
    return earlier if to_blame and any(done.phase == earlier for done in stuck.state.done) else stuck.phase


def _constraints(state: Task) -> list[str]:
    context = [f"{name}: {msgspec.json.encode(value).decode()}" for name, value in state.context.items()]
    return [each[:CONSTRAINT_CHARS] for each in (*state.checklist, *context)][:CONSTRAINTS_MAX]
