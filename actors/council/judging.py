"""Who wins: points from what was tried, what a judge said and what was stated, and five ways to choose by them."""

from collections import Counter
from collections.abc import Collection, Sequence
from hashlib import sha256
from statistics import fmean
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from bus.messages.council import Scored, Strategy
from bus.messages.trial import CandidateTried

COMBINED = "c1"
"""The candidate that was put together from the others."""
CLOSE_POINTS = 5.0
JUDGE_MOST = 10
_SIMPLE = ("syntax_error", "missing_name", "dependency")

Weight = Annotated[float, Meta(ge=0, le=1000)]


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much each criterion counts; what is not known of any candidate does not count at all."""

    correctness: Weight = 40
    reasoning: Weight = 25
    tests: Weight = 20
    confidence: Weight = 15


class Entry(NamedTuple):
    """A candidate that was tried. `reasoning` has a judge's points from 0 to 10 for each sitting."""

    candidate: str
    model: str
    family: str
    confidence: float
    tried: CandidateTried
    reasoning: tuple[float, ...] = ()
    accuracy: float = 0.5


class Verdict(NamedTuple):
    """`winner` is empty when nobody may win."""

    winner: str
    reason: str
    scores: list[Scored]


Key = tuple[float, ...]


def strategy_for(kind: str, has_tests: bool) -> Strategy:
    """What suits a type of problem."""
    if kind == "design":
        return "consensus"
    if has_tests:
        return "test_winner"
    if kind in _SIMPLE:
        return "majority"
    return "weighted" if kind == "external_api" else "best_reasoning"


def shuffled(candidates: Collection[str], seed: int, sitting: int) -> list[str]:
    """The order in which a judge sees them: of the seed and their names alone, and the other way round at sitting 2."""
    order = sorted(candidates, key=lambda each: (sha256(f"{seed}/{each}".encode()).digest(), each))
    return order if sitting % 2 else order[::-1]


def scored(entry: Entry, weights: Weights) -> Scored:
    """The points of one candidate by itself."""
    return _scored(entry, weights, _levelled([entry]).get(entry.candidate), entry.tried.tests is not None)


def decide(strategy: Strategy, entries: Sequence[Entry], weights: Weights, *, seed: int = 0) -> Verdict:
    """The winner. Equal candidates are told apart by fewer changed lines, then by the seed."""
    tested = _tested(entries)
    levelled = _levelled(entries)
    scores = {each.candidate: _scored(each, weights, levelled.get(each.candidate), tested) for each in entries}
    able = [each for each in entries if not _bar(each, tested)]
    listed = sorted(scores.values(), key=lambda each: (-each.total, each.candidate))
    if not able:
        return Verdict("", _why_nobody(entries, tested), listed)
    last = {each: -place for place, each in enumerate(shuffled([each.candidate for each in entries], seed, 1))}
    if strategy == "consensus" and (combined := _combined(able)):
        return Verdict(COMBINED, f"it combines the others and is as good as any: {_facts(combined)}", listed)
    single = [each for each in able if each.candidate != COMBINED] or able
    keys = {each.candidate: _key(strategy, each, single, scores[each.candidate]) for each in single}
    best = max(single, key=lambda each: (*keys[each.candidate], -each.tried.lines, last[each.candidate]))
    return Verdict(best.candidate, _why(strategy, best, single, scores[best.candidate]), listed)


def needs_judge(strategy: Strategy, entries: Sequence[Entry], weights: Weights, *, seed: int = 0) -> bool:
    """Whether anything that a judge may say can change the winner.

    A candidate's rank rises with its own reasoning and no other's. So the judge that is worst for who wins without one
    gives it nothing and everybody else all; if it wins all the same, no judge changes that.
    """
    unheard = [each._replace(reasoning=()) for each in entries]
    winner = decide(strategy, unheard, weights, seed=seed).winner
    worst = [each._replace(reasoning=(0.0 if each.candidate == winner else JUDGE_MOST,)) for each in entries]
    return decide(strategy, worst, weights, seed=seed).winner != winner


def is_close(
    entries: Sequence[Entry], weights: Weights, *, strategy: Strategy = "best_reasoning", seed: int = 0
) -> bool:
    """Whether a second sitting is worth it: the first one made the winner, or the two best are close together."""
    if not needs_judge(strategy, entries, weights, seed=seed):
        return False
    unheard = [each._replace(reasoning=()) for each in entries]
    heard = decide(strategy, entries, weights, seed=seed)
    if heard.winner != decide(strategy, unheard, weights, seed=seed).winner:
        return True
    tested = _tested(entries)
    able = {each.candidate for each in entries if not _bar(each, tested)}
    best, second, *_ = [each.total for each in heard.scores if each.candidate in able]
    return best - second <= CLOSE_POINTS


def _tested(entries: Sequence[Entry]) -> bool:
    return any(each.tried.tests is not None for each in entries)


def _bar(entry: Entry, tested: bool) -> str:
    """Why a candidate may not win; empty: it may."""
    tried = entry.tried
    if not tried.applies:
        return "does not apply"
    if tried.syntax is False:
        return "has wrong syntax"
    if tested and tried.tests is None:
        return "could not be tested"
    if tried.tests is not None and not tried.tests.green:
        if not tried.tests.failed + tried.tests.errors:
            return "passes no test"
        return f"fails {tried.tests.failed + tried.tests.errors} of {_count(tried)} tests"
    return ""


def _count(tried: CandidateTried) -> int:
    return 0 if tried.tests is None else tried.tests.passed + tried.tests.failed + tried.tests.errors


def _scored(entry: Entry, weights: Weights, reasoning: float | None, tested: bool) -> Scored:
    """A criterion that nobody is known by counts for nothing, and so does reasoning that no judge heard."""
    tests = None
    if tested:
        tests = entry.tried.tests.passed / max(1, _count(entry.tried)) if entry.tried.tests else 0.0
    confidence = min(1.0, max(0.0, entry.confidence))
    points = (
        (weights.correctness, _correctness(entry.tried)),
        (weights.reasoning, reasoning),
        (weights.tests, tests),
        (weights.confidence, confidence),
    )
    known = [(weight, value) for weight, value in points if value is not None]
    most = sum(weight for weight, _ in known)
    total = 100 * sum(weight * value for weight, value in known) / most if most else 0.0
    return Scored(entry.candidate, round(total, 6), points[0][1] or 0.0, reasoning, tests, confidence)


def _correctness(tried: CandidateTried) -> float:
    if not tried.applies or tried.syntax is False:
        return 0.0
    return fmean([1.0, *(float(each) for each in (tried.syntax, tried.types) if each is not None)])


def _levelled(entries: Sequence[Entry]) -> dict[str, float]:
    """The judge's points from 0 to 1, without differences that come from the order in which it saw the candidates.

    Where not all sittings agree who of two is better, each of the two counts for the other. So a judge that likes the
    first answer best says nothing after two sittings, and one sitting counts as it is.
    """
    sittings = max((len(each.reasoning) for each in entries), default=0)
    heard = [each for each in entries if sittings and len(each.reasoning) == sittings]
    means = {each.candidate: fmean(each.reasoning) / JUDGE_MOST for each in heard}
    return {
        one.candidate: fmean(means[one.candidate if _agreed(one, other) else other.candidate] for other in heard)
        for one in heard
    }


def _agreed(one: Entry, other: Entry) -> bool:
    ahead = [a > b for a, b in zip(one.reasoning, other.reasoning, strict=True)]
    behind = [a < b for a, b in zip(one.reasoning, other.reasoning, strict=True)]
    return all(ahead) or all(behind)


def _combined(able: Sequence[Entry]) -> Entry | None:
    """The combined candidate, if none of the others came to more where all were tried."""
    found = next((each for each in able if each.candidate == COMBINED), None)
    return found if found and _trial(found) >= max(_trial(each) for each in able) else None


def _trial(entry: Entry) -> Key:
    return (entry.tried.tests.passed if entry.tried.tests else 0, _correctness(entry.tried))


def _key(strategy: Strategy, entry: Entry, able: Sequence[Entry], points: Scored) -> Key:
    """What a candidate is ranked by; each part rises with its own reasoning or does not know of any."""
    match strategy:
        case "majority":
            return (len(_like(entry, able)), points.total)
        case "weighted":
            return (round(sum(each.accuracy for each in _like(entry, able)), 9), points.total)
        case "best_reasoning":
            return (round(points.reasoning or 0.0, 9), points.total)
        case "test_winner":
            return (entry.tried.tests.passed if entry.tried.tests else 0, points.total)
        case "consensus":
            return (points.total,)


def _like(entry: Entry, able: Sequence[Entry]) -> list[Entry]:
    """Those that propose the same, itself among them."""
    likeness = entry.tried.likeness
    return [each for each in able if each is entry or (likeness and each.tried.likeness == likeness)]


def _facts(entry: Entry) -> str:
    tried = entry.tried
    types = {True: ", its types are right", False: ", its types are wrong", None: ""}[tried.types]
    tests = f", it passes {tried.tests.passed} of {_count(tried)} tests" if tried.tests else ", there are no tests"
    return f"it applies{types}{tests}"


def _why(strategy: Strategy, best: Entry, able: Sequence[Entry], points: Scored) -> str:
    like = _like(best, able)
    weight = sum(each.accuracy for each in like)
    said = {
        "majority": f"{len(like)} of {len(able)} propose the same",
        "weighted": f"{len(like)} propose it, and what they solved before weighs {weight:.2f}",
        "best_reasoning": "no judge was heard" if points.reasoning is None else "its reasoning is the best",
        "test_winner": "no other passes more tests" if best.tried.tests else "there are no tests",
        "consensus": "no combination of the candidates is as good",
    }[strategy]
    alone = "it is the only one that may win" if len(able) == 1 else said
    return f"{alone}; {points.total:.1f} of 100 points; {_facts(best)}"


def _why_nobody(entries: Sequence[Entry], tested: bool) -> str:
    if not entries:
        return "there is no candidate"
    counted = Counter(_bar(each, tested) for each in entries)
    told = sorted(((count, why) for why, count in counted.items()), key=lambda each: (-each[0], each[1]))
    return "no candidate may win: " + ", ".join(f"{count} {why}" for count, why in told)
