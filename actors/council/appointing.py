"""Who sits: chosen from those who can be asked now, and what each of them is told."""

from collections.abc import Callable
from typing import Any

import msgspec

from actors.council.learning import Choice, Offered, Standings, choose
from actors.council.rules import Rules
from actors.council.sitting import Ask, Outcome, View, read_problem
from actors.council.words import member_words
from bus.messages.council import MembersChosen

TOKEN_BYTES, OWN_TOKENS = 3, 1500
"""How many bytes a token has at least in what is written about code, and what is said around a problem."""


def appoint(view: View, told: dict[str, Any], standings: Standings, rules: Rules) -> MembersChosen:
    """Members, judge and who is left out, by what the treasurer tells of those who can be asked."""
    left_micro = told.get("left_micro")
    choice = _choose(view, told, standings, rules, left_micro if isinstance(left_micro, int) else None)
    return MembersChosen(choice.members, choice.judge, choice.left_out, choice.note)


def why_nobody(view: View, told: dict[str, Any], standings: Standings, rules: Rules) -> Outcome:
    """Whether it is the money alone that is missing."""
    return "no_money" if _choose(view, told, standings, rules, None).members else "nobody"


def opinions_of(view: View, chosen: MembersChosen, fetch: Callable[[str], bytes]) -> list[Ask]:
    """What each member is asked; raises if the problem cannot be read."""
    assert view.trials.gathered is not None
    problem = read_problem(view.trials.gathered, fetch)
    return [Ask(each.id, "member", each.model, member_words(problem, each.persona), []) for each in chosen.members]


def _choose(view: View, told: dict[str, Any], standings: Standings, rules: Rules, left_micro: int | None) -> Choice:
    convened, gathered = view.council.convened, view.trials.gathered
    assert convened is not None and gathered is not None
    try:
        offered = msgspec.convert(told.get("models", []), list[Offered])
    except msgspec.ValidationError:
        offered = []
    return choose(
        offered,
        gathered.kind,
        convened.size,
        standings,
        seed=convened.seed,
        wanted=convened.wanted or rules.models,
        judge=rules.judge,
        left_micro=left_micro,
        insist=bool(convened.wanted),
        may_judge=rules.models,
        input_tokens=gathered.bytes // TOKEN_BYTES + OWN_TOKENS,
    )
