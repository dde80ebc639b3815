"""Server-sent events, as providers stream their replies."""

from collections.abc import Iterator

STREAM_MAX_BYTES = 64 * 1024 * 1024


class Events:
    """The data of one event after the other, from bytes that are cut anywhere."""

    def __init__(self, event_max_bytes: int) -> None:
        self._most = event_max_bytes
        self._line: list[bytes] = []
        self._line_bytes = self._bytes = 0
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        self._bytes += len(chunk)
        whole, newline, rest = chunk.rpartition(b"\n")
        if newline:
            lines, self._line, self._line_bytes = b"".join((*self._line, whole)).split(b"\n"), [], 0
            yield from self._read(lines)
        self._line.append(rest)
        self._line_bytes += len(rest)
        if self._line_bytes > self._most or self._bytes > STREAM_MAX_BYTES:
            raise ValueError("it is larger than any reply")

    def _read(self, lines: list[bytes]) -> Iterator[bytes]:
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                yield b"\n".join(self._data)
                self._data = []
