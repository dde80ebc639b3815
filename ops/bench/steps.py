"""Agents that really work: steps with file tools and with commands, one agent and ten, beside the bare calls."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from bus.envelope import Record
from bus.ids import fresh_id
from bus.messages import exec as done
from bus.messages import step
from bus.messages.kinds import read_commit
from cli.app import App
from cli.config import Settings
from ops.bench.ground import Ground, Lab, ground, taken
from ops.bench.rows import Row, at_most, percentile

FILE_STEPS = {1: 300, 10: 60}
COMMAND_STEPS = {1: 60, 10: 12}
"""So many agents: so many steps of each."""
GOAL_LOG_MS = 1.0
COMMITS_PER_STEP = 4
APPENDS = 3_000
CONTENT = "x = 1\n" * 150


class Figures(NamedTuple):
    """What one way of working came to."""

    per_s: float
    step_p50_ms: float
    tool_p50_ms: float


def rows(lab: Lab) -> Iterator[Row]:
    append_ms = _append_ms(lab)
    for agents, steps in FILE_STEPS.items():
        ours = _run(lab, f"files-{agents}", agents, _files(lab.scaled(steps, 10)))
        yield Row(f"steps_files_{agents}_per_s", ours.per_s, "steps/s", _bare_files(lab), "the same files, bare writes")
        if agents == 1:
            beyond = ours.step_p50_ms - ours.tool_p50_ms - COMMITS_PER_STEP * append_ms
            against = "one durable append, p50; a step has four, and they are not counted"
            yield at_most("steps_log_overhead_p50_ms", beyond, "ms", append_ms, against, GOAL_LOG_MS)
    for agents, steps in COMMAND_STEPS.items():
        ours = _run(lab, f"commands-{agents}", agents, _commands(lab.scaled(steps, 5)))
        against = "the same command, bare subprocess"
        yield Row(f"steps_commands_{agents}_per_s", ours.per_s, "steps/s", _bare_commands(), against)


def _files(steps: int) -> list[dict[str, object]]:
    return [
        {"tool": "write", "input": {"path": f"part{number % 7}/file{number}.py", "content": CONTENT}}
        for number in range(steps)
    ]


def _commands(steps: int) -> list[dict[str, object]]:
    return [{"tool": "run", "input": {"command": f"echo {number}"}} for number in range(steps)]


def _run(lab: Lab, name: str, agents: int, calls: list[dict[str, object]]) -> Figures:
    """So many agents, each with a task of its own that takes these calls, one a turn."""
    folder = lab.fresh(name)
    turns = [{"phase": "implement", "calls": [call]} for call in calls]
    turns.append({"phase": "implement", "calls": [{"tool": "finish", "input": {}}]})
    script = {"name": "bench", "about": "steps", "turns": turns}
    (folder / "roles").mkdir()
    (folder / "roles" / "coder.toml").write_text(_ROLE.format(len(turns)))
    (folder / "script.json").write_bytes(msgspec.json.encode(script))
    settings = Settings(
        state_dir=folder,
        script=str(folder / "script.json"),
        pipelines=agents,
        agents={"coder": agents},
        workflow="direct",
        log_level="error",
    )
    app = App(settings).open()
    try:
        return app.bridge.run(_drive(app, agents, len(calls)), timeout_s=300)
    finally:
        app.close()


_ROLE = """
name = "coder"
about = "writes"
tools = ["write", "run", "finish"]
turns_max = {}
prompt = "a script thinks for it"
"""


async def _drive(app: App, tasks: int, calls: int) -> Figures:
    asked: dict[tuple[str, int], float] = {}
    steps_s: list[float] = []
    tools_ms: list[float] = []
    ended = asyncio.Event()
    left = tasks * calls

    def seen(batch: list[Record], _: int) -> None:
        nonlocal left
        now = time.perf_counter()
        for record in batch:
            for event in read_commit(record).events:
                match event:
                    case step.ModelRequested():
                        run = record.subject
                        if (run, event.turn - 1) in asked:
                            steps_s.append(now - asked.pop((run, event.turn - 1)))
                        asked[run, event.turn] = now
                    case done.ToolEnded() | done.ExecEnded():
                        tools_ms.append(event.ms)
                        left -= 1
        if left <= 0:
            ended.set()
        follower.done(len(batch))

    log = app.log
    follower = await log.follow(["evt.step.*.*", "evt.exec.*.*"], await log.head(), seen, 5_000)
    began = time.perf_counter()
    for _ in range(tasks):
        block = f"NATS/1.0\r\nNats-Msg-Id: {fresh_id()}\r\n\r\n".encode()
        body = json.dumps({"task": "measure", "workflow": "direct"}).encode()
        app.connection.publish(b"cmd.orchestrator.submit_task", body, b"", block)
    await asyncio.wait_for(ended.wait(), 240)
    wall_s = time.perf_counter() - began
    await follower.close()
    return Figures(tasks * calls / wall_s, percentile(steps_s, 0.5) * 1000, percentile(tools_ms, 0.5))


def _append_ms(lab: Lab) -> float:
    """What one durable append takes, p50."""
    with ground(lab.fresh("bare-appends")) as here:
        return percentile(here.bridge.run(_appends_s(here), timeout_s=120), 0.5) * 1000


async def _appends_s(here: Ground) -> list[float]:
    took: list[float] = []
    for number in range(APPENDS):
        began = time.perf_counter()
        block = b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 0\r\n\r\n"
        await taken(here.connection.ask(b"evt.run.bare.%d" % number, b"x" * 800, block))
        took.append(time.perf_counter() - began)
    return took


def _bare_files(lab: Lab) -> float:
    folder = lab.fresh(f"bare-files-{fresh_id()}")
    began, count = time.perf_counter(), 300
    for number in range(count):
        Path(folder, f"file{number}.py").write_text(CONTENT)
    return count / (time.perf_counter() - began)


def _bare_commands() -> float:
    began, count = time.perf_counter(), 60
    for number in range(count):
        subprocess.run(["/bin/sh", "-c", f"echo {number}"], capture_output=True, check=True)
    return count / (time.perf_counter() - began)
