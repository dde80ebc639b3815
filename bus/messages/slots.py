"""Admission: how many pipelines may run at once, who runs, who waits, and whether everything stands still."""

from typing import Annotated

from msgspec import Meta

from bus.messages.base import Command, Event


class ResizeSlots(Command, frozen=True):
    """Let this many pipelines run at once."""

    limit: Annotated[int, Meta(ge=1, le=100_000)]


class SlotsResized(Event, frozen=True):
    """`by_hand`: a command said so, and the settings do not change it back."""

    limit: int
    by_hand: bool = False


class PipelineQueued(Event, frozen=True):
    task: str
    priority: int = 0


class PipelineAdmitted(Event, frozen=True):
    task: str


class PipelineReleased(Event, frozen=True):
    task: str


class PipelineWithdrawn(Event, frozen=True):
    task: str


class WorkFrozen(Event, frozen=True):
    order: str


class WorkThawed(Event, frozen=True):
    order: str


SlotsEvent = (
    SlotsResized | PipelineQueued | PipelineAdmitted | PipelineReleased | PipelineWithdrawn | WorkFrozen | WorkThawed
)
