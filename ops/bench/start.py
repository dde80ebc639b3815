"""Start: whole processes, from the command line to ready."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from ops.bench.daemon import command, environment
from ops.bench.ground import Lab
from ops.bench.rows import Row, at_most

TIMES_UP, TIMES_HELP = 5, 15
GOAL_UP_S, GOAL_HELP_MS = 1.5, 150.0
IMPORTS = "import nats, duckdb, msgspec, pykka"


def rows(lab: Lab) -> Iterator[Row]:
    folder = lab.fresh("start")
    helped, bare, imported = [], [], []
    for _ in range(TIMES_HELP):  # in turns, so that what else happens on the machine happens to all of them
        helped.append(_took_s(command("--help"), folder))
        bare.append(_took_s([sys.executable, "-c", "pass"], folder))
        imported.append(_took_s([sys.executable, "-c", IMPORTS], folder))
    ups = [_up_s(folder / f"state-{number}") for number in range(TIMES_UP)]
    python = "python -c pass"
    yield at_most("help_ms", median(helped) * 1000, "ms", median(bare) * 1000, python, GOAL_HELP_MS)
    yield at_most("up_s", median(ups), "s", median(imported), f"python -c '{IMPORTS}'", GOAL_UP_S)


def _took_s(words: list[str], folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(words, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _up_s(state: Path) -> float:
    """A new folder; `--detach` returns when Witan is ready, so two Pythons have started by then."""
    env = environment(state)
    began = time.perf_counter()
    subprocess.run(command("up", "--detach"), env=env, capture_output=True, check=True)
    took_s = time.perf_counter() - began
    subprocess.run(command("down"), env=env, capture_output=True, check=True)
    return took_s
