"""An exec: what the executor did for one run. Each call of the run ends here in exactly one terminal event."""

from typing import Literal

from msgspec import field

from bus.messages.base import Artifact, Event, Excerpt, TestResults

EndedBy = Literal["exit", "silence", "cap", "cancel", "freeze", "lost sandbox"]


class ExecStarted(Event, frozen=True):
    """A command is about to run; whatever happens now, it is not run a second time under this number."""

    call: str
    level: str
    again: int = 0


class ExecSilent(Event, frozen=True):
    """The command has said nothing for so long."""

    call: str
    silent_s: float
    again: int = 0


class ExecBackgrounded(Event, frozen=True):
    """The command takes longer than the agent should wait; its end is told when it comes."""

    call: str
    again: int = 0


class ExecEnded(Event, frozen=True):
    """Terminal. The command and every process it started are gone; `swept` of them had to be killed for that."""

    call: str
    ended_by: EndedBy
    output: Excerpt
    ms: float
    exit: int | None = None
    swept: int = 0
    tests: TestResults | None = None
    tree: str = ""
    again: int = 0
    command: str = ""
    """The command, where the request did not say it."""


class ExecLost(Event, frozen=True):
    """Terminal. Nobody knows how the command ended; every process it started is gone."""

    call: str
    reason: str
    again: int = 0


class ToolEnded(Event, frozen=True):
    """Terminal, for everything that is not a command. `created` and `wrote` are paths in the workspace."""

    call: str
    ok: bool
    output: Excerpt
    ms: float
    failure: str = ""
    read: list[str] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    wrote: list[str] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    tree: str = ""
    again: int = 0


ExecEvent = ExecStarted | ExecSilent | ExecBackgrounded | ExecEnded | ExecLost | ToolEnded
