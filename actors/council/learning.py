"""Who is asked: those who are likeliest to solve what the others do not, for their price, and now and then to learn."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from actors.council.odds import drawn
from actors.council.offers import OUTPUT_TOKENS, Offered, barred, missing, named, unbarred, usd
from actors.council.standings import Case, Record, Standings, Together
from actors.council.words import PERSONAS
from bus.messages.council import LeftOut, Member, Size

__all__ = ["Case", "Choice", "Offered", "Standings", "choose"]
SIZES: dict[Size, int] = {"minimal": 2, "standard": 3, "full": 5}
WORTH_MICRO = 1_000_000
"""What a solved problem is worth: nobody is asked for more than it adds to the chance of that."""
GAIN_MIN = 0.02
"""Who adds less than this to the chance is not asked, even for nothing."""
INPUT_TOKENS = 8000
JUDGE_INPUT_TOKENS, JUDGE_OUTPUT_TOKENS = 5000, 800
ALONE_CASES = 6.0
"""Before it was seen beside the others, a model's own record counts as so many cases."""
LEFT_OUT_MAX = 50


class Choice(NamedTuple):
    """Without any member, the note says why."""

    members: list[Member]
    judge: str
    left_out: list[LeftOut]
    note: str


class _Ground(NamedTuple):
    """What the choice is made from: `pool` may sit, `bench` may judge; members avoid `shared`, the wished judge's."""

    pool: list[Offered]
    together: Together
    record: Callable[[str], Record]
    cost: Callable[[Offered], int]
    most: int
    left_micro: int | None
    shared: frozenset[str]
    insist: bool
    bench: list[Offered]


class _Picked(NamedTuple):
    """`worth` has what each of the others would add to the chance."""

    chosen: list[Offered]
    adds: dict[str, float]
    micro: int


def choose(
    offered: Sequence[Offered],
    kind: str,
    size: Size,
    standings: Standings,
    *,
    seed: int,
    wanted: Sequence[str] = (),
    judge: str = "",
    left_micro: int | None = None,
    insist: bool = False,
    may_judge: Sequence[str] | None = None,
    input_tokens: int = INPUT_TOKENS,
) -> Choice:
    """Members, judge, and why the others are left out; the same for the same seed, in whatever order they are offered.

    `wanted` names who may be asked, `may_judge` who may judge, also by glob, provider or family; with `insist` all are.
    """
    known = sorted({each.model: each for each in offered}.values(), key=lambda each: each.model)
    out, pool = barred(known, wanted, input_tokens), unbarred(known, wanted, input_tokens)
    judges = [each for each in known if judge and named(each, judge) and not each.rests]
    ground = _Ground(
        pool,
        standings.together(kind, [each.model for each in pool]),
        lambda model: standings.record(model, kind),
        lambda each: each.micro(input_tokens, min(OUTPUT_TOKENS, each.output_max_tokens)),
        SIZES[size],
        left_micro,
        frozenset(each.family for each in judges),
        insist,
        [*pool, *unbarred(known, wanted if may_judge is None else may_judge, input_tokens)],
    )
    picked, explored = _seated(ground, seed)
    out |= {each.model: _why(each, picked, ground) for each in pool if each not in picked.chosen}
    members = _members(picked.chosen, ground, explored)
    judging, said = _judge(judges, members, ground, picked.micro)
    more = f"{len(out) - LEFT_OUT_MAX} more are left out" if len(out) > LEFT_OUT_MAX else ""
    notes = (missing(known, wanted) if insist else "", _note(members, known, pool), said if members else "", more)
    left_out = [LeftOut(*each) for each in sorted(out.items())[:LEFT_OUT_MAX]]
    return Choice(members, judging, left_out, "; ".join(note for note in notes if note))


def _seated(ground: _Ground, seed: int) -> tuple[_Picked, list[Offered]]:
    """Who is picked, and who among them only to learn."""
    picked = _pick(ground, lambda model, record: max(record.mean, _drawn(seed, model, record)))
    usual = _pick(ground, lambda _, record: record.mean).chosen
    return picked, [each for each in picked.chosen if each not in usual]


@lru_cache(maxsize=1000)
def _drawn(seed: int, model: str, record: Record) -> float:
    """A chance as likely as its record makes it (Thompson); the same again for the same seed, model and record."""
    return drawn(f"{seed}/{model}", record.a, record.b)


def _pick(ground: _Ground, chance: Callable[[str, Record], float]) -> _Picked:
    """One after the other, whoever adds most for its price to the chance that at least one solves it."""
    chosen: list[Offered] = []
    adds: dict[str, float] = {}
    nobody, micro = 1.0, 0
    while True:
        others = [each for each in ground.pool if each not in chosen]
        records = _records(others, chosen, ground)
        adds = {model: nobody * chance(model, record) for model, record in records.items()}
        best = _best(others, adds, ground, chosen, micro) if len(chosen) < ground.most else None
        if best is None:
            return _Picked(chosen, adds, micro)
        nobody *= 1 - records[best.model].mean
        micro += ground.cost(best)
        chosen.append(best)


def _records(others: Sequence[Offered], chosen: Sequence[Offered], ground: _Ground) -> dict[str, Record]:
    """The records of models where all of the chosen failed; so far as that was never seen, their own."""
    besides = ground.together.besides([each.model for each in chosen])
    records = {each.model: ground.record(each.model) for each in others}
    for model in besides.keys() & records.keys():
        alone, (wins, losses) = records[model].mean, besides[model]
        records[model] = Record(wins + ALONE_CASES * alone, losses + ALONE_CASES * (1 - alone))
    return records


def _best(
    others: Sequence[Offered], adds: dict[str, float], ground: _Ground, chosen: Sequence[Offered], micro: int
) -> Offered | None:
    """The first is asked even if it promises little: a council was asked for. A family has its second when all others
    that can be paid for are there: its blind spots are likely the same."""
    gains = {each.model: adds[each.model] * WORTH_MICRO - ground.cost(each) for each in others}
    paid = [each for each in others if ground.left_micro is None or micro + ground.cost(each) <= ground.left_micro]
    taken = {each.family for each in chosen} | ground.shared
    fresh = [each for each in paid if each.family not in taken]
    able = fresh or paid
    if chosen and not ground.insist:
        able = [each for each in able if adds[each.model] >= GAIN_MIN and gains[each.model] > 0]
    return max(able, key=lambda each: (gains[each.model], each.model), default=None)


def _members(chosen: Sequence[Offered], ground: _Ground, explored: Sequence[Offered]) -> list[Member]:
    """A local model that is alone plays several parts."""
    if len(ground.pool) == 1 and len(chosen) == 1 and chosen[0].local:
        parts = [(chosen[0], persona) for persona in PERSONAS[: ground.most]]
    else:
        parts = [(each, "") for each in chosen]
    return [
        Member(
            id=f"m{number}",
            model=each.model,
            family=each.family,
            persona=persona,
            expected=round(ground.record(each.model).mean, 4),
            micro=ground.cost(each),
            explored=each in explored,
        )
        for number, (each, persona) in enumerate(parts, 1)
    ]


def _judge(wished: Sequence[Offered], members: Sequence[Member], ground: _Ground, spent_micro: int) -> tuple[str, str]:
    """Of no member's family if there is such a one; else as wished, then who solves most itself, then the cheapest."""
    families, asked = {each.family for each in members}, {each.model for each in members}

    def price(each: Offered) -> int:
        return each.micro(JUDGE_INPUT_TOKENS, min(JUDGE_OUTPUT_TOKENS, each.output_max_tokens))

    def rank(each: Offered) -> tuple[object, ...]:
        skill = -round(ground.record(each.model).mean, 6)
        return each.family in families, each not in wished, each.model in asked, skill, price(each), each.model

    cap = ground.left_micro
    able = {each.model: each for each in (*ground.bench, *wished) if cap is None or spent_micro + price(each) <= cap}
    if not members or not able:
        return "", "there is no money for a judge"
    best = min(able.values(), key=rank)
    if best.family in families:
        return best.model, f"{best.model} judges its own family, because there is no other"
    if wished and best not in wished:
        return best.model, f"{best.model} judges, because {wished[0].model} is of a member's family"
    return best.model, ""


def _why(offered: Offered, picked: _Picked, ground: _Ground) -> str:
    """Why a model that could be asked is not, in one clause."""
    cost, adds = ground.cost(offered), picked.adds[offered.model]
    if ground.left_micro is not None and picked.micro + cost > ground.left_micro:
        return f"it costs about {usd(cost)}, and {usd(ground.left_micro - picked.micro)} is left"
    if not ground.insist and adds < GAIN_MIN:
        return "it is not expected to solve what those who are asked do not"
    if not ground.insist and adds * WORTH_MICRO <= cost:
        return f"it costs about {usd(cost)}, too much for {adds:.0%} more chance"
    if offered.family in {each.family for each in picked.chosen}:
        return "another of its family is asked"
    return f"there is room for {ground.most}, and the others promise more for their price"


def _note(members: Sequence[Member], known: Sequence[Offered], pool: Sequence[Offered]) -> str:
    if not members:
        if not known:
            return "there is no model that can be asked"
        return "no model that may be asked can be asked now" if not pool else "there is no money for any member"
    if members[0].persona:
        return f"only {members[0].model} can be asked, so it plays {len(members)} parts"
    return f"only {members[0].model} is asked" if len(members) == 1 else ""
