"""How a council comes about: the orchestrator names one for a phase that waits for it, a person calls one by hand."""

from collections.abc import Callable
from itertools import count
from typing import NamedTuple

import msgspec

from actors.agent.team import Team
from actors.council.rules import Rules
from actors.council.state import Council
from actors.council.stuck import Stuck, brief_of, look_at
from actors.decider import Hold
from actors.desk import Desk
from bus.blobs import sha256
from bus.errors import Missing, Refused
from bus.messages.council import Convene, CouncilConvened, CouncilEnded

GUARDIAN = "evt.guardian.main"
REASON_CHARS = 2000
NOT_WANTED = "the settings say that no council is asked"


class Ways(NamedTuple):
    """How this council is held, and what the files say of the team."""

    rules: Rules
    team: Team
    blamed: Callable[[str, str], str]


def convene(desk: Desk, wish: Convene, ways: Ways) -> str:
    """The council that sits from now on; empty: this name was convened before, or there is none by the settings."""
    return _by_name(desk, wish, wish.council, ways) if wish.council else _by_hand(desk, wish, ways)


def _by_name(desk: Desk, wish: Convene, id: str, ways: Ways) -> str:
    council: Council = desk.state(f"evt.council.{id}")
    if council.convened is not None:
        _answer(desk, id, council, repeated=True)
        return ""
    if desk.state(GUARDIAN).frozen:
        raise Hold
    stuck = _look_at(desk, wish.task_id, id)
    if stuck.state.trouble.council != id or stuck.state.closed:
        raise Refused(f"the task {wish.task_id} does not wait for the council {id}", "See `witan status`.")
    return _begin(desk, id, _convened(desk, wish, stuck, ways), ways)


def _by_hand(desk: Desk, wish: Convene, ways: Ways) -> str:
    task = wish.task_id
    stuck = _look_at(desk, task)
    if stuck.state.status == "absent":
        raise Missing(f"there is no task {task}")
    for number in count(1):
        id = f"{task}-c{stuck.state.epoch}-h{number}"
        council: Council = desk.state(f"evt.council.{id}")
        if council.convened is None:
            break
        if desk.knows(f"evt.council.{id}", desk.message.id):
            _answer(desk, id, council, repeated=True)
            return ""
        if council.sits:
            raise Refused(f"the council {id} sits on it already", f"See `witan council show {id}`.")
    if desk.state(GUARDIAN).frozen:
        raise Refused("everything is frozen", "Thaw it with `witan guardian thaw`, then say it again.")
    if not ways.rules.enabled:
        raise Refused(
            NOT_WANTED, "Set `council_enabled = true` in witan.toml, and no `script`: a council is of models."
        )
    if stuck.state.status != "waiting" or not stuck.phase:
        raise Refused(
            f"the task is {stuck.state.status}, and a council helps one that waits for a person",
            f"What it has made: `witan show {task}`. Nobody works on it any more."
            if stuck.state.closed
            else f'Wait until it does, or stop it with `witan escalate {task} --reason "…"` and say it again.',
        )
    if not stuck.run:
        raise Refused("nobody has worked on the task yet", f"Let it begin: `witan reset {task}`.")
    return _begin(desk, id, _convened(desk, wish, stuck, ways, by_hand=True), ways)


def _look_at(desk: Desk, task: str, council: str = "") -> Stuck:
    return look_at(desk.records(f"evt.task.{task}"), council)


def _convened(desk: Desk, wish: Convene, stuck: Stuck, ways: Ways, by_hand: bool = False) -> CouncilConvened:
    rules = ways.rules
    return CouncilConvened(
        task=wish.task_id,
        phase=stuck.phase,
        failure=stuck.failure,
        reason=(wish.reason or stuck.reason)[:REASON_CHARS],
        brief=desk.note(msgspec.json.encode(brief_of(stuck, ways.team, ways.blamed))),
        run=stuck.run,
        agent=stuck.agent,
        until_s=desk.message.now_s + rules.limit_s,
        seed=int(sha256(f"{wish.task_id} {stuck.state.epoch} {desk.message.id}".encode())[:12], 16),
        size=wish.size or rules.size,
        strategy=wish.strategy or rules.strategy or None,
        wanted=wish.members,
        by_hand=by_hand,
    )


def _begin(desk: Desk, id: str, convened: CouncilConvened, ways: Ways) -> str:
    subject = f"evt.council.{id}"
    desk.append(subject, convened, flow=convened.task)
    if not ways.rules.enabled:
        told = CouncilEnded("nobody", convened.task, convened.phase, convened.failure, NOT_WANTED)
        desk.append(subject, told, flow=convened.task)
    _answer(desk, id, desk.state(subject))
    return id if ways.rules.enabled else ""


def _answer(desk: Desk, id: str, council: Council, *, repeated: bool = False) -> None:
    assert council.convened is not None
    outcome = council.ended.outcome if council.ended else ""
    desk.answer(council=id, until_s=council.convened.until_s, outcome=outcome)
    if repeated:
        desk.answer(repeated=True)
