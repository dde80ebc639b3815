"""What passes between the executor's decisions and the hands that carry them out."""

from typing import Literal, NamedTuple

import msgspec

from actors.tools import Tool
from bus.blobs import sha256
from bus.messages import exec as said
from bus.messages.base import Event, Excerpt, TestResults
from bus.messages.workspace import WorkspaceOpened

HEAD_BYTES, TAIL_BYTES = 6 * 1024, 4 * 1024
"""So much of a long output stands in the event itself."""
EXCERPT_MAX_BYTES, EVENT_MAX_BYTES = 32 * 1024, 60 * 1024
TOO_LARGE = Excerpt("It was done, but what there is to say about it is too much for one event. Do less at once.")
_UNSEEN = dict.fromkeys((*range(9), 11, 12, *range(14, 32)), "�")


class Place(NamedTuple):
    """The workspace that a job works in; `opened` is empty when it is the first."""

    task: str
    repo: str
    base: str
    opened: WorkspaceOpened | None


class Job(NamedTuple):
    """One call of one run, with all that is needed to do it."""

    key: str
    subject: str
    agent: str
    run: str
    phase: str
    call: str
    again: int
    name: str
    tool: Tool
    place: Place
    territory: tuple[str, ...]
    network: bool
    produces: str
    green: frozenset[str] = frozenset()
    tests: TestResults | None = None
    environment: str = ""
    redo: bool = False
    now_s: float = 0
    solution: bytes = b""
    """What is to be applied."""


class Stop(NamedTuple):
    """Stop the commands of these jobs."""

    keys: tuple[str, ...]
    why: Literal["cancel", "freeze"]


class Order(NamedTuple):
    """An order about a whole workspace: merge it, or throw it away."""

    key: str
    order: str
    task: str
    what: str
    opened: WorkspaceOpened
    now_s: float


class Backgrounded(NamedTuple):
    """The command takes longer than the agent waits."""


class Silent(NamedTuple):
    silent_s: float


class Result(NamedTuple):
    """What came of a job or an order: events for its run's execs and for its workspace, and the texts they refer to."""

    work: Job | Order
    execs: list[Event]
    workspace: list[Event]
    blobs: list[bytes]


def excerpt(content: bytes, out_of: int = 0) -> tuple[Excerpt, list[bytes]]:
    """The text for an event, and the whole for the blob store when the event cannot hold it."""
    size = max(out_of, len(content))
    if len(content) <= HEAD_BYTES + TAIL_BYTES:
        return Excerpt(_plain(content.decode(errors="replace")), size), []
    head, tail = content[:HEAD_BYTES], content[-TAIL_BYTES:]
    middle = f"\n[… {size - HEAD_BYTES - TAIL_BYTES} bytes left out …]\n"
    text = head.decode(errors="replace") + middle + tail.decode(errors="replace")
    return Excerpt(_plain(text), size, sha256(content)), [content]


def _plain(text: str) -> str:
    """Without NUL; and without any control character where so many of them would burst the event, each six letters."""
    if len(msgspec.json.encode(text)) > EXCERPT_MAX_BYTES:
        text = text.translate(_UNSEEN)
    return text.replace("\x00", "�")


def fitting(event: Event) -> Event:
    """The same event, without its lists where they are too long for the log: its one end must be told."""
    if len(msgspec.json.encode(event)) <= EVENT_MAX_BYTES:
        return event
    if isinstance(event, said.ExecEnded) and event.tests is not None:
        return msgspec.structs.replace(event, tests=msgspec.structs.replace(event.tests, failures=[]))
    if isinstance(event, said.ToolEnded):
        shorter = msgspec.structs.replace(event, read=event.read[:20])
        if len(msgspec.json.encode(shorter)) <= EVENT_MAX_BYTES:
            return shorter
        return said.ToolEnded(
            call=event.call, ok=False, output=TOO_LARGE, ms=event.ms, failure="unknown", again=event.again
        )
    return event
