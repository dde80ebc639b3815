"""A measured figure beside its baseline and its goal: one line of the table, one entry of `.bench/latest.json`."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

_HEAD = ("figure", "measured", "unit", "goal", "", "baseline", "ratio", "baseline is")
_LINE = "{:<42} {:>12}  {:<10} {:>11} {:<6} {:>12} {:>8}  {}"


class Row(NamedTuple):
    """`against` says what the baseline is; a row without a goal is there for context."""

    name: str
    figure: float
    unit: str
    baseline: float
    against: str
    goal: float | None = None
    goal_is: Literal["at least", "at most"] = "at least"

    @property
    def ratio(self) -> float:
        return self.figure / self.baseline if self.baseline else 0.0

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.figure >= self.goal if self.goal_is == "at least" else self.figure <= self.goal


def at_most(name: str, figure: float, unit: str, baseline: float, against: str, goal: float) -> Row:
    """A row whose figure is the better the smaller it is."""
    return Row(name, figure, unit, baseline, against, goal, "at most")


def percentile(values: Iterable[float], part: float) -> float:
    """The value that this part of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def head() -> str:
    return _LINE.format(*_HEAD)


def line(row: Row) -> str:
    """One line for a person."""
    sign = "≥" if row.goal_is == "at least" else "≤"
    goal = "" if row.goal is None else f"{sign} {row.goal:,g}"
    verdict = {True: "met", False: "MISSED", None: ""}[row.met]
    ratio = f"{row.ratio:.2f}" if row.ratio < 100 else f"{row.ratio:,.0f}"
    return _LINE.format(
        row.name, _short(row.figure), row.unit, goal, verdict, _short(row.baseline), ratio, row.against
    ).rstrip()


def keep(path: Path, rows: Sequence[Row]) -> None:
    """Put the rows into the file; what it holds under other names stays."""
    try:
        kept = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        kept = {}
    kept.update((row.name, entry(row)) for row in rows)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(kept, indent=1) + "\n")


def entry(row: Row) -> dict[str, object]:
    """The row as others read it."""
    return {
        "figure": _round(row.figure),
        "unit": row.unit,
        "baseline": _round(row.baseline),
        "ratio": _round(row.ratio),
        "goal": row.goal,
        "goal_is": row.goal_is if row.goal is not None else None,
        "met": row.met,
        "against": row.against,
    }


def _round(number: float) -> float:
    return float(f"{number:.4g}")


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
