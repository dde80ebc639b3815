"""Opinions in bad times: crashes behind every commit, and twenty councils that want more than there is."""

import random

import pytest

from actors.treasurer.budget import SUBJECT
from bus.messages import budget, call
from bus.messages.call import Usage
from tests.money_ground import charged, over_a_cap
from tests.opinion_ground import CLAUDE, GPT, PLENTY, QWEN, Counter, Opinion


def settle_all(counter: Counter, opinions: list[Opinion], luck: random.Random) -> None:
    """Whatever is under way comes to some end."""
    for opinion in luck.sample(opinions, len(opinions)):
        if opinion.key in counter.buyer.under_way:
            match luck.randrange(3):
                case 0:
                    counter.fails(opinion, "model_error", luck.choice(["nothing", "unknown"]))
                case _:
                    counter.says(opinion, usage=Usage(luck.randrange(500), luck.randrange(500)))
    counter.settles()


def played() -> tuple[Counter, list[Opinion], int]:
    """A council from its first question to its last answer, and how much of the log is older than that."""
    counter = Counter()
    members = {"m1": GPT, "m2": CLAUDE, "m3": QWEN, "j1": CLAUDE}
    asked = [counter.opinion(model, member=member) for member, model in members.items()]
    before = len(counter.records)
    for opinion in asked[:3]:
        counter.reads(opinion)
    counter.says(asked[0]).fails(asked[1], "model_error", "unknown").reads(asked[3]).says(asked[2]).says(asked[3])
    counter.settles()
    return counter, asked, before


@pytest.mark.parametrize("commits", range(14))
def test_a_crash_behind_any_commit_leaves_one_end_for_each_and_nothing_reserved(commits: int) -> None:
    """Nobody is asked twice; what had ended costs what its end says, what had begun costs all, the rest is bought."""
    counter, opinions, before = played()
    assert len(counter.records) - before == 13
    counter.cut(before + commits)
    owed = counter.budget.open
    begun = [each for each in opinions if counter.count(each, call.CallStarted) and not counter.ends_of(each)]
    told = {each.reservation: end for each in opinions for end in counter.ends_of(each)}
    counter.crash().look()
    for opinion in [*opinions, *opinions]:
        counter.reads(opinion, again=True)
    assert not any(each.key in counter.buyer.under_way for each in begun)
    settle_all(counter, opinions, random.Random(commits))
    settled: dict[str, int] = {}
    for record in counter.read(SUBJECT, before + commits):
        for event in counter.events_in(record, budget.FundsSettled):
            settled.setdefault(event.reservation, event.micro)
    for opinion in opinions:
        (end,) = counter.ends_of(opinion)
        assert counter.count(opinion, call.CallStarted) == 1
        assert (opinion in begun) == (isinstance(end, call.ModelFailed) and end.failure == "lost")
        if reserved := owed.get(opinion.reservation):
            known = told[opinion.reservation].micro if opinion.reservation in told else 0
            in_full = opinion in begun or (opinion.reservation in told and not known)
            assert settled[opinion.reservation] == (reserved.micro if in_full else known)
    assert counter.budget.open == {} and counter.buyer.under_way == {}


@pytest.mark.parametrize("seed", range(10))
def test_the_councils_day_is_never_overspent_by_twenty_councils_at_once(seed: int) -> None:
    luck = random.Random(seed)
    cap = luck.randrange(40_000, 200_000)
    counter = Counter(caps=PLENTY._replace(council=cap))
    opinions = [
        counter.opinion(luck.choice([GPT, CLAUDE, CLAUDE, QWEN]), f"t{council}-c1", member, purpose=purpose)
        for council in range(20)
        for member, purpose in (("m1", "member"), ("m2", "member"), ("m3", "member"), ("j1", "judge"))
    ]
    waiting = luck.sample(opinions, len(opinions))
    while waiting or counter.buyer.under_way:
        under_way = [each for each in opinions if each.key in counter.buyer.under_way]
        if luck.random() < 0.02:
            counter.crash().look()
            waiting = [each for each in opinions if not counter.ends_of(each)]
        elif waiting and (not under_way or luck.random() < 0.6):
            opinion = waiting.pop()
            counter.reads(opinion, again=True, task=opinion.council.partition("-")[0])
        else:
            settle_all(counter, [luck.choice(under_way)], luck)
    assert over_a_cap(counter.records) == []
    assert all(len(counter.ends_of(each)) == 1 for each in opinions)
    refused = [each for each in opinions if getattr(counter.ends_of(each)[0], "failure", "") == "budget"]
    spent, reserved = charged(counter.records)
    print(f"cap {cap}, charged {spent} ({spent / cap:.0%}), {len(refused)} of {len(opinions)} refused")
    assert refused and 0 < spent <= cap and reserved == 0


def test_spending_over_the_cap_of_councils_is_found_and_that_of_runs_is_not() -> None:
    for purpose, wrong in (("council", 1), ("run", 0)):
        counter = Counter(caps=PLENTY._replace(council=10))
        reserved = budget.FundsReserved("a", "t", GPT, "member", 11, "2026-11-21", purpose)
        counter.given(SUBJECT, reserved)
        assert len(over_a_cap(counter.records)) == wrong
