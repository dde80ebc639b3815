"""Entities, read from the log while the actor waits."""

from actors.outbox import Wires
from bus.envelope import Record
from bus.log import Loaded


class Reader:
    """The desk's source: each question waits for the loop."""

    def __init__(self, wires: Wires) -> None:
        self._wires = wires

    def read(self, subject: str, after: int = 0) -> list[Record]:
        return self._wires.bridge.run(self._wires.log.read(subject, after))

    def load(self, subject: str) -> Loaded:
        return self._wires.bridge.run(self._wires.log.load(subject))

    def last(self, subject: str) -> Record | None:
        return self._wires.bridge.run(self._wires.log.last(subject))

    def blob(self, digest: str) -> bytes:
        known = self._wires.blobs.known(digest)
        return self._wires.bridge.run(self._wires.blobs.get(digest)) if known is None else known
