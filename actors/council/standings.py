"""What councils taught: who solves what, how surely that is known, and which solutions are known to help."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from actors.council.odds import mean

RECENT_CASES = 500
"""So many of the newest cases say who solves what others do not."""
PRIOR_CASES, BORROWED_MAX = 2.0, 2.0
"""What is known before a kind's first case counts as so many cases, and so many more after a long record elsewhere."""
HALF_KNOWN_CASES = 10
OTHER_KIND = 0.1
"""What a case of another kind counts for who solves what together."""


class Case(NamedTuple):
    """What one council came to. `outcome` is empty while it is unknown."""

    council: str
    kind: str
    fingerprint: str
    solved: dict[str, bool]
    winner_model: str
    solution: str
    outcome: str


class Record(NamedTuple):
    """How a chance is distributed: Beta(a, b)."""

    a: float
    b: float

    @property
    def mean(self) -> float:
        return self.a / (self.a + self.b)


class Standings:
    """All cases, the one that was learned last being the newest."""

    def __init__(self) -> None:
        self._cases: dict[str, Case] = {}
        self._won: Counter[tuple[str, str]] = Counter()
        self._lost: Counter[tuple[str, str]] = Counter()

    def learn(self, case: Case) -> None:
        """The same council again replaces what was known of it."""
        if before := self._cases.pop(case.council, None):
            self._count(before, -1)
        self._cases[case.council] = case
        self._count(case, 1)

    def _count(self, case: Case, by: int) -> None:
        for model, solved in _truly_solved(case).items():
            counted = self._won if solved else self._lost
            counted[model, case.kind] += by
            counted[model, ""] += by

    def record(self, model: str, kind: str) -> Record:
        """Its cases of this kind, and before them what its cases of all other kinds make likely."""
        wins, losses = self._won[model, kind], self._lost[model, kind]
        other_wins, other_losses = self._won[model, ""] - wins, self._lost[model, ""] - losses
        known = other_wins + other_losses
        prior = PRIOR_CASES + BORROWED_MAX * known / (known + HALF_KNOWN_CASES)
        rate = mean(other_wins, other_losses)
        return Record(wins + prior * rate, losses + prior * (1 - rate))

    def accuracy(self, model: str, kind: str) -> float:
        """The chance that it solves a problem of this kind."""
        return self.record(model, kind).mean

    def kept(self, fingerprint: str) -> tuple[str, str] | None:
        """The newest solution of the same problem that helped and did not fail since, and its council."""
        failed: set[str] = set()
        for case in reversed(self._cases.values()):
            if case.fingerprint != fingerprint or not case.solution:
                continue
            if case.outcome == "success" and case.solution not in failed:
                return case.solution, case.council
            if case.outcome == "failure":
                failed.add(case.solution)
        return None

    def together(self, kind: str, models: Iterable[str]) -> "Together":
        """Who of these solved what the others did not, in the newest cases."""
        wanted = set(models)
        seen: Counter[tuple[bool, frozenset[str], frozenset[str]]] = Counter()
        for case in islice(reversed(self._cases.values()), RECENT_CASES):
            solved = {model: ok for model, ok in _truly_solved(case).items() if model in wanted}
            right = frozenset(model for model, ok in solved.items() if ok)
            if len(solved) > 1:
                seen[case.kind == kind, right, frozenset(solved) - right] += 1
        return Together(seen)


class Together:
    """Outcomes of the same problems side by side."""

    def __init__(self, seen: Counter[tuple[bool, frozenset[str], frozenset[str]]]) -> None:
        self._seen = list(seen.items())

    def besides(self, chosen: Sequence[str]) -> dict[str, tuple[float, float]]:
        """How often each solved, and failed at, what none of the chosen solved; fewer of them there count for less."""
        counted: dict[str, tuple[float, float]] = {}
        others = set(chosen)
        for (same_kind, right, wrong), count in self._seen:
            if not others.isdisjoint(right) or not (there := len(others & wrong)):
                continue
            weight = count * there / len(others) * (1 if same_kind else OTHER_KIND)
            for models, won, lost in ((right, weight, 0.0), (wrong - others, 0.0, weight)):
                for model in models:
                    wins, losses = counted.get(model, (0.0, 0.0))
                    counted[model] = wins + won, losses + lost
        return counted


def _truly_solved(case: Case) -> dict[str, bool]:
    """The winner solved it if that is what it came to, whatever its trial said."""
    if case.winner_model not in case.solved or case.outcome not in ("success", "failure"):
        return case.solved
    return {**case.solved, case.winner_model: case.outcome == "success"}
