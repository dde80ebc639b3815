"""Who would have been asked: learned, random and fixed choices, played over what every model did to every problem."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from actors.council.learning import Case, Offered, Standings, choose
from bus.messages.council import Size
from ops.bench.sittings import Sat
from tests.council_models import FIVE

SIZES: dict[Size, int] = {"minimal": 2, "standard": 3}
SEEDS = 20
"""A choice that is drawn is drawn so often, and the mean is told."""
TOKENS = 1_000_000


class Played(NamedTuple):
    """How many problems somebody among those asked had right, and what they all cost."""

    solved: float
    micro: float

    def part(self, problems: int) -> float:
        return self.solved / problems

    @property
    def micro_each(self) -> float:
        """What one solved problem costs."""
        return self.micro / self.solved if self.solved else 0.0


def alone(rows: Sequence[Sat]) -> dict[str, Played]:
    """Each model by itself."""
    return {each.model: _played(rows, lambda _, model=each.model: [model]) for each in FIVE}  # type: ignore[misc]


def fixed(rows: Sequence[Sat], count: int) -> tuple[Played, Played]:
    """Always the same ones: the mean over all ways to name so many, and the best of them as only hindsight knows it."""
    ways = [_played(rows, lambda _, names=names: names) for names in _combinations(count)]  # type: ignore[misc]
    return _mean(ways), max(ways, key=lambda each: each.solved)


def drawn(rows: Sequence[Sat], count: int) -> Played:
    """Anybody, for each problem anew."""
    names = [each.model for each in FIVE]
    lucks = [random.Random(seed) for seed in range(SEEDS)]
    return _mean([_played(rows, lambda _, luck=luck: luck.sample(names, count)) for luck in lucks])  # type: ignore[misc]


def learned(rows: Sequence[Sat], size: Size) -> Played:
    """As the council itself chooses, with nothing known at first and each problem's outcome known after it."""
    return _mean([_learned(rows, size, seed) for seed in range(SEEDS)])


def _learned(rows: Sequence[Sat], size: Size, seed: int) -> Played:
    standings, offered = Standings(), _offered(rows)
    numbered = iter(range(len(rows)))

    def ask(row: Sat) -> list[str]:
        number = next(numbered)
        chosen = choose(offered, row.kind, size, standings, seed=seed * 10_000 + number, input_tokens=1500)
        asked = [each.model for each in chosen.members]
        solved = {model: row.green[model] for model in asked}
        standings.learn(Case(f"c{number}", row.kind, row.fingerprint, solved, "", "", ""))
        return asked

    return _played(rows, ask)


def _played(rows: Sequence[Sat], ask: Callable[[Sat], Sequence[str]]) -> Played:
    solved = micro = 0
    for row in rows:
        asked = ask(row)
        solved += any(row.green[model] for model in asked)
        micro += sum(row.micro[model] for model in asked)
    return Played(solved, micro)


def _mean(played: Sequence[Played]) -> Played:
    return Played(sum(each.solved for each in played) / len(played), sum(each.micro for each in played) / len(played))


def _combinations(count: int) -> list[list[str]]:
    names = [each.model for each in FIVE]
    return [[names[place] for place in range(len(names)) if bits >> place & 1] for bits in range(1 << len(names))
            if bits.bit_count() == count]  # fmt: skip


def _offered(rows: Sequence[Sat]) -> list[Offered]:
    """At prices that make a call as dear as this model's calls were."""
    found: list[Offered] = []
    for each in FIVE:
        paid = [row.micro[each.model] for row in rows if row.micro[each.model]]
        each_call = sum(paid) / len(paid) if paid else 0.0
        price = round(each_call * TOKENS / 1500)
        provider, _, name = each.model.partition("/")
        found.append(Offered(each.model, name, provider == "ollama", False, price, 0, 40_000, 8_000))
    return found
