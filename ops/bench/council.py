"""What a council is worth and what it costs: real councils over seeded problems with real tests.

Five models of known quality answer behind local servers that speak the real wire formats; all else is real: daemon,
treasurer, executor, sandbox, tests. All five are asked about every problem, so it is known of each what it would have
done alone. An answer is green if the tests that are there pass; it is right if it mends the cause. Some answers are
green and wrong: it takes a judge to tell them from the others. Learned, random and fixed choices are replayed over the
outcomes of the same run, twenty times each where they draw.

Overhead is the time from `CouncilConvened` to `CouncilEnded`, by the times of these events, less all moments at which
at least one model thinks (from the end of a request to the end of its reply, as the server has it) or at least one
command of a trial runs in the sandbox (as the executor has it). What is left is the council's own: gathering the
problem, choosing, paying, prompts, commits, scratch trees, weighing. It is taken of councils as they usually sit, three
members of the council's own choice, and told for full ones besides. Nothing else goes on meanwhile.
"""

from collections.abc import Iterator, Sequence
from statistics import median

from ops.bench.choices import SIZES, Played, alone, drawn, fixed, learned
from ops.bench.ground import Lab
from ops.bench.rows import Row, at_most
from ops.bench.sittings import Sat, sat

PROBLEMS, PLAIN = 14, 6
"""One of each kind; `SCALE=15` is all of them, more than two hundred."""
PROBLEMS_MAX, PLAIN_MAX = 200, 40
OVERHEAD_P50_MS = 50.0


def rows(lab: Lab) -> Iterator[Row]:
    count, plain = min(PROBLEMS_MAX, lab.scaled(PROBLEMS, 2)), min(PLAIN_MAX, lab.scaled(PLAIN, 1))
    table, usual = sat(lab.fresh("council"), count, plain)
    yield from _worth(table)
    yield from _choices(table)
    yield from _time("", usual)
    yield from _time("full_", table)


def _worth(table: Sequence[Sat]) -> Iterator[Row]:
    many, single = len(table), alone(table)
    best = max(single, key=lambda model: single[model].solved)
    rate = _percent(sum(row.helped == "success" for row in table), many)
    at_best = _percent(single[best].solved, many)
    yield Row("council_success_percent", rate, "%", at_best, f"always {best}, the best single one", at_best)
    for model, played in single.items():
        yield Row(f"council_alone_{_short(model)}_percent", _percent(played.solved, many), "%", rate, "the council")
    right = sum(row.helped == "success" and row.right.get(row.winner) == "right" for row in table)
    right_best = _percent(sum(row.right.get(best) == "right" for row in table), many)
    yield Row("council_right_percent", _percent(right, many), "%", right_best, f"always {best}; checks that nobody saw")
    micro = sum(sum(row.micro.values()) + row.judge_micro for row in table)
    solved = max(1, sum(row.helped == "success" for row in table))
    yield Row(
        "council_cost_per_resolution_usd", micro / solved / 1e6, "$", single[best].micro_each / 1e6,
        f"always {best}, which leaves {many - single[best].solved:.0f} of {many} unsolved",
    )  # fmt: skip


def _choices(table: Sequence[Sat]) -> Iterator[Row]:
    many = len(table)
    for size, count in SIZES.items():
        ours, anybody, (usual, hindsight) = learned(table, size), drawn(table, count), fixed(table, count)
        against = ((anybody, "random"), (usual, "fixed"), (hindsight, "fixed in hindsight"))
        for other, name in against:
            yield Row(
                f"council_learned_{size}_vs_{name.replace(' ', '_')}_percent", _percent(ours.solved, many), "%",
                _percent(other.solved, many), f"{name} choice of {count}; {_costs(ours, other)}; replayed",
            )  # fmt: skip


def _time(name: str, table: Sequence[Sat]) -> Iterator[Row]:
    wall, models, commands = (median(_ms(row, what) for row in table) for what in ("wall_s", "models_s", "commands_s"))
    beyond = median(_ms(row, "beyond_s") for row in table)
    against = f"{len(table)} whole councils: models {models:,.0f} ms, the trials' commands {commands:,.0f} ms"
    if name:
        yield Row(f"council_{name}overhead_p50_ms", beyond, "ms", wall, against)
    else:
        yield at_most("council_overhead_p50_ms", beyond, "ms", wall, against, OVERHEAD_P50_MS)


def _costs(ours: Played, other: Played) -> str:
    return f"${ours.micro_each / 1e6:.5f} against ${other.micro_each / 1e6:.5f} a solved one"


def _ms(row: Sat, what: str) -> float:
    return float(getattr(row, what)) * 1000


def _percent(part: float, whole: int) -> float:
    return 100 * part / whole


def _short(model: str) -> str:
    return model.partition("/")[2].replace(":", "_")
