"""The work that every system is given, workflows of five steps that do nothing, and the watch held over it."""

import json
import random
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import TypedDict

STEPS = ("research", "design", "implement", "test", "deploy")
AT_ONCE = (1, 10, 100)
WARM_UP = 50

Artifact = dict[str, str]
_ARTIFACT_BYTES = 1024
_TEXT = random.Random(42).randbytes(_ARTIFACT_BYTES // 2).hex()
_FRAME_BYTES = len(json.dumps({"workflow": "", "step": "", "body": ""}, separators=(",", ":")))


class Figure(TypedDict):
    """One line of results: how one system did with so many workflows at once."""

    system: str
    at_once: int
    steps_per_s: float
    handoff_p50_ms: float
    handoff_p99_ms: float


class Watch:
    """Does the steps, and remembers when each began and ended."""

    def __init__(self) -> None:
        self._times: dict[str, list[tuple[str, int, int]]] = {}

    def step(self, workflow: str, step: str) -> Artifact:
        """Do one step, which is nothing; its artifact is 1 KB of JSON."""
        began = time.perf_counter_ns()
        body = _TEXT[: _ARTIFACT_BYTES - _FRAME_BYTES - len(workflow) - len(step)]
        artifact = {"workflow": workflow, "step": step, "body": body}
        self._times.setdefault(workflow, []).append((step, began, time.perf_counter_ns()))
        return artifact

    def figure(self, system: str, at_once: int, workflows: Iterable[str], wall_s: float) -> Figure:
        """What these workflows took: a handoff is from the end of a step to the start of the next one."""
        handoffs_ms: list[float] = []
        done = 0
        for workflow in workflows:
            times = self._times.get(workflow, [])
            if tuple(step for step, _, _ in times) != STEPS:
                raise RuntimeError(f"workflow {workflow} did {[step for step, _, _ in times]}, not each step once")
            done += len(times)
            for (_, _, ended), (_, began, _) in pairwise(times):
                handoffs_ms.append((began - ended) / 1e6)
        cuts = statistics.quantiles(handoffs_ms, n=100)
        return Figure(
            system=system,
            at_once=at_once,
            steps_per_s=round(done / wall_s, 1),
            handoff_p50_ms=round(cuts[49], 3),
            handoff_p99_ms=round(cuts[98], 3),
        )


def fresh(count: int) -> list[str]:
    """The names of so many new workflows."""
    return [uuid.uuid4().hex for _ in range(count)]


def report(measure: Callable[[int, int], Figure]) -> None:
    """Measure at every width, with as many workflows as the command line says, and print a JSON line for each."""
    for at_once in AT_ONCE:
        print(json.dumps(measure(at_once, max(at_once, int(sys.argv[1])))), flush=True)
