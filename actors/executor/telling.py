"""How what was done is told: each call's outcome as the one event that ends it."""

import time

from actors.executor.jobs import Job, Result, excerpt
from actors.executor.sandbox.orders import Ended
from bus.messages import exec as said
from bus.messages.base import TestResults


def ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)


def ended(job: Job, ok: bool, text: str, began: float, failure: str = "") -> Result:
    """The end of everything that is not a command; `began` 0: it took no time worth telling."""
    output, blobs = excerpt(text.encode())
    ms = ms_since(began) if began else 0
    end = said.ToolEnded(call=job.call, ok=ok, output=output, ms=ms, failure=failure, again=job.again)
    return Result(job, [end], [], blobs)


def failed(job: Job, text: str, began: float, failure: str) -> Result:
    return ended(job, False, text, began, failure)


def exec_ended(job: Job, ended: Ended, tests: TestResults | None = None, tree: str = "") -> Result:
    """The end of a command, with what its tests came to."""
    content = ended.head + ended.tail
    output, blobs = excerpt(content, ended.bytes)
    end = said.ExecEnded(
        call=job.call,
        ended_by=ended.ended_by,
        output=output,
        ms=round(ended.ms, 3),
        exit=ended.exit,
        swept=ended.swept,
        tests=tests,
        tree=tree,
        again=job.again,
    )
    return Result(job, [end], [], blobs)
