"""LangGraph on SQLite, `durability="sync"`: a step's checkpoint is committed and synced before the next one runs."""

import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver  # type: ignore[import-not-found, unused-ignore]
from langgraph.graph import START, StateGraph  # type: ignore[import-not-found, unused-ignore]

from ops.peers.work import STEPS, WARM_UP, Artifact, Figure, Watch, fresh, report


class Work(TypedDict, total=False):
    """What a workflow remembers: its name, and the artifact of each step."""

    workflow: str
    research: Artifact
    design: Artifact
    implement: Artifact
    test: Artifact
    deploy: Artifact


def doing(watch: Watch, step: str) -> Callable[[Work], dict[str, Artifact]]:
    def do(work: Work) -> dict[str, Artifact]:
        return {step: watch.step(work["workflow"], step)}

    return do


def line(saver: Any, watch: Watch) -> Any:
    """Five nodes in a line. A node may not have the name of what it writes, so it has a verb."""
    graph = StateGraph(Work)
    graph.add_sequence([(f"do_{step}", doing(watch, step)) for step in STEPS])
    graph.add_edge(START, f"do_{STEPS[0]}")
    return graph.compile(checkpointer=saver)


def drive(graph: Any, workflows: list[str], at_once: int) -> None:
    """Run each workflow in a thread of its own, this many at once; measured faster here than its asyncio twin."""

    def run(workflow: str) -> None:
        done = graph.invoke({"workflow": workflow}, {"configurable": {"thread_id": workflow}}, durability="sync")
        if not all(step in done for step in STEPS):
            raise RuntimeError(f"workflow {workflow} ended with {sorted(done)}")

    with ThreadPoolExecutor(at_once) as threads:
        list(threads.map(run, workflows))


def check(database: sqlite3.Connection, workflows: int) -> None:
    """Every step left a checkpoint, and every commit was synced."""
    (kept,) = database.execute("select count(*) from checkpoints").fetchone()
    (mode,) = database.execute("pragma synchronous").fetchone()
    if kept < len(STEPS) * workflows or mode != 2:
        raise RuntimeError(f"{kept} checkpoints for {workflows} workflows, synchronous={mode}")


def measure(at_once: int, count: int) -> Figure:
    watch, workflows, warm_up = Watch(), fresh(count), fresh(max(at_once, WARM_UP))
    with (
        tempfile.TemporaryDirectory(dir=sys.prefix) as folder,
        closing(sqlite3.connect(Path(folder, "checkpoints.db"), check_same_thread=False)) as database,
    ):
        graph = line(SqliteSaver(database), watch)
        drive(graph, warm_up, at_once)
        began = time.perf_counter()
        drive(graph, workflows, at_once)
        wall_s = time.perf_counter() - began
        check(database, count + len(warm_up))
    return watch.figure("langgraph", at_once, workflows, wall_s)


if __name__ == "__main__":
    report(measure)
