"""The score of a file, from 0 to 10: what is taken off for which issues, and what would help."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from actors.executor.reviewing.measuring import Issue

BEST = 10.0


class Weight(NamedTuple):
    """So much is taken off for each issue of a kind, and never more than `most`."""

    each: float
    most: float
    advice: str


WEIGHTS = {
    "syntax": Weight(BEST, BEST, "Make it parse first; nothing else matters until then."),
    "unsound": Weight(0.5, 3.0, "Look at what ruff calls wrong (F, B, PLE): these are mistakes, not taste."),
    "unsafe": Weight(0.5, 2.0, "Look at what ruff calls unsafe (S): does anything there come from outside?"),
    "caught in silence": Weight(0.75, 2.0, "Catch what can be dealt with and let the rest be seen."),
    "branches": Weight(0.5, 2.0, "Divide the functions with many branches: one decision in each."),
    "long functions": Weight(0.5, 2.0, "Divide the long functions where they change their subject."),
    "nesting": Weight(0.25, 1.0, "Return early, and give the inner loops a name of their own."),
    "arguments": Weight(0.25, 1.0, "Group what always goes together into one thing."),
    "no tests": Weight(1.0, 1.0, "Write a test that fails without it."),
    "size": Weight(0.5, 0.5, "Divide the file."),
    "style": Weight(0.1, 1.0, "Let `ruff check --fix` mend what is only style."),
    "long lines": Weight(0.05, 0.5, "Break the long lines."),
}


class Part(NamedTuple):
    kind: str
    times: int
    points: float


class Score(NamedTuple):
    """`points` is ten less the parts, and not less than nothing."""

    points: float
    parts: tuple[Part, ...]


def scored(issues: Sequence[Issue]) -> Score:
    """The same issues always come to the same score."""
    counts = {kind: sum(issue.kind == kind for issue in issues) for kind in WEIGHTS}
    parts = tuple(
        Part(kind, count, round(min(count * WEIGHTS[kind].each, WEIGHTS[kind].most), 2))
        for kind, count in counts.items()
        if count
    )
    return Score(round(max(BEST - sum(part.points for part in parts), 0.0), 1), parts)


def suggestions(parts: Iterable[Part]) -> list[str]:
    """What would help most, first."""
    return [WEIGHTS[part.kind].advice for part in sorted(parts, key=lambda part: -part.points)]


def in_words(score: Score) -> str:
    """How the score comes about."""
    taken = ", ".join(f"{part.points:g} for {part.kind} ({part.times})" for part in score.parts)
    return f"10 less {taken}" if taken else "nothing is taken off"
