"""What is kept of a command's output."""

from collections import deque


class Kept:
    """The first and the last part of an output."""

    def __init__(self, most: int) -> None:
        self.half, self.bytes = max(most // 2, 1), 0
        self.head = bytearray()
        self._tail: deque[bytes] = deque()
        self._held = 0

    def add(self, piece: bytes) -> None:
        self.bytes += len(piece)
        room = self.half - len(self.head)
        self.head += piece[:room]
        if piece := piece[room:]:
            self._tail.append(piece)
            self._held += len(piece)
            while self._held - len(self._tail[0]) >= self.half:
                self._held -= len(self._tail.popleft())

    @property
    def tail(self) -> bytes:
        return b"".join(self._tail)[-self.half :]
