"""Councils as a log would hold them, in any state, and what a plain recount of that log says of who won how often."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from actors.council import history, state
from actors.council.state import Council, Trials
from bus.envelope import Record
from bus.messages import budget, call, trial
from bus.messages import council as said
from bus.messages.base import Event, Excerpt, TestResults
from bus.messages.council import CouncilEnded, LeftOut, Member, OutcomeRecorded, Scored
from bus.messages.kinds import read_commit
from bus.messages.trial import CandidateTried
from tests.projected_histories import History

MODELS = ("p/ant", "p/bee", "q/cat", "q/dog")
KINDS = ("exception", "design", "syntax_error")
GREEN, RED = TestResults(passed=3), TestResults(passed=1, failed=2, failures=["tests/test_a.py::test_it"])
FATES = (
    {"applies": True, "syntax": True, "types": True, "tests": GREEN},
    {"applies": True, "syntax": True, "types": False, "tests": GREEN},
    {"applies": True, "syntax": True, "tests": RED},
    {"applies": True, "syntax": False},
    {"applies": False, "reason": "the text is not there"},
    {"applies": True},
)
Step = tuple[str, list[Event]]


def made(candidate: str, **more: Any) -> said.CandidateMade:
    told = {"member": candidate, "confidence": 0.8, "explanation": Excerpt(f"because of {candidate}"), **more}
    return said.CandidateMade(candidate=candidate, solution=f"{candidate:0>64}", **told)


def tried(candidate: str, **fate: Any) -> CandidateTried:
    return CandidateTried(candidate, **{"applies": True, "tests": GREEN, "likeness": "x", "ms": 12.5, **fate})


def convened(task: str, **more: Any) -> said.CouncilConvened:
    told = {"phase": "implement", "failure": "test_failure", "reason": "three times", "brief": "", "run": f"{task}-3"}
    return said.CouncilConvened(task=task, **{**told, "agent": "coder-1", "until_s": 1.8e9, "seed": 7, **more})


def asked(member: str, model: str, purpose: Any = "member") -> said.OpinionAsked:
    return said.OpinionAsked(member, purpose, model, "ab" * 32, 100, 1.8e9)


def ended(task: str, outcome: Any, **more: Any) -> CouncilEnded:
    return CouncilEnded(outcome, task, "implement", "test_failure", f"it is {outcome}", **more)


class Chamber:
    """A history of councils that goes on wherever it is told to; the same seed, the same history."""

    def __init__(self, seed: int = 0) -> None:
        self.history = History(seed)
        self.random = self.history.random
        self.open: list[Iterator[Step]] = []
        self.count = 0

    @property
    def records(self) -> list[Record]:
        return self.history.records

    def tell(self, id: str, *events: Event, kind: str = "council") -> None:
        self.history.commit(f"evt.{kind}.{id}", *events, flow=id.rpartition("-c")[0], by=kind)

    def pay(self, id: str, member: str, micro: int) -> None:
        reservation = f"council/{id}-{member}/1/0"
        flow = id.rpartition("-c")[0]
        reserved = budget.FundsReserved(reservation, flow, "p/x", "council", 2 * micro, "2026-11-20", "council")
        self.history.commit("evt.budget.main", reserved, budget.FundsSettled(reservation, micro), flow=flow)

    def hear(self, id: str, member: str, model: str, ms: float = 900) -> None:
        provider, _, name = model.partition("/")
        told = call.ModelReplied(1, "m", "{}", ms=ms, provider=provider, model=name)
        self.history.commit(f"evt.call.council.{id}-{member}", told, flow=id.rpartition("-c")[0], by="treasurer")

    def grow(self, councils: int) -> "Chamber":
        """So many councils, some at once."""
        while self.count < councils or self.open:
            if self.count < councils and (not self.open or self.random.random() < 0.2):
                self.count += 1
                self.open.append(_story(self.random, f"t{self.count}-c1"))
            story = self.random.choice(self.open)
            step = next(story, None)
            if step is None:
                self.open.remove(story)
            elif step[0].startswith("pay/"):
                id, _, member = step[0].removeprefix("pay/").rpartition("-")
                self.pay(id, member, self.random.randrange(9**6))
            else:
                self.history.commit(step[0], *step[1], flow="", by="council")
        return self


def _story(dice: random.Random, id: str) -> Iterator[Step]:
    council, trials, task = f"evt.council.{id}", f"evt.trial.{id}", id.rpartition("-c")[0]
    yield council, [convened(task)]
    if dice.random() < 0.1:
        yield trials, [trial.GatheringFailed("no tree")]
        yield council, [ended(task, "no_answer")]
        return
    yield trials, [trial.ProblemGathered("ab" * 32, 9, f"same-{dice.randrange(3)}", dice.choice(KINDS), "pytest -q")]
    models = [dice.choice(MODELS)] * 3 if dice.random() < 0.15 else dice.sample(MODELS, dice.randrange(1, 4))
    members = [Member(f"m{place}", each, each[:1], micro=5) for place, each in enumerate(models, 1)]
    yield (
        council,
        [
            said.MembersChosen(members, dice.choice(("p/owl", *MODELS)), [LeftOut("p/elk", "it rests")]),
            *(asked(each.id, each.model) for each in members),
        ],
    )
    answered: list[str] = []
    yield from _opinions(dice, id, members, answered)
    if len(answered) > 1 and dice.random() < 0.2:
        yield council, [asked("c1", members[0].model, "combine"), made("c1"), said.TrialAsked("c1", "x")]
        answered.append("c1")
    known: dict[str, CandidateTried] = {}
    late: list[Event] = []
    for candidate in answered:
        told = CandidateTried(candidate, **dice.choice(FATES))
        if dice.random() < 0.9:
            known[candidate] = told
            yield trials, [told]
        else:
            late.append(told)
    if known and dice.random() < 0.6:
        yield council, [asked("j1", "p/owl", "judge")]
        yield council, [said.JudgeHeard("j1", 1, {each: float(dice.randrange(4)) for each in known})]
    yield council, [_ending(dice, task, known)]
    yield from ((trials, [each]) for each in late)
    if dice.random() < 0.8:
        yield council, [recorded(dice.choice(("success", "success", "failure", "not_applied")))]


def _opinions(dice: random.Random, id: str, members: Sequence[Member], answered: list[str]) -> Iterator[Step]:
    """What the members say, and who of them proposed something."""
    council = f"evt.council.{id}"
    for each in dice.sample(members, len(members)):
        if dice.random() < 0.8:
            yield f"pay/{id}-{each.id}", []
        if (fate := dice.random()) < 0.15:
            failure = dice.choice(("timeout", "budget", "model_error", "rate_limit"))
            yield council, [said.OpinionMissing(each.id, failure, "it says no")]
        elif fate < 0.9:
            yield council, [made(each.id), said.TrialAsked(each.id, "x")]
            answered.append(each.id)


def _ending(dice: random.Random, task: str, known: dict[str, CandidateTried]) -> Event:
    scores = [Scored(each, dice.randrange(100)) for each in known]
    if dice.random() < 0.1:
        return ended(task, "called_off")
    able = [each for each, told in known.items() if told.applies and told.syntax is not False]
    if not able:
        return ended(task, dice.choice(("no_answer", "too_late")), scores=scores)
    winner = dice.choice(able)
    return ended(task, "answered", winner=winner, by="p/x", solution="ab" * 32, strategy="test_winner", scores=scores)


Cut = tuple[str, str, str | None, str]


def recounted(records: Sequence[Record]) -> dict[Cut, Counter[str]]:
    """What `council_wins` has to say, counted from the events by hand."""
    councils: dict[str, Council] = defaultdict(Council)
    trials: dict[str, Trials] = defaultdict(Trials)
    paid: Counter[tuple[str, str]] = Counter()
    for record in records:
        _, kind, *_, id = record.subject.split(".")
        for event in read_commit(record).events:
            if kind == "council":
                state.evolve(councils[id], event)
            elif kind == "trial":
                state.evolve_trials(trials[id], event)
            elif isinstance(event, budget.FundsSettled):
                whose, _, member = event.reservation.split("/")[1].rpartition("-")
                paid[whose, member] += event.micro
    counted: dict[Cut, Counter[str]] = defaultdict(Counter)
    for id, council in councils.items():
        if council.ended is not None and council.ended.outcome != "called_off":
            _count(counted, id, council, trials[id], paid)
    return counted


def _count(
    counted: dict[Cut, Counter[str]], id: str, council: Council, trials: Trials, paid: Counter[tuple[str, str]]
) -> None:
    assert council.ended is not None
    case = history.case_of(id, council, trials)
    solved = case.solved if case else {}
    kind = trials.gathered.kind if trials.gathered else "other"
    members = council.chosen.members if council.chosen else []
    cost: Counter[str] = Counter()
    for each in members:
        cost[each.model] += paid[id, each.id]
    winner = next((each.model for each in members if each.id == council.ended.winner), None)
    right = _judge_was_right(council)

    def add(cut: Cut, **more: int) -> None:
        counted[cut].update(more)

    def outcome(concerned: bool) -> dict[str, int]:
        known = concerned and bool(council.outcome)
        return {"known": known, "helped": known and council.outcome == "success"}

    for model in cost.keys() | {each.model for each in members}:
        told = {"sittings": 1, "wins": model == winner, "losses": model != winner, "cost_micro": cost[model]}
        told |= {"seen": model in solved, "solved": solved.get(model, False), **outcome(model == winner)}
        add(("model", model, None, "all"), **told)
        add(("model-kind", model, None, kind), **told)
    won = council.ended.outcome == "answered"
    total = sum(micro for (council_id, _), micro in paid.items() if council_id == id)
    told = {"sittings": 1, "wins": won, "losses": not won, "seen": bool(solved), "solved": any(solved.values())}
    told |= {"judged": right is not None, "judge_right": bool(right), "cost_micro": total, **outcome(True)}
    add(("kind", kind, None, kind), **told)
    for one, two in combinations(sorted({each.model for each in members}), 2):
        a, b = solved.get(one), solved.get(two)
        told = {"sittings": 1, "wins": a is True and b is False, "losses": b is True and a is False}
        told |= {"seen": a or b or (a is not None and b is not None), "solved": bool(a or b)}
        add(("pair", one, two, "all"), **told, **outcome(winner in (one, two)), cost_micro=cost[one] + cost[two])
    if council.chosen and council.chosen.judge and right is not None:
        for cut in (("model", "all"), ("model-kind", kind)):
            add((cut[0], council.chosen.judge, None, cut[1]), judged=1, judge_right=right)


def _judge_was_right(council: Council) -> bool | None:
    """Whether one of those that the judge liked best won and helped; None: it was not heard, or nobody knows yet."""
    if not council.heard or council.outcome not in ("success", "failure"):
        return None
    assert council.ended is not None
    points: dict[str, list[float]] = defaultdict(list)
    for heard in council.heard.values():
        for candidate, score in heard.scores.items():
            points[candidate].append(score)
    mean = {candidate: sum(scores) / len(scores) for candidate, scores in points.items()}
    winner = council.ended.winner
    return council.outcome == "success" and winner in mean and mean[winner] == max(mean.values())


def recorded(outcome: Any) -> OutcomeRecorded:
    return OutcomeRecorded(outcome, "so it went")
