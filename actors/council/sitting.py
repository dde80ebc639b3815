"""How one council goes on: what its events and the trials so far call for next. Nothing here is remembered."""

from collections.abc import Callable, Sequence
from string import ascii_uppercase
from typing import Literal, NamedTuple

import msgspec

from actors.council import judging, words
from actors.council.judging import Entry, Weights
from actors.council.problem import Problem, Words, read_proposal, read_whole_problem
from actors.council.state import COMBINED, KEPT, Council, Trials
from actors.council.words import Shown
from bus.errors import Broken
from bus.messages.council import CouncilEnded, Member, Scored, Strategy
from bus.messages.trial import ProblemGathered

Outcome = Literal["answered", "no_answer", "nobody", "no_money", "called_off", "too_late"]
JUDGES = ("j1", "j2")
"""The judge's two sittings."""
SHOWN_MAX = len(ascii_uppercase)
REASON_CHARS = 2000


class Ask(NamedTuple):
    """An opinion that is needed next."""

    member: str
    purpose: Literal["member", "judge", "combine"]
    model: str
    words: Words
    order: list[str]


class View(NamedTuple):
    """A council as it stands: its events, the trials, how likely each model is right, and what counts how much."""

    council: Council
    trials: Trials
    accuracy: Callable[[str], float]
    weights: Weights

    @property
    def seed(self) -> int:
        return self.council.convened.seed if self.council.convened else 0

    @property
    def fingerprint(self) -> str:
        return self.trials.gathered.fingerprint if self.trials.gathered else ""

    @property
    def strategy(self) -> Strategy:
        convened, gathered = self.council.convened, self.trials.gathered
        if convened is not None and convened.strategy:
            return convened.strategy
        return judging.strategy_for(gathered.kind if gathered else "other", bool(gathered and gathered.tests))

    @property
    def entries(self) -> list[Entry]:
        """The candidates that have been tried."""
        return [self._entry(candidate) for candidate in self.council.candidates if candidate in self.trials.tried]

    def _entry(self, candidate: str) -> Entry:
        council = self.council
        heard = [council.heard[judge].scores for judge in JUDGES if judge in council.heard]
        points = tuple(scores[candidate] for scores in heard if candidate in scores)
        made, model = council.candidates[candidate], author_of(council, candidate)
        family = next((each.family for each in members_of(council) if each.model == model), "")
        tried, accuracy = self.trials.tried[candidate], self.accuracy(model)
        return Entry(candidate, model, family, made.confidence, tried, points, accuracy)

    def is_over(self, now_s: float) -> bool:
        return self.council.convened is None or now_s >= self.council.convened.until_s

    @property
    def able(self) -> list[Entry]:
        """Those that may win."""
        entries = self.entries
        tested = any(each.tried.tests is not None for each in entries)
        return [each for each in entries if is_right(each, self.weights) and not (tested and each.tried.tests is None)]


def is_right(entry: Entry, weights: Weights) -> bool:
    """Whether a candidate would win if it were the only one."""
    return bool(judging.decide("test_winner", [entry], weights).winner)


def members_of(council: Council) -> list[Member]:
    return council.chosen.members if council.chosen else []


def author_of(council: Council, candidate: str) -> str:
    """Whose it is: a model, or the council that it was kept from."""
    if candidate == KEPT:
        return council.candidates[KEPT].kept_from
    return council.asked[candidate].model if candidate in council.asked else ""


def waits(view: View) -> bool:
    """Whether somebody has not said or not tried something yet."""
    council = view.council
    return bool(council.open_opinions()) or any(each not in view.trials.tried for each in council.trials)


def next_opinion(view: View, fetch: Callable[[str], bytes]) -> Ask | None:
    """When all are in: a combination, a judge, or a second sitting, where it can make a difference."""
    council, gathered = view.council, view.trials.gathered
    if council.chosen is None or gathered is None:
        return None
    if view.strategy == "consensus" and COMBINED not in council.asked:
        parts = view.able or [each for each in view.entries if each.tried.applies]
        model = council.chosen.judge or (parts[0].model if parts else "")
        if len(parts) > 1 and "/" in model:
            shown = _shown(view, [each.candidate for each in parts], fetch)
            return Ask(COMBINED, "combine", model, words.combine_words(read_problem(gathered, fetch), shown), [])
    return _next_sitting(view, gathered, council.chosen.judge, fetch)


def _next_sitting(view: View, gathered: ProblemGathered, judge: str, fetch: Callable[[str], bytes]) -> Ask | None:
    first, second = JUDGES
    council = view.council
    if not judge or second in council.asked:
        return None
    if first not in council.asked:
        needed = judging.needs_judge(view.strategy, view.entries, view.weights, seed=view.seed)
    else:
        close = judging.is_close(view.entries, view.weights, strategy=view.strategy, seed=view.seed)
        needed = first in council.heard and close
    candidates = [each.candidate for each in view.able][:SHOWN_MAX]
    if not needed or len(candidates) < 2:
        return None
    sitting = 2 if first in council.asked else 1
    order = judging.shuffled(candidates, view.seed, sitting)
    shown = _shown(view, order, fetch)
    return Ask(JUDGES[sitting - 1], "judge", judge, words.judge_words(read_problem(gathered, fetch), shown), order)


def _shown(view: View, order: Sequence[str], fetch: Callable[[str], bytes]) -> list[Shown]:
    """The candidates by labels; who they are of is not said."""
    solutions = [view.council.candidates[each].solution for each in order]
    return [
        Shown(label, read_proposal(fetch(solution)), view.trials.tried[candidate])
        for label, candidate, solution in zip(ascii_uppercase, order, solutions, strict=False)
    ]


def read_problem(gathered: ProblemGathered, fetch: Callable[[str], bytes]) -> Problem:
    try:
        return read_whole_problem(fetch(gathered.problem))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Broken(f"the problem cannot be read: {error}") from error


def decided(view: View, *, in_time: bool = True) -> CouncilEnded:
    """The end of a council: whoever is best of those that were tried wins."""
    verdict = judging.decide(view.strategy, view.entries, view.weights, seed=view.seed)
    outcome: Outcome = "answered" if verdict.winner else _why_nothing(view.council) if in_time else "too_late"
    reason = verdict.reason if in_time else f"the time is over; {verdict.reason}"
    if verdict.winner == KEPT:
        reason = f"what helped with the same problem before helps again: {reason}"
    winner = verdict.winner
    solution = view.council.candidates[winner].solution if winner else ""
    told = ended(view.council, outcome, f"{reason}{_missing_in_words(view.council)}", verdict.scores)
    by = author_of(view.council, winner) if winner else ""
    tests = view.trials.gathered.tests if winner and view.trials.gathered else ""
    return msgspec.structs.replace(told, winner=winner, by=by, solution=solution, strategy=view.strategy, tests=tests)


def ended(council: Council, outcome: Outcome, reason: str, scores: Sequence[Scored] = ()) -> CouncilEnded:
    """An end without a winner."""
    assert council.convened is not None
    convened = council.convened
    return CouncilEnded(
        outcome, convened.task, convened.phase, convened.failure, reason[:REASON_CHARS], scores=list(scores)
    )


def _why_nothing(council: Council) -> Outcome:
    """Nobody could pay, or nobody was right."""
    members = [each.id for each in members_of(council)]
    unpaid = all(each in council.missing and council.missing[each].failure == "budget" for each in members)
    return "no_money" if members and unpaid else "no_answer"


def _missing_in_words(council: Council) -> str:
    """Who did not give an opinion, for whoever reads the reason of the end."""
    told = [f"{each.member} ({each.failure})" for each in council.missing.values()]
    told += [f"{member} (not in time)" for member in council.open_opinions()]
    return f"; without {', '.join(told)}" if told else ""
