"""Long texts that the log only names: what a mind said, what came of a call, what a phase made."""

from collections.abc import Callable

from actors.apart import whole
from bus.errors import Missing
from bus.messages.base import Artifact, Excerpt, Pieces
from bus.messages.call import ModelReplied

WHOLE_MAX_BYTES = 256 * 1024
"""What is longer is shown by its ends, or not at all: no prompt has room for it."""


class Texts:
    """They are read when they are needed; without anywhere to read them from, what stands in the events has to do."""

    def __init__(self, fetch: Callable[[str], bytes] | None = None) -> None:
        self._fetch = fetch

    def thought(self, reply: ModelReplied) -> str:
        return self._read(reply.whole, 0) or reply.text

    def input(self, given: Pieces) -> Pieces:
        try:
            return whole(given, self._fetch) if self._fetch else given
        except Missing:
            return given

    def output(self, excerpt: Excerpt) -> str:
        return self._read(excerpt.sha256, excerpt.bytes) or excerpt.text

    def artifact(self, artifact: Artifact) -> str | None:
        """None: it is no text, or too long."""
        if artifact.content is not None:
            return artifact.content
        text = self._read(artifact.sha256, artifact.bytes)
        return None if text is None or "\ufffd" in text[:4000] else text

    def _read(self, digest: str, size: int) -> str | None:
        if self._fetch is None or not digest or size > WHOLE_MAX_BYTES:
            return None
        try:
            return self._fetch(digest).decode(errors="replace").replace("\x00", "\ufffd")
        except Missing:
            return None
