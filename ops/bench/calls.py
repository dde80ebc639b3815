"""What a call costs beyond the model's own time: through Witan, paid and recorded, beside the bare client.

Through Witan is from where `ModelRequested` stands on the log to where `ModelReplied` does: the choice of a model, the
prompt, the reservation, three commits in two durable parcels, the request, the stream, the settlement.
The bare client is the same adapter with a prompt as long as the conversation's. The server says how long it thought,
and that is taken off both, so what is compared is what each of them adds. Fifty at once think for a second, more or
less by a half: a client alone could not keep up with fifty that think for twenty thousandths.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime

import nats

from actors.treasurer.asking import Answered, Asked, Prompt, Text, Turn
from actors.treasurer.providers.chat_presets import PRESETS
from actors.treasurer.providers.openai import OpenAI
from bus.commands import request
from bus.envelope import Record
from bus.messages import call, step
from bus.messages.kinds import read_commit
from cli.app import App
from cli.config import Settings
from ops.bench.ground import Lab
from ops.bench.rows import Row, at_most, percentile
from ops.bench.thinker import MODEL, thinking, thought_s

CALLS = {1: 200, 50: 20}
"""So many at once: so many calls of each."""
THINK_S = {1: (0.02, 0.0), 50: (1.0, 0.5)}
GOAL_P50_MS, GOAL_P99_MS = 5.0, 20.0
LOOK_S = 1.0
WARM_UP = 2
"""So many calls of each run are not counted: the first connects, and reads what the run is about."""


def rows(lab: Lab) -> Iterator[Row]:
    for at_once, calls in CALLS.items():
        calls = lab.scaled(calls, WARM_UP + 3)
        with thinking(*THINK_S[at_once]) as thinker:
            bare, bare_cpu_ms = asyncio.run(_bare(at_once, calls))
            ours, cpu_ms = _ours(lab, thinker.asked, at_once, calls)
        for part, goal in ((0.5, GOAL_P50_MS), (0.99, GOAL_P99_MS)):
            alone, through = percentile(bare, part) * 1000, percentile(ours, part) * 1000
            name = f"calls_{at_once}_overhead_p{part * 100:.0f}_ms"
            yield at_most(name, through - alone, "ms", alone, "the bare client beyond the think time", goal)
        yield Row(
            f"calls_{at_once}_cpu_ms", cpu_ms, "ms", bare_cpu_ms, "the bare client; Python alone, agents included"
        )


async def _bare(at_once: int, calls: int) -> tuple[list[float], float]:
    """What the adapter takes beyond the server's thinking, asked straight; and the processor's time for a call."""
    adapter = OpenAI(PRESETS["openai"], os.environ)
    taken: list[float] = []

    async def ask_all() -> None:
        turns: list[Turn] = [Turn("user", (Text("count up " * 1000),))]
        for number in range(calls):
            began = time.perf_counter()
            prompt = Prompt(MODEL, "You count.", tuple(turns), (), 8192, 100_000)
            reply = await adapter.ask(prompt, lambda _: None, 60)
            if number >= WARM_UP:
                taken.append(time.perf_counter() - began - thought_s(reply.text))
            id = f"{number}-1"
            turns.append(Turn("assistant", (Text(reply.text), Asked(id, "checklist", reply.calls[0].input))))
            turns.append(Turn("user", (Answered(id, "1. [ ] item", True),)))

    cpu_s = time.process_time()
    try:
        await asyncio.gather(*(ask_all() for _ in range(at_once)))
    finally:
        await adapter.close()
    return taken, (time.process_time() - cpu_s) / (at_once * calls) * 1000


def _ours(lab: Lab, asked: Callable[[], int], at_once: int, calls: int) -> tuple[list[float], float]:
    folder = lab.fresh(f"calls-{at_once}")
    (folder / "roles").mkdir()
    (folder / "roles" / "coder.toml").write_text(_ROLE.format(3 * calls + 20))
    settings = Settings(
        state_dir=folder,
        pipelines=at_once,
        agent_capacity=at_once,
        workflow="direct",
        log_level="error",
        daily_usd=10_000.0,
        monthly_usd=10_000.0,
        task_usd=1_000.0,
    )
    app = App(settings).open()
    try:
        return app.bridge.run(_drive(app, asked, at_once, calls), timeout_s=300)
    finally:
        app.close()


_ROLE = """
name = "coder"
about = "counts"
tools = ["checklist", "finish"]
turns_max = {}
prompt = "You count."
context_max_tokens = 200000
"""


async def _drive(app: App, asked: Callable[[], int], at_once: int, calls: int) -> tuple[list[float], float]:
    """Until there were so many calls of each; no run ends before that, so there are as many at once all the time."""
    before, cpu_s = asked(), time.process_time()
    for number in range(at_once):
        body = json.dumps({"task": f"count up {number}", "workflow": "direct"}).encode()
        await request(app.connection, "orchestrator", "submit_task", body, f"task-{number}", timeout_s=20)
    async with asyncio.timeout(240):
        while (done := await asyncio.to_thread(asked) - before) < at_once * (calls + 1):
            await asyncio.sleep(LOOK_S)
    cpu_ms = (time.process_time() - cpu_s) / done * 1000
    return [each async for each in _overheads_s(app)], cpu_ms


async def _overheads_s(app: App) -> AsyncIterator[float]:
    """From where the server put the request on the log to where it put its reply, less what the model thought.

    The times are the server's own and are read when all is over: a reader at the same time would cost what it measures.
    """
    began: dict[tuple[str, int], datetime] = {}
    nc = await nats.connect(app.url)
    try:
        stream = nc.jetstream()
        left = (await stream.stream_info("EVENTS")).state.messages
        reader = await stream.subscribe("evt.>", stream="EVENTS", ordered_consumer=True)
        for _ in range(left):
            message = await reader.next_msg(10)
            run, at = message.subject.split(".", 2)[2], message.metadata.timestamp
            for event in read_commit(Record(message.subject, 0, message.data)).events:
                match event:
                    case step.ModelRequested():
                        began[run, event.turn] = at
                    case call.ModelReplied() if event.turn > WARM_UP:
                        yield (at - began[run, event.turn]).total_seconds() - thought_s(event.text)
    finally:
        await nc.close()
