"""`python -m ops.bench`: measure, print the table, and keep every row in .bench/latest.json."""

import gc
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

from cli.config import Settings
from cli.logs import configure
from ops.bench import (
    board,
    calls,
    commands,
    council,
    entities,
    growth,
    history,
    lag,
    memory,
    pipelines,
    rebuild,
    replay,
    start,
    steps,
)
from ops.bench.ground import BENCH, Lab
from ops.bench.rows import Row, head, keep, line

FIGURES: dict[str, Callable[[Lab], Iterator[Row]]] = {
    "start": start.rows,
    "pipelines": pipelines.rows,
    "steps": steps.rows,
    "calls": calls.rows,
    "council": council.rows,
    "growth": growth.rows,
    "commands": commands.rows,
    "entities": entities.rows,
    "lag": lag.rows,
    "rebuild": rebuild.rows,
    "board": board.rows,
    "memory": memory.rows,
    "history": history.rows,
    "replay": replay.rows,
}
"""In this order the shared log is made once for rebuild, board, memory and replay, and made longer for the last."""


def main() -> int:
    options = _options()
    if options.peers:
        return _peers(options)
    configure(Settings(log_level="error"))
    gc.set_threshold(50_000, 20, 50)  # as in the daemon
    BENCH.mkdir(exist_ok=True)
    failed = False
    talk = sys.stderr if options.json else sys.stdout
    print(head(), file=talk, flush=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=BENCH, ignore_cleanup_errors=True) as folder:
        lab = Lab(Path(folder), options.scale, options.json)
        for name in [options.only] if options.only else FIGURES:
            began, others = time.perf_counter(), _others_s()
            try:
                for row in FIGURES[name](lab):
                    keep(BENCH / "latest.json", [row])
                    print(line(row), file=talk, flush=True)
            except Exception:
                failed = True
                print(f"{name} could not be measured:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
            wall_s = time.perf_counter() - began
            others_cores = max(0.0, _others_s() - others) / wall_s
            print(f"  {name}: {wall_s:.0f} s, others kept {others_cores:.1f} cores busy", file=talk, flush=True)
    return int(failed)


def _options() -> Namespace:
    parser = ArgumentParser(prog="python -m ops.bench", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help=f"one of {', '.join(FIGURES)}")
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual amount of work")
    parser.add_argument("--json", action="store_true", help="pipelines: a JSON line for each width; talk on stderr")
    parser.add_argument("--peers", action="store_true", help="run the comparable systems beside Witan instead")
    parser.add_argument("--rounds", type=int, default=3, help="with --peers: turns of each")
    options = parser.parse_args()
    if options.only and not options.peers and options.only not in FIGURES:
        parser.error(f"--only {options.only}: the figures are {', '.join(FIGURES)}")
    return options


def _peers(options: Namespace) -> int:
    """In a process of their own; `--only` and `--scale` mean there what they mean to them."""
    only = ["--only", options.only] if options.only else []
    more = ["--scale", str(options.scale), "--rounds", str(options.rounds)]
    return subprocess.run([sys.executable, "-m", "ops.peers", *only, *more], check=False).returncode


def _others_s() -> float:
    """The seconds that all cores have been busy, less our own and those of our children that have ended."""
    try:
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    except FileNotFoundError:
        return 0.0
    ours = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    busy_s = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return busy_s - sum(each.ru_utime + each.ru_stime for each in ours)


if __name__ == "__main__":
    sys.exit(main())
