"""What a command is told before it starts, and what is told of it at its end."""

import builtins
from typing import Literal, NamedTuple

Level = Literal["A", "B", "C"]
"""A: namespaces by bubblewrap. B: Landlock and a filter of system calls. C: nothing holds it in."""


class Order(NamedTuple):
    """One command. Paths are absolute; one that does not exist when the command starts counts for nothing."""

    id: str
    command: str
    cwd: str
    """The workspace. It can always be read."""
    env: dict[str, str]
    """The whole environment, except for the warden's mark; nothing is inherited."""
    readable: list[str]
    """Beside the folders of the system and the workspace."""
    writable: list[str]
    """Folders and single files, of the workspace or beside it. A link there that leaves it counts for nothing."""
    scratch: str
    """A folder of its own, writable, for TMPDIR and HOME."""
    network: bool = False
    warn_s: float = 30
    kill_s: float = 60
    cap_s: float = 300
    output_max_bytes: int = 1 << 20
    """So much is kept (half of it head, half of it tail), and so much is told while it runs."""
    memory_max_bytes: int = 4 << 30
    """For each process."""


class Ended(NamedTuple):
    """The command and every process that it started are gone."""

    ended_by: Literal["exit", "silence", "cap", "cancel", "freeze", "lost sandbox"]
    """`lost sandbox`: the sandbox could not be entered, so the command was not run; the output says why."""
    exit: int | None
    """Negative: the signal that ended it. None: we ended it."""
    ms: float
    head: builtins.bytes
    tail: builtins.bytes
    """What follows the head, or the last of it when `bytes` is more than both hold."""
    bytes: int
    swept: int
    """Processes that were still there when the command had ended (in namespaces: at least so many)."""
