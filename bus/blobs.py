"""Large texts, kept once under their sha256 in the object store's own layout; the log carries the reference.

The client's own `get` is quadratic in the number of chunks, so reading is done here with one batch read.
"""

import asyncio
import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from typing import Any

import msgspec

from bus.connection import Connection, headers
from bus.errors import Broken, Missing, Unavailable
from bus.subjects import ARTIFACTS

INLINE_MAX_BYTES = 32 * 1024
NOTE_MAX_BYTES = 4096
"""A JSON object that needs no more than this in an event stands in the event: to keep it apart takes a round."""
CHUNK_BYTES = 128 * 1024
MIND_BYTES, MIND_MAX_BYTES = 16 * 1024 * 1024, 256 * 1024
"""So much of what was kept or read last stays in mind, each up to this size: what has such a name never changes."""
THERE = b'"err_code":10071'
"""The server's word for a subject that is not where it was expected."""
_STREAM = f"OBJ_{ARTIFACTS}"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def noted(content: bytes) -> tuple[str, tuple[bytes, ...]]:
    """What an event says of a JSON object: the object itself, or if that is long its sha256; and what is to be kept."""
    text = content.decode()
    return (text, ()) if len(msgspec.json.encode(text)) <= NOTE_MAX_BYTES else (sha256(content), (content,))


def note_in(reference: str) -> bytes | None:
    """The object, if the event says it itself."""
    return reference.encode() if reference.startswith("{") else None


def _meta_subject(digest: str) -> str:
    return f"$O.{ARTIFACTS}.M.{urlsafe_b64encode(digest.encode()).decode()}"


class Blobs:
    """put and get by content."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._mind: dict[str, bytes] = {}
        self._mind_bytes = 0

    async def put(self, content: bytes) -> str:
        """Keep it, unless it is there; answer its name.

        What is short is sent at once, with an entry that the store only takes where there is none: nearly always so.
        """
        digest = sha256(content)
        if digest in self._mind:
            return digest
        if len(content) > CHUNK_BYTES and await self._keeps(digest, content):
            return digest
        first = headers(Nats_Expected_Last_Subject_Sequence="0")
        if not await self._upload(digest, content, first) and not await self._keeps(digest, content):
            await self._upload(digest, content, headers(Nats_Rollup="sub"))
        self._remember(digest, content)
        return digest

    async def _keeps(self, digest: str, content: bytes) -> bool:
        """Whether it is there, and whole: half of an upload may be all that came."""
        try:
            return await self.get(digest) == content
        except (Missing, Broken):
            return False

    async def _upload(self, digest: str, content: bytes, block: bytes) -> bool:
        """Its pieces, and the entry that names them; whether the store took that."""
        upload = secrets.token_hex(11)  # what a broken upload left behind is never read
        chunks = [content[at : at + CHUNK_BYTES] for at in range(0, len(content), CHUNK_BYTES)]
        told = {
            "name": digest,
            "bucket": ARTIFACTS,
            "nuid": upload,
            "size": len(content),
            "chunks": len(chunks),
            "digest": "SHA-256=" + urlsafe_b64encode(hashlib.sha256(content).digest()).decode(),
            "options": {"max_chunk_size": CHUNK_BYTES},
        }
        subject, entry = f"$O.{ARTIFACTS}.C.{upload}", json.dumps(told).encode()
        for chunk in chunks[:-1]:
            await self._store(subject, chunk)
        sent = [self._store(subject, chunk) for chunk in chunks[-1:]]
        *_, taken = await asyncio.gather(*sent, self._store(_meta_subject(digest), entry, block))
        if not taken:
            wish = json.dumps({"filter": subject}).encode()
            await self._connection.request(f"$JS.API.STREAM.PURGE.{_STREAM}", wish)
        return taken

    def known(self, digest: str) -> bytes | None:
        """The content, if it is in mind; from any thread."""
        return self._mind.get(digest)

    async def get(self, digest: str) -> bytes:
        """The content, checked against its name."""
        if (known := self.known(digest)) is not None:
            return known
        told = await self._told(digest)
        if told is None:
            raise Missing(f"no artifact has the sha256 {digest}", "List them with `witan query artifacts`.")
        content = await self._chunks(told["nuid"], told["chunks"])
        if sha256(content) != digest:
            raise Broken(f"the artifact {digest} is damaged")
        self._remember(digest, content)
        return content

    def _remember(self, digest: str, content: bytes) -> None:
        if len(content) <= MIND_MAX_BYTES and digest not in self._mind:
            self._mind[digest] = content
            self._mind_bytes += len(content)
            while self._mind_bytes > MIND_BYTES:
                self._mind_bytes -= len(self._mind.pop(next(iter(self._mind))))

    async def _told(self, digest: str) -> dict[str, Any] | None:
        reply = await self._connection.request(f"$JS.API.DIRECT.GET.{_STREAM}.{_meta_subject(digest)}")
        if reply.status == "404":
            return None
        if reply.status:
            raise Unavailable(f"the artifact store answered {reply.status}")
        told: dict[str, Any] = json.loads(reply.body)
        return told

    async def _chunks(self, upload: str, count: int) -> bytes:
        """All chunks by one request."""
        if count == 0:
            return b""
        parts: list[bytes] = []
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def receive(_: bytes, __: bytes, block: bytes | None, body: bytes) -> None:
            if block is not None and block[8:9] == b" ":
                if not ended.done():
                    ended.set_result(None)
            else:
                parts.append(body)

        inbox = self._connection.inbox(receive)
        wish = {"seq": 1, "next_by_subj": f"$O.{ARTIFACTS}.C.{upload}", "batch": count}
        self._connection.publish(f"$JS.API.DIRECT.GET.{_STREAM}".encode(), json.dumps(wish).encode(), inbox)
        try:
            async with asyncio.timeout(30):
                await ended
        except TimeoutError:
            raise Unavailable("the artifact store did not answer") from None
        finally:
            self._connection.drop_inbox(inbox)
        return b"".join(parts)

    async def _store(self, subject: str, body: bytes, block: bytes | None = None) -> bool:
        """Whether the store took it; False: there is one already."""
        reply = await self._connection.request(subject, body, block, timeout_s=10)
        if THERE in reply.body:
            return False
        if reply.status or b'"error"' in reply.body:
            raise Unavailable(f"the artifact store did not take a chunk: {reply.body.decode(errors='replace')[:200]}")
        return True
