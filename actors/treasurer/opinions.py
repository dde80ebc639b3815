"""Opinions: exactly the model that a council names is asked, once, while there is time, and for the council's money."""

from typing import get_args

import msgspec

from actors.council.offers import Offered
from actors.council.problem import Words, read_words
from actors.desk import Desk
from actors.redaction import Redactor
from actors.treasurer.asking import Model, Prompt, Text, Turn
from actors.treasurer.bounds import Bounds
from actors.treasurer.budget import SUBJECT, Budget
from actors.treasurer.buying import Buyer
from actors.treasurer.call import Calls
from actors.treasurer.choosing import Chosen, Facts, Unable, choose
from actors.treasurer.families import family_of
from actors.treasurer.measure import estimate
from actors.treasurer.quoting import quoted
from actors.treasurer.wanted import Wanted, Worded
from bus.days import day_of
from bus.errors import Broken, Missing
from bus.messages.council import CouncilEvent, OpinionAsked

COUNCIL = "council"
"""Whose calls they are, what their money is for, and the type of the work."""
NOT_HEARD = tuple(each for each in get_args(CouncilEvent) if each is not OpinionAsked)


def wanted_for(subject: str, asked: OpinionAsked, flow: str) -> Wanted:
    """The one reply that is needed; `subject` is the council's, and `flow` its task."""
    run = f"{subject.rsplit('.', 1)[1]}-{asked.member}"
    calls = f"evt.call.{COUNCIL}.{run}"
    return Wanted(f"{calls}/1/0", calls, COUNCIL, run, flow, asked.purpose, 1, 0, COUNCIL, asked.until_s)


def ask(desk: Desk, buyer: Buyer, subject: str, wanted: Wanted, asked: OpinionAsked) -> None:
    """It is begun to be bought, or the council is told at once why there is none."""
    calls: Calls = desk.state(wanted.subject)
    if wanted.key in buyer.under_way:
        return
    if calls.has_begun(wanted.turn, wanted.again):
        buyer.lost(desk, wanted)
    elif desk.message.now_s >= asked.until_s:
        buyer.refuse(desk, wanted, "timeout", "the time for it was over before it could be asked")
    elif not (desk.message.fresh or desk.peek(subject).sits):  # what is heard in time need not be looked up
        buyer.refuse(desk, wanted, "timeout", "the council was over before it could be asked")
    elif (words := _words(desk, asked)) is None:
        buyer.refuse(desk, wanted, "help", "what it was to be asked cannot be read any more")
    elif _buy(desk, buyer, wanted, asked, words):
        desk.open(wanted.key)


def offers(desk: Desk, buyer: Buyer | None) -> dict[str, object]:
    """Who can be asked for an opinion now, and how much a council may still spend today."""
    budget: Budget = desk.state(SUBJECT)
    cuts = budget.cuts("", day_of(desk.message.now_s), COUNCIL)
    left = min(cap - taken for scope, _, taken, cap in cuts if scope != "task")
    return {"models": _offered(desk, buyer) if buyer else [], "left_micro": max(left, 0)}


def prompt_of(words: Words, model: Model, redactor: Redactor) -> Prompt:
    """What is asked for is ours; all the rest is quoted with its source, and neither holds a secret."""
    texts = tuple(Text(redactor.text(part.text), part.source) for part in words.parts)
    return Prompt(
        model=model.name,
        system=redactor.text(words.system),
        turns=(Turn("user", texts),),
        tools=(),
        output_max_tokens=min(words.output_max_tokens, model.output_max_tokens),
        context_max_tokens=model.context_max_tokens,
        json_schema=words.schema or None,
    )


def _offered(desk: Desk, buyer: Buyer) -> list[Offered]:
    offered: list[Offered] = []
    for each in buyer.candidates(desk):
        found = choose([each], Facts(COUNCIL, work_type=COUNCIL, tools=False), buyer.presets)
        if isinstance(found, Unable) and not found.rests:
            continue
        model, prices = each.model, each.price or (0, 0)
        sizes = model.context_max_tokens, model.output_max_tokens
        offered.append(Offered(each.name, family_of(each.name), model.local, each.rests, *prices, *sizes))
    return offered


def _words(desk: Desk, asked: OpinionAsked) -> Words | None:
    try:
        return read_words(desk.blob(asked.words))
    except (Broken, Missing, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _buy(desk: Desk, buyer: Buyer, wanted: Wanted, asked: OpinionAsked, words: Words) -> bool:
    """False: nothing is begun, and the council has been told why."""
    named = [each for each in buyer.candidates(desk) if each.name == asked.model]
    tokens = estimate(words.system) + sum(estimate(quoted(Text(each.text, each.source))) for each in words.parts)
    facts = Facts(asked.purpose, work_type=COUNCIL, tools=False, prompt_tokens=tokens)
    chosen = choose(named, facts, buyer.presets, buyer.surveyed.standings)
    if isinstance(chosen, Unable):
        return buyer.nobody(desk, wanted, chosen._replace(reason=f"{asked.model} was to be asked: {chosen.reason}"))

    def worded(model: Model, chosen: Chosen) -> Worded:
        prompt = prompt_of(words, model, buyer.redactor)
        room = min(prompt.output_max_tokens, model.context_max_tokens - tokens)
        prompt = prompt._replace(effort=chosen.effort, output_max_tokens=room)
        return Worded(prompt, min(Bounds().of(model.provider, prompt), model.context_max_tokens))

    reason = f"{asked.model}: {wanted.run} of the council asks for it as {asked.purpose}"
    return buyer.buy_of(desk, wanted, chosen._replace(reason=reason), worded)
