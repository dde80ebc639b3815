"""`python -m ops.peers`: run the peers and Witan in turns, print the table, and keep every run in .bench/peers.json."""

import json
import os
import platform
import sys
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime

from ops.peers.environment import BENCH, PEERS, Failed, python_of
from ops.peers.rounds import Run, rounds
from ops.peers.table import medians, table

WORKFLOWS = 800


def main() -> int:
    options = _options()
    peers: list[str] = options.only or PEERS
    try:
        for peer in peers:
            python_of(peer)
    except Failed as reason:
        print(reason, file=sys.stderr)
        return 1
    runs: list[Run] = []
    reasons: list[Exception] = []
    for outcome in rounds(peers, options.rounds, max(1, round(WORKFLOWS * options.scale))):
        if isinstance(outcome, list):
            runs += outcome
            for run in outcome:
                print(json.dumps(run), file=sys.stderr, flush=True)
        else:
            reasons.append(outcome)
    _keep(runs)
    print(table(medians(runs)))
    for text in dict.fromkeys(map(str, reasons)):
        print(text)
    return int(any(isinstance(reason, Failed) for reason in reasons))


def _options() -> Namespace:
    parser = ArgumentParser(prog="python -m ops.peers", description=__doc__)
    parser.add_argument("--only", action="append", choices=PEERS, metavar="NAME", help=f"one of {', '.join(PEERS)}")
    parser.add_argument("--scale", type=float, default=1.0, help=f"times {WORKFLOWS} workflows at each width")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each peer; the table shows medians")
    return parser.parse_args()


def _keep(runs: list[Run]) -> None:
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    kept = {"at": datetime.now(UTC).isoformat(), "machine": machine, "medians": medians(runs), "runs": runs}
    BENCH.mkdir(exist_ok=True)
    (BENCH / "peers.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
