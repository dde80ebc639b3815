"""A process of its own that asks Witan: commands, or questions, so many at once; prints what it measured as JSON."""

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import uvloop

from bus.connection import Connection, connect
from bus.ids import fresh_id
from ops.bench.rows import percentile

Request = Callable[[Connection, int], Awaitable[bytes]]


async def _command(connection: Connection, number: int) -> bytes:
    """One of 64 entities in turn; ids as the CLI sends them."""
    block = f"NATS/1.0\r\nNats-Msg-Id: {fresh_id()}\r\n\r\n".encode()
    body = b'{"pipeline_id":"bench-%02d"}' % (number % 64)
    return (await connection.request("guardian.pause_pipeline", body, block, timeout_s=30)).body


Questions = tuple[tuple[str, bytes], ...]
QUESTIONS: dict[str, Questions] = {
    "questions": (("ask.counts", b"{}"), ("ask.tasks", b'{"limit":50}'), ("ask.pipelines", b'{"limit":50}')),
    "history": (("ask.history", b"{}"), ("ask.history_stats", b"{}"), ("ask.history_errors", b"{}")),
}


async def _question(questions: Questions, connection: Connection, number: int) -> bytes:
    subject, body = questions[number % len(questions)]
    return (await connection.request(subject, body, timeout_s=30)).body


async def _ping(connection: Connection, number: int) -> bytes:
    """The smallest thing that a micro service answers."""
    return (await connection.request("$SRV.PING.witan", timeout_s=30)).body


REQUESTS: dict[str, Request] = {"commands": _command, "pings": _ping}
REQUESTS |= {what: partial(_question, questions) for what, questions in QUESTIONS.items()}


async def ask(url: str, what: str, count: int, at_once: int, pace_s: float, takes_s: float) -> dict[str, Any]:
    """So many requests, or for so long; with a pace, each asker waits so long before its next one."""
    connection = await connect(url, "bench")
    request, numbers = REQUESTS[what], iter(range(count)) if count else itertools.count()
    took: dict[int, float] = {}

    async def pull() -> None:
        for number in numbers:
            began = time.perf_counter()
            answer = await request(connection, number)
            took[number] = time.perf_counter() - began
            if not answer.startswith((b'{"ok":true', b'{"type": "io.nats.micro')):
                raise RuntimeError(f"{what}: {answer[:300]!r}")
            if pace_s:
                await asyncio.sleep(pace_s)
            if takes_s and time.perf_counter() - started > takes_s:
                return

    started = time.perf_counter()
    await asyncio.gather(*(pull() for _ in range(at_once)))
    wall_s = time.perf_counter() - started
    await connection.close()
    told = {"per_s": len(took) / wall_s, **_percentiles("", list(took.values()))}
    questions = QUESTIONS.get(what, ())
    for place, (subject, _) in enumerate(questions):
        mine = [seconds for number, seconds in took.items() if number % len(questions) == place]
        told |= _percentiles(f"{subject[4:]}_", mine)
    return told


def _percentiles(prefix: str, seconds: list[float]) -> dict[str, float]:
    return {f"{prefix}p{part}_ms": percentile(seconds, part / 100) * 1000 for part in (50, 99)}


def asking(
    url: str, what: str, count: int, at_once: int, pace_s: float = 0, takes_s: float = 0
) -> "subprocess.Popen[str]":
    """Start it; with no count it asks for so long."""
    command = [sys.executable, "-m", __name__, url, what, *map(str, (count, at_once, pace_s, takes_s))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def told_by(process: "subprocess.Popen[str]", timeout_s: float = 120) -> dict[str, float]:
    """Wait for what it has measured."""
    said, _ = process.communicate(timeout=timeout_s)
    if process.returncode:
        raise RuntimeError(f"an asker ended with {process.returncode}")
    told: dict[str, float] = json.loads(said)
    return told


if __name__ == "__main__":
    _, where, kind, number, width, pause, duration = sys.argv
    print(json.dumps(uvloop.run(ask(where, kind, int(number), int(width), float(pause), float(duration)))))
