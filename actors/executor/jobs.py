"""What passes between the executor's decisions and the hands that carry them out."""

from typing import NamedTuple

from actors.tools import Tool
from bus.blobs import sha256
from bus.messages.base import Event, Excerpt, TestResults
from bus.messages.workspace import WorkspaceOpened

HEAD_BYTES, TAIL_BYTES = 6 * 1024, 4 * 1024
"""So much of a long output stands in the event itself."""


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


class Stop(NamedTuple):
    """Stop the commands of these jobs."""

    keys: tuple[str, ...]
    why: str


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


def excerpt(content: bytes, said: int = 0) -> tuple[Excerpt, list[bytes]]:
    """The text for an event, and the whole for the blob store when the event cannot hold it."""
    size = max(said, len(content))
    if len(content) <= HEAD_BYTES + TAIL_BYTES:
        return Excerpt(content.decode(errors="replace").replace("\x00", "�"), size), []
    head, tail = content[:HEAD_BYTES], content[-TAIL_BYTES:]
    middle = f"\n[… {size - HEAD_BYTES - TAIL_BYTES} bytes left out …]\n"
    text = head.decode(errors="replace") + middle + tail.decode(errors="replace")
    return Excerpt(text.replace("\x00", "�"), size, sha256(content)), [content]
