"""Pipelines of five no-op phases with 1 KB artifacts, every phase on the log before the next begins."""

import asyncio
import tempfile
import time
from pathlib import Path

from actors.orchestrator.slots import SUBJECT as SLOTS
from bus.envelope import Record
from bus.ids import fresh_id
from bus.messages.kinds import read_commit
from bus.messages.run import RunFinished, RunStarted
from bus.messages.task import TaskCompleted
from cli.app import App
from cli.config import Settings

ROLES = ("researcher", "designer", "coder", "tester", "deployer")


def run(at_once: int, count: int, projections: bool = True) -> dict[str, float]:
    """So many pipelines in all, so many of them at once."""
    with tempfile.TemporaryDirectory(prefix="witan-bench-", dir=_disk()) as folder:
        settings = Settings(
            state_dir=Path(folder),
            script="instant",
            pipelines=at_once,
            agents=dict.fromkeys(ROLES, at_once),
            log_level="error",
        )
        app = App(settings, projections=projections).open()
        try:
            return app.bridge.run(_drive(app, at_once, count), timeout_s=300)
        finally:
            app.close()


def _disk() -> Path:
    """On the checkout's disk: a temporary folder may be memory."""
    path = Path(".bench")
    path.mkdir(exist_ok=True)
    return path


async def _drive(app: App, at_once: int, count: int) -> dict[str, float]:
    """Keep so many in flight; times are taken where the agents' commits are handed to the log."""
    ended: dict[str, float] = {}
    handoffs: list[float] = []
    finished = asyncio.Event()
    left = count
    submitted = 0
    connection = app.connection
    submit = app.log.submit

    def submit_more(number: int) -> None:
        nonlocal submitted
        for _ in range(min(number, count - submitted)):
            submitted += 1
            block = f"NATS/1.0\r\nNats-Msg-Id: {fresh_id()}\r\n\r\n".encode()
            connection.publish(b"cmd.orchestrator.submit_task", b'{"task":"measure"}', b"", block)

    def seen(batch: list[Record], _: int) -> None:
        nonlocal left
        done = sum(b'"TaskCompleted"' in record.body for record in batch)
        follower.done(len(batch))
        left -= done
        submit_more(done)
        if left == 0:
            finished.set()

    def timed_submit(drafts):  # type: ignore[no-untyped-def]
        now = time.perf_counter()
        for draft in drafts:
            if draft.subject.startswith("evt.run."):
                task = draft.subject.rsplit(".", 1)[1].rsplit("-", 1)[0]
                if task in ended:
                    handoffs.append(now - ended[task])
                ended[task] = now
        return submit(drafts)

    app.log.submit = timed_submit  # type: ignore[method-assign]
    follower = await app.log.follow(["evt.task.*"], await app.log.head(), seen, 20_000)
    began, cpu = time.perf_counter(), time.process_time()
    submit_more(at_once)
    await asyncio.wait_for(finished.wait(), 240)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    await follower.close()
    handoffs.sort()
    return {
        "at_once": at_once,
        "steps_per_s": count * 5 / wall,
        "handoff_p50_ms": handoffs[len(handoffs) // 2] * 1000,
        "handoff_p99_ms": handoffs[int(len(handoffs) * 0.99)] * 1000,
        "cpu_ms_per_step": cpu / count / 5 * 1000,
    }
