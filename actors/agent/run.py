"""A run: what its events make of it."""

from typing import Literal, assert_never

import msgspec

from bus.messages import run as said


class Run(msgspec.Struct, frozen=True, gc=False):
    """One attempt at one phase."""

    status: Literal["absent", "started", "ended"] = "absent"
    task: str = ""

    @property
    def closed(self) -> bool:
        return self.status == "ended"


def evolve(run: Run, event: said.RunEvent) -> Run:
    """What the run is after the event."""
    match event:
        case said.RunStarted():
            return Run("started", event.task)
        case said.RunFinished() | said.RunFailed() | said.RunStopped():
            return Run("ended", run.task)
        case _:
            assert_never(event)
