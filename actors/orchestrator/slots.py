"""Admission: who holds a slot, who waits for one, and whether everything stands still."""

from typing import assert_never

import msgspec

from bus.messages import slots as said

SUBJECT = "evt.slots.main"


class Slots(msgspec.Struct):
    """The one entity that every start and end of a pipeline goes through, so that the limit holds at every prefix."""

    limit: int = 2
    by_hand: bool = False
    holders: dict[str, None] = {}
    waiting: dict[int, dict[str, None]] = {}
    frozen: str = ""

    @property
    def free(self) -> int:
        return self.limit - len(self.holders)

    @property
    def depth(self) -> int:
        return sum(len(line) for line in self.waiting.values())

    def first(self) -> str:
        """The next to be admitted: the highest priority, then the longest wait."""
        return next((next(iter(line)) for _, line in sorted(self.waiting.items(), reverse=True) if line), "")

    def waits(self, task: str) -> bool:
        return any(task in line for line in self.waiting.values())

    def drop(self, task: str) -> None:
        for line in self.waiting.values():
            line.pop(task, None)


def evolve(slots: Slots, event: said.SlotsEvent) -> Slots:
    """What the slots are after the event."""
    match event:
        case said.PipelineQueued():
            slots.waiting.setdefault(event.priority, {})[event.task] = None
        case said.PipelineAdmitted():
            slots.drop(event.task)
            slots.holders[event.task] = None
        case said.PipelineReleased():
            slots.holders.pop(event.task, None)
        case said.PipelineWithdrawn():
            slots.drop(event.task)
        case said.SlotsResized():
            slots.limit, slots.by_hand = event.limit, event.by_hand
        case said.WorkFrozen():
            slots.frozen = event.order
        case said.WorkThawed():
            slots.frozen = ""
        case _:
            assert_never(event)
    return slots
