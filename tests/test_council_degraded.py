"""Councils whose members are missing, slow, rate-limited, over-confident, talk nonsense or give orders."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from actors.council import judging
from actors.council.judging import Entry, Weights
from bus.messages import council as said
from bus.messages.trial import CandidateTried
from cli.app import App
from tests.council_held import ask, at_s, holding, of, read, stuck, until
from tests.council_models import FAULTS, JUDGE_MODEL, Quality, World, serving
from tests.council_problems import problems
from tests.money_ground import charged, over_a_cap

LIMIT_S, LATE_S = 4.0, 1.0
CODER = Quality("ollama/qwen3:8b", 2.0)
THREE = ("openai/gpt-4.1-mini", "deepseek/deepseek-chat", "gemini/gemini-2.5-flash")
WELL = "well"
MIXES = list(combinations_with_replacement((WELL, *FAULTS), 3))
"""What three members can be: all 84 mixes."""
SHARES = 12
FEW = [(WELL, WELL, "missing"), (WELL, "over_confident", "garbage"), (WELL, "rate_limited", "injected"), ("slow",) * 3,
       ("missing", "rate_limited", "garbage")]  # fmt: skip


class Held(World):
    """Members that are right about almost everything when nothing is wrong with them."""

    def __init__(self, count: int) -> None:
        super().__init__(problems(count), [CODER, *(Quality(model, 2.0) for model in THREE)])
        self.gives_up = "ask_for_help"


@pytest.fixture
def world() -> Held:
    return Held(100)


@pytest.fixture
def limit_s() -> float:
    return LIMIT_S


@pytest.fixture
def app(tmp_path: Path, world: Held, limit_s: float) -> Iterator[App]:
    settings = {"council_timeout_ms": int(limit_s * 1000), "council_judge": JUDGE_MODEL, "council_usd": 5.0}
    with serving(world) as variables, holding(tmp_path / "state", variables, **settings) as app:
        yield app


def nobody_rests(app: App) -> None:
    """Wait a little for those who asked to be left alone; who failed often rests longer, and is not asked."""
    for _ in range(20):
        if not any(each["rests"] for each in ask(app, "treasurer", "list_models")["models"]):
            return
        app.bridge.run(asyncio.sleep(0.1))


def hold(app: App, world: Held, folder: Path, number: int, states: tuple[str, ...], **wish: object) -> str:
    """A council on its own problem, with each member in its state; it has ended when this returns."""
    nobody_rests(app)
    id = stuck(app, world.known[number], folder / str(number))
    world.faults = {model: state for model, state in zip(THREE, states, strict=True) if state != WELL}
    name = str(ask(app, "council", "convene", task_id=id, members=list(THREE), **wish)["council"])
    until(app, f"evt.council.{name}", said.CouncilEnded)
    return name


def is_as_it_must(app: App, world: Held, name: str, number: int, states: tuple[str, ...]) -> str:
    """One end in time, by one that is well; what it came to."""
    records = read(app, f"evt.council.{name}")
    (end,) = of(records, said.CouncilEnded)
    times = {type(event): at_s(record) for record in records for event in of([record], object)}
    assert times[said.CouncilEnded] - times[said.CouncilConvened] <= LIMIT_S + LATE_S, (name, states)
    (chosen,) = of(records, said.MembersChosen)
    models = {each.id: each.model for each in chosen.members}
    resting = {models[each.member] for each in of(records, said.OpinionMissing) if each.failure == "rate_limit"}
    well = [model for model, state in zip(THREE, states, strict=True) if state == WELL]
    if end.winner:
        assert models[end.winner] in well, (states, end)
    asked = set(models.values()) - resting
    right = [each for each in well if each in asked and world.sort_of(each, world.known[number]) == "right"]
    late = "slow" in states and end.outcome in ("no_answer", "too_late")
    assert end.outcome == "answered" or not right or late, (states, end)
    return end.outcome


def whole_money(app: App, world: Held) -> None:
    records = read(app, "evt.budget.*")
    spent, _ = charged(records)
    assert over_a_cap(records) == []
    assert sum(each.micro for each in world.bill) <= spent


def all_of(app: App, world: Held, folder: Path, mixes: Sequence[tuple[str, ...]]) -> None:
    told = []
    for number, states in enumerate(mixes):
        name = hold(app, world, folder, number, states)
        told.append((name, is_as_it_must(app, world, name, number, states)))
    for name, _ in told:
        assert len(of(read(app, f"evt.council.{name}"), said.CouncilEnded)) == 1
    whole_money(app, world)
    outcomes = [outcome for _, outcome in told]
    print({outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))})


def test_whatever_a_few_members_do_there_is_one_end_in_time_and_no_cap_is_broken(
    app: App, world: Held, tmp_path: Path
) -> None:
    all_of(app, world, tmp_path / "repos", FEW)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("share", range(SHARES))
def test_whatever_the_members_do_in_every_mix_there_is_one_end_in_time_and_no_cap_is_broken(
    app: App, world: Held, tmp_path: Path, share: int
) -> None:
    """In shares, each on a log of its own, where nobody is known to fail."""
    mixes = random.Random(84).sample(MIXES, len(MIXES))
    all_of(app, world, tmp_path / "repos", mixes[share::SHARES])


def test_councils_at_once_that_have_little_money_end_and_spend_no_more(tmp_path: Path, world: Held) -> None:
    """What one member may cost at most is reserved, so little is there for the others while it thinks."""
    cap = 40_000
    with serving(world) as variables, holding(tmp_path / "state", variables, council_usd=cap / 1e6) as app:
        tasks = [stuck(app, world.known[number], tmp_path / "repos" / str(number)) for number in range(4)]
        names = [ask(app, "council", "convene", task_id=id, members=list(THREE))["council"] for id in tasks]
        ends = [until(app, f"evt.council.{name}", said.CouncilEnded) for name in names]
        missing = [each for name in names for each in of(read(app, f"evt.council.{name}"), said.OpinionMissing)]
        whole_money(app, world)
    assert {each.outcome for each in ends} <= {"answered", "no_answer", "no_money"}
    assert any(each.outcome == "no_money" for each in ends) or {each.failure for each in missing} == {"budget"}
    assert 0 < world.council_micro() <= cap


def entries_of(app: App, name: str) -> tuple[list[Entry], int]:
    """What was there to be judged, with what the judge said of it."""
    records, trials = read(app, f"evt.council.{name}"), read(app, f"evt.trial.{name}")
    tried = {each.candidate: each for each in of(trials, CandidateTried)}
    heard = [each.scores for each in of(records, said.JudgeHeard)]
    entries = [
        Entry(each.candidate, each.candidate, "", each.confidence, tried[each.candidate],
              tuple(scores[each.candidate] for scores in heard if each.candidate in scores))
        for each in of(records, said.CandidateMade)
    ]  # fmt: skip
    return entries, of(records, said.CouncilConvened)[0].seed


@pytest.mark.parametrize("limit_s", [60.0])
def test_a_judge_that_always_prefers_the_first_answer_decides_nothing(app: App, world: Held, tmp_path: Path) -> None:
    world.prefers_first = True
    swayed = fooled = judged = 0
    for number in range(50, 56):
        name = hold(app, world, tmp_path / "repos", number, (WELL,) * 3, strategy="best_reasoning")
        (end,) = of(read(app, f"evt.council.{name}"), said.CouncilEnded)
        entries, seed = entries_of(app, name)
        orders = [each.order for each in of(read(app, f"evt.council.{name}"), said.OpinionAsked) if each.order]
        assert len(orders) < 2 or orders[1] == orders[0][::-1]
        judged += bool(orders)
        unheard = [each._replace(reasoning=()) for each in entries]
        neutral = judging.decide("best_reasoning", unheard, Weights(), seed=seed).winner
        swayed += end.winner != neutral
        one = [each._replace(reasoning=each.reasoning[:1]) for each in entries]
        fooled += judging.decide("best_reasoning", one, Weights(), seed=seed).winner == (orders or [[""]])[0][0]
    print(f"of {judged} judged: swayed {swayed} by two sittings, {fooled} by one")
    assert judged >= 4 and swayed == 0 and fooled == judged
