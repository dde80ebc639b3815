"""The median of every system's runs, as a table that puts Witan beside its peers at each width."""

from collections.abc import Iterable
from itertools import groupby
from statistics import median

from ops.peers.rounds import Run

_HEAD = ("at once", "system", "steps/s", "handoff p50 ms", "p99 ms", "others' cores")
_ROW = "{:>7}  {:<12} {:>8}  {:>14}  {:>8}  {:>13}"


def medians(runs: Iterable[Run]) -> list[Run]:
    """One for each system at each width, narrow ones first."""
    ordered = sorted(runs, key=_place)
    return [_median(list(group)) for _, group in groupby(ordered, _place)]


def table(rows: Iterable[Run]) -> str:
    return "\n".join([_ROW.format(*_HEAD), *map(_line, rows)])


def _place(run: Run) -> tuple[int, str]:
    return run["at_once"], run["system"]


def _median(runs: list[Run]) -> Run:
    others = [run["others_cores"] for run in runs if run["others_cores"] is not None]
    return Run(
        system=runs[0]["system"],
        at_once=runs[0]["at_once"],
        steps_per_s=median(run["steps_per_s"] for run in runs),
        handoff_p50_ms=median(run["handoff_p50_ms"] for run in runs),
        handoff_p99_ms=median(run["handoff_p99_ms"] for run in runs),
        others_cores=median(others) if others else None,
    )


def _line(run: Run) -> str:
    others = "?" if run["others_cores"] is None else f"{run['others_cores']:.2f}"
    p50, p99 = f"{run['handoff_p50_ms']:.2f}", f"{run['handoff_p99_ms']:.2f}"
    return _ROW.format(run["at_once"], run["system"], f"{run['steps_per_s']:,.0f}", p50, p99, others)
