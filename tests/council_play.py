"""Five models of different quality and price on seeded problems: what a way to choose among them comes to."""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from actors.council.learning import Case, Offered, Standings, choose
from actors.council.offers import OUTPUT_TOKENS

PROBLEMS = 200
SIZE = 3
TOKENS = 8000
SHARED = 0.5
"""How often what makes a problem hard for one model makes it hard for the others."""
KINDS = ("syntax_error", "wrong_result", "external_api", "design", "exception")
QUALITY = {
    "ollama/qwen3-coder": (0.85, 0.20, 0.05, 0.05, 0.20),
    "deepseek/deepseek-chat": (0.50, 0.75, 0.15, 0.20, 0.30),
    "gemini/gemini-3": (0.40, 0.30, 0.80, 0.30, 0.25),
    "openai/gpt-5.1": (0.55, 0.40, 0.30, 0.75, 0.35),
    "anthropic/claude-sonnet-5": (0.60, 0.45, 0.35, 0.45, 0.80),
}
"""Each has a strength, and blind spots where another is strong."""
DOLLARS = (0.0, 0.0), (0.3, 1.1), (1.25, 10.0), (1.5, 11.0), (3.0, 15.0)


def offered(model: str, input_usd: float, output_usd: float) -> Offered:
    prices = int(input_usd * 1e6), int(output_usd * 1e6)
    return Offered(model, model.partition("/")[0], not input_usd, False, *prices, 128_000, 8000)


FIVE = [offered(model, *prices) for model, prices in zip(QUALITY, DOLLARS, strict=True)]
COST = {each.model: each.micro(TOKENS, OUTPUT_TOKENS) for each in FIVE}


class Task(NamedTuple):
    """`solvers` are the models that solve it, asked or not."""

    kind: str
    solvers: frozenset[str]


class Score(NamedTuple):
    solved: float
    usd: float
    asked: float

    @property
    def per_dollar(self) -> float:
        return self.solved / self.usd if self.usd else float("inf")


Way = Callable[[int, str, Standings], Sequence[str]]


def problems(seed: int) -> list[Task]:
    """A model solves a problem as often as its quality says; it is often the same problems that others solve."""
    luck = random.Random(seed)
    tasks = []
    for _ in range(PROBLEMS):
        place, hardness = luck.randrange(len(KINDS)), luck.random()
        trials = {model: hardness if luck.random() < SHARED else luck.random() for model in QUALITY}
        solvers = frozenset(model for model, trial in trials.items() if trial < QUALITY[model][place])
        tasks.append(Task(KINDS[place], solvers))
    return tasks


def play(way: Way, seed: int) -> Score:
    """Per problem; only what those who were asked did is learned."""
    standings, solved, micro, asked = Standings(), 0, 0, 0
    for number, task in enumerate(problems(seed)):
        members = way(seed * PROBLEMS + number, task.kind, standings)
        right = {model: model in task.solvers for model in members}
        solved, micro, asked = solved + any(right.values()), micro + sum(COST[each] for each in members), asked
        asked += len(members)
        winner = next((model for model, ok in right.items() if ok), "")
        standings.learn(Case(f"c{number}", task.kind, "", right, winner, "", "success" if winner else ""))
    return Score(solved / PROBLEMS, micro / 1e6 / PROBLEMS, asked / PROBLEMS)


def learned(seed: int, kind: str, standings: Standings) -> list[str]:
    return [each.model for each in choose(FIVE, kind, "standard", standings, seed=seed).members]


def drawn(seed: int, kind: str, standings: Standings) -> list[str]:
    return random.Random(seed).sample(sorted(QUALITY), SIZE)


def always(*models: str) -> Way:
    return lambda seed, kind, standings: models


def all_fixed() -> Iterator[tuple[str, Way]]:
    for models in combinations(QUALITY, SIZE):
        yield " + ".join(model.partition("/")[0] for model in models), always(*models)


def over(way: Way, seeds: Sequence[int]) -> Score:
    scores = [play(way, seed) for seed in seeds]
    return Score(*(sum(column) / len(scores) for column in zip(*scores, strict=True)))
