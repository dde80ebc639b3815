"""How what was done is told: each call's outcome as the one event that ends it."""

import time

import msgspec

from actors.executor.jobs import Job, Result, excerpt
from actors.executor.sandbox.orders import Ended
from actors.redaction import Redactor
from bus.blobs import sha256
from bus.messages import exec as said
from bus.messages.base import Artifact, Event, TestResults


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


def exec_ended(
    job: Job, ended: Ended, tests: TestResults | None = None, tree: str = "", *, command: str = ""
) -> Result:
    """The end of a command, with what its tests came to; `command` where the request did not say it."""
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
        command=command,
    )
    return Result(job, [end], [], blobs)


def redacted(result: Result, redactor: Redactor) -> Result:
    """The same without secrets: in what is shown, in what is kept apart, and in artifacts."""
    kept = {sha256(blob): redactor.raw(blob) for blob in result.blobs}
    blobs: list[bytes] = []
    execs = [_redacted(event, redactor, kept, blobs) for event in result.execs]
    return result._replace(execs=execs, blobs=blobs)


def _redacted(event: Event, redactor: Redactor, kept: dict[str, bytes], blobs: list[bytes]) -> Event:
    if not isinstance(event, said.ToolEnded | said.ExecEnded):
        return event
    old = event.output
    output, apart = excerpt(kept.get(old.sha256, b"") or redactor.text(old.text).encode(), old.bytes)
    blobs += apart
    if isinstance(event, said.ExecEnded):
        return msgspec.structs.replace(event, output=output, command=redactor.text(event.command))
    artifacts: list[Artifact] = []
    for artifact in event.artifacts:
        content = kept[artifact.sha256]
        blobs.append(content)
        artifacts.append(msgspec.structs.replace(artifact, sha256=sha256(content), bytes=len(content)))
    return msgspec.structs.replace(event, output=output, artifacts=artifacts)
