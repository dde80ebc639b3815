"""Who wins in a council, what a judge may change, and that where a candidate stands is nothing it wins by."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.council.judging import (
    CLOSE_POINTS,
    COMBINED,
    Entry,
    Weights,
    decide,
    is_close,
    needs_judge,
    scored,
    shuffled,
    strategy_for,
)
from actors.council.problem import KINDS
from bus.messages.base import TestResults
from bus.messages.council import Strategy
from bus.messages.trial import CandidateTried

EVEN = Weights()
STRATEGIES = get_args(Strategy)


def tried(
    passed: int | None = 10,
    failed: int = 0,
    applies: bool = True,
    syntax: bool | None = True,
    types: bool | None = True,
    likeness: str = "",
    lines: int = 5,
) -> CandidateTried:
    tests = None if passed is None else TestResults(passed=passed, failed=failed)
    return CandidateTried("", applies, "", syntax, types, tests, likeness=likeness, lines=lines)


def entry(name: str, confidence: float = 0.5, reasoning: tuple[float, ...] = (), **told: Any) -> Entry:
    accuracy = told.pop("accuracy", 0.5)
    return Entry(name, f"p/{name}", name, confidence, tried(**told), reasoning, accuracy)


def winner(strategy: Strategy, *entries: Entry, seed: int = 0) -> str:
    return decide(strategy, entries, EVEN, seed=seed).winner


tens = st.integers(0, 10).map(float)
tries = st.builds(
    tried,
    st.none() | st.sampled_from([0, 8, 9, 10]),
    st.sampled_from([0, 0, 0, 2]),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([True, True, None, False]),
    st.sampled_from([True, None, False]),
    st.sampled_from(["", "x", "y"]),
    st.integers(1, 4),
)


@st.composite
def councils(draw: st.DrawFn) -> list[Entry]:
    names = draw(st.sampled_from([["m1", "m2"], ["m1", "m2", "m3"], ["m1", "m2", "m3", "c1"], ["m1"], []]))
    levels = st.sampled_from([0.0, 0.3, 0.9, 1.0])
    return [Entry(name, f"p/{name}", name, draw(levels), draw(tries), (), draw(levels)) for name in names]


weights = st.builds(Weights, *[st.sampled_from([0, 5, 25, 40])] * 4)


def test_the_weights_are_those_of_the_sources() -> None:
    perfect = scored(entry("m1", 1.0, (10.0,)), EVEN)
    assert (perfect.total, perfect.correctness, perfect.reasoning, perfect.tests) == (100, 1, 1, 1)
    assert scored(entry("m1", 0, (10.0,)), EVEN).total == 85
    assert scored(entry("m1", 1, (0.0,)), EVEN).total == 75
    assert scored(entry("m1", 1, (10.0,), passed=0, failed=4), EVEN).total == 80
    assert scored(entry("m1", 1, (10.0,), applies=False), EVEN).total == 60


def test_what_nobody_knows_counts_for_nothing() -> None:
    assert scored(entry("m1", 1.0, passed=None), EVEN) == scored(entry("m1", 1.0, passed=None), Weights(40, 0, 0, 15))
    assert scored(entry("m1", 1.0), Weights(0, 0, 0, 0)).total == 0


def test_weights_can_be_set_and_are_never_negative() -> None:
    bold, right = entry("m1", 0.9, types=False), entry("m2", 0.1, passed=10)
    assert decide("test_winner", [bold, right], EVEN).winner == "m2"
    assert decide("test_winner", [bold, right], Weights(confidence=100)).winner == "m1"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"tests": -1}, Weights)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_who_does_not_apply_or_parse_or_pass_never_wins(strategy: Strategy) -> None:
    bad = [
        entry("m1", 1.0, applies=False),
        entry("m2", 1.0, syntax=False),
        entry("m3", 1.0, failed=1),
        entry("m4", 1.0, passed=None),
        entry("c1", 1.0, passed=0),
    ]
    verdict = decide(strategy, bad, EVEN)
    assert verdict.winner == "" and verdict.reason.startswith(
        "no candidate may win: 1 could not be tested, 1 does not apply"
    )
    assert len(verdict.scores) == 5
    assert decide(strategy, [*bad, entry("m6", 0.0)], EVEN).winner == "m6"
    assert decide(strategy, [], EVEN).winner == ""


def test_where_there_are_no_tests_what_applies_may_win() -> None:
    assert winner("best_reasoning", entry("m1", passed=None), entry("m2", passed=None, applies=False)) == "m1"


def test_the_majority_is_by_what_is_changed_not_by_who_is_surest() -> None:
    some = (entry("m1", 1.0, likeness="x"), entry("m2", 0.1, likeness="y"), entry("m3", 0.2, likeness="y"))
    assert winner("majority", *some) == "m3"
    assert "2 of 3 propose the same" in decide("majority", some, EVEN).reason


def test_no_likeness_is_no_agreement() -> None:
    assert winner("majority", entry("m1", 0.1), entry("m2", 0.1), entry("m3", 0.9, likeness="x")) == "m3"


def test_the_weighted_vote_follows_those_who_were_right_before() -> None:
    some = (
        entry("m1", 0.1, likeness="x", accuracy=0.9),
        entry("m2", 0.9, likeness="y", accuracy=0.3),
        entry("m3", 0.9, likeness="y", accuracy=0.4),
    )
    assert winner("weighted", *some) == "m1" and winner("majority", *some) in ("m2", "m3")


def test_the_best_reasoning_wins_against_more_points() -> None:
    assert winner("best_reasoning", entry("m1", 1.0, (6.0,)), entry("m2", 0.0, (7.0,), types=False)) == "m2"


def test_more_tests_win_against_more_points() -> None:
    """Who takes a failing test away is green as well."""
    assert winner("test_winner", entry("m1", 1.0, (10.0,), passed=9), entry("m2", 0.0, (0.0,), passed=10)) == "m2"


def test_the_combination_wins_if_it_is_as_good_where_all_were_tried() -> None:
    single, other = entry("m1", 1.0, (10.0,)), entry("m2", 0.9, (9.0,))
    assert winner("consensus", single, other, entry(COMBINED, 0.1)) == COMBINED
    assert winner("consensus", single, other, entry(COMBINED, 1.0, passed=9)) == "m1"
    assert winner("consensus", single, other, entry(COMBINED, 1.0, types=False)) == "m1"
    assert winner("consensus", single, other, entry(COMBINED, 1.0, failed=1)) == "m1"
    assert winner("consensus", entry("m1", failed=1), entry(COMBINED)) == COMBINED


def test_a_strategy_suits_the_problem() -> None:
    assert {kind: strategy_for(kind, True) for kind in KINDS if strategy_for(kind, True) != "test_winner"} == {
        "design": "consensus"
    }
    assert {strategy_for(kind, False) for kind in KINDS} == {"majority", "weighted", "best_reasoning", "consensus"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equals_are_told_apart_by_fewer_lines(strategy: Strategy) -> None:
    assert winner(strategy, entry("m1", lines=9), entry("m2", lines=2), entry("m3", lines=3)) == "m2"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equals_with_as_many_lines_win_equally_often(strategy: Strategy) -> None:
    wins = Counter(winner(strategy, *(entry(name) for name in ("m1", "m2", "m3")), seed=seed) for seed in range(900))
    assert all(250 < wins[name] < 350 for name in ("m1", "m2", "m3"))


@given(councils(), st.sampled_from(STRATEGIES), st.integers(0, 50), st.randoms())
def test_the_place_in_the_list_decides_nothing(
    entries: list[Entry], strategy: Strategy, seed: int, mixing: random.Random
) -> None:
    mixed = mixing.sample(entries, len(entries))
    assert decide(strategy, mixed, EVEN, seed=seed) == decide(strategy, entries, EVEN, seed=seed)


def judged(entries: Sequence[Entry], *sittings: Sequence[float]) -> list[Entry]:
    return [each._replace(reasoning=tuple(points)) for each, *points in zip(entries, *sittings, strict=True)]


@given(st.data(), councils(), st.sampled_from(STRATEGIES), weights, st.integers(0, 3))
@settings(max_examples=400)
def test_a_judge_that_is_not_needed_changes_nothing(
    data: st.DataObject, entries: list[Entry], strategy: Strategy, weights: Weights, seed: int
) -> None:
    """And where one is needed, there is one who makes another the winner."""
    alone = decide(strategy, entries, weights, seed=seed).winner
    if needs_judge(strategy, entries, weights, seed=seed):
        against = judged(entries, [0.0 if each.candidate == alone else 10.0 for each in entries])
        assert decide(strategy, against, weights, seed=seed).winner != alone
        return
    for sittings in (1, 2):
        points = st.lists(tens | st.floats(0, 10), min_size=len(entries), max_size=len(entries))
        heard = judged(entries, *(data.draw(points) for _ in range(sittings)))
        assert decide(strategy, heard, weights, seed=seed).winner == alone
        assert not is_close(heard, weights, strategy=strategy, seed=seed)


def test_one_who_may_win_needs_no_judge() -> None:
    assert not needs_judge("best_reasoning", [entry("m1"), entry("m2", failed=1)], EVEN)
    assert needs_judge("best_reasoning", [entry("m1"), entry("m2")], EVEN)
    assert not needs_judge("test_winner", [entry("m1"), entry("m2", passed=11)], EVEN)
    assert not needs_judge("test_winner", [], EVEN)


def test_a_second_sitting_is_held_when_the_first_made_the_winner_or_points_are_close() -> None:
    ahead, behind = entry("m1", 0.9), entry("m2", 0.1)
    how: dict[str, Any] = {"strategy": "test_winner"}
    assert is_close(judged([ahead, behind], [0, 10]), EVEN, **how)
    assert is_close(judged([ahead, behind], [5, 9]), EVEN, **how)
    assert not is_close(judged([ahead, behind], [9, 5]), EVEN, **how)
    assert CLOSE_POINTS < 100 * 0.15 * 0.8


def test_two_sittings_that_agree_count_as_their_mean_and_where_they_differ_it_is_level() -> None:
    agreed = decide("best_reasoning", judged([entry("m1"), entry("m2"), entry("m3")], [9, 6, 3], [7, 5, 1]), EVEN)
    assert {each.candidate: each.reasoning for each in agreed.scores} == pytest.approx(
        {"m1": 0.8, "m2": 0.55, "m3": 0.2}
    )
    torn = decide("best_reasoning", judged([entry("m1"), entry("m2"), entry("m3")], [9, 8, 2], [8, 9, 2]), EVEN)
    assert {each.candidate: each.reasoning for each in torn.scores} == pytest.approx(
        {"m1": 0.85, "m2": 0.85, "m3": 0.2}
    )


def test_every_candidate_stands_in_each_place_equally_often() -> None:
    names, seeds = ["m1", "m2", "m3", "m4"], 6000
    places: Counter[tuple[str, int]] = Counter()
    for seed in range(seeds):
        order = shuffled(names, seed, 1)
        assert shuffled(names, seed, 2) == order[::-1] and shuffled(names[::-1], seed, 1) == order
        places.update((name, place) for place, name in enumerate(order))
    expected = seeds / len(names)
    assert sum((places[name, place] - expected) ** 2 / expected for name in names for place in range(4)) < 30


Liking = Callable[[int, int], float]


def sat(entries: list[Entry], likes: Liking, seed: int, strategy: Strategy, flips: bool, shuffles: bool) -> str:
    """The winner when a judge sees places instead of answers, by the way that a council goes."""
    names = [each.candidate for each in entries]
    if not needs_judge(strategy, entries, EVEN, seed=seed):
        return decide(strategy, entries, EVEN, seed=seed).winner
    heard = entries
    for sitting in (1, 2):
        order = shuffled(names, seed, sitting) if shuffles else names
        points = {name: likes(place, len(order)) for place, name in enumerate(order)}
        heard = [each._replace(reasoning=(*each.reasoning, points[each.candidate])) for each in heard]
        if not flips or not is_close(heard, EVEN, strategy=strategy, seed=seed):
            break
    return decide(strategy, heard, EVEN, seed=seed).winner


def changed(likes: Liking, strategy: Strategy, flips: bool, shuffles: bool) -> float:
    """In which share of 400 councils, all of whose candidates are green, the judge changes who wins."""
    count, luck = 0, random.Random(7)
    for seed in range(400):
        entries = [
            entry(f"m{number}", luck.random(), types=luck.choice([True, None, False]), lines=luck.randint(1, 30))
            for number in range(1, luck.choice([3, 4, 6]))
        ]
        alone = decide(strategy, entries, EVEN, seed=seed).winner
        count += sat(entries, likes, seed, strategy, flips, shuffles) != alone
    return count / 400


LIKINGS: dict[str, Liking] = {
    "the first alone": lambda place, _: 9.0 if place == 0 else 4.0,
    "the first, and less and less": lambda place, of: 10.0 - 8.0 * place / of,
    "the first, and nobody else": lambda place, _: 10.0 if place == 0 else 0.0,
    "the last": lambda place, of: 10.0 if place == of - 1 else 5.0,
}


@pytest.mark.parametrize("liking", LIKINGS)
@pytest.mark.parametrize("strategy", ["test_winner", "best_reasoning"])
def test_a_judge_that_prefers_a_place_changes_hardly_any_winner(liking: str, strategy: Strategy) -> None:
    with_both = changed(LIKINGS[liking], strategy, flips=True, shuffles=True)
    shuffled_only = changed(LIKINGS[liking], strategy, flips=False, shuffles=True)
    without = changed(LIKINGS[liking], strategy, flips=False, shuffles=False)
    print(f"{strategy}, likes {liking}: {with_both:.1%}; shuffled {shuffled_only:.1%}; neither {without:.1%}")
    assert with_both < 0.05 and without > 0.15 and without > 5 * with_both


def best_by(entries: list[Entry], lifted: float, seed: int, sittings: int) -> str:
    """The winner by a judge who knows what each is worth, and likes the first of a sitting so much better."""
    names = [each.candidate for each in entries]
    heard = entries
    for sitting in range(1, sittings + 1):
        first = shuffled(names, seed, sitting)[0]
        heard = [
            each._replace(
                reasoning=(*each.reasoning, min(10.0, 10 * each.accuracy + lifted * (each.candidate == first)))
            )
            for each in heard
        ]
    return decide("best_reasoning", heard, EVEN, seed=seed).winner


@pytest.mark.parametrize("lifted", [1.0, 3.0])
def test_what_a_biased_judge_knows_counts_all_the_same(lifted: float) -> None:
    luck, wrong = random.Random(3), Counter[int]()
    for seed in range(600):
        entries = [entry(f"m{number}", accuracy=luck.random()) for number in (1, 2, 3)]
        true = best_by(entries, 0, seed, 1)
        wrong.update({sittings: best_by(entries, lifted, seed, sittings) != true for sittings in (1, 2)})
    print(f"liked by {lifted}: wrong in {wrong[1] / 600:.1%} after one sitting, {wrong[2] / 600:.1%} after two")
    assert wrong[2] < 0.75 * wrong[1]
