"""A commit: what one decision did to one entity, one message on the log, chained to the one before it."""

import hashlib
from binascii import b2a_base64
from typing import Any, Generic, TypeVar

import msgspec

from bus.errors import Broken, Invalid

COMMIT_MAX_BYTES = 64 * 1024
COMMAND_MAX_BYTES = 256 * 1024

E = TypeVar("E")


class Commit(msgspec.Struct, Generic[E], frozen=True, gc=False):
    """The envelope; `after` is the place in the log up to which its writer had dealt with everything."""

    id: str
    at: str
    by: str
    cause: str
    flow: str
    v: int
    prev: str
    events: list[E]
    after: int = 0


class Record(msgspec.Struct, frozen=True, gc=False):
    """One message of the log and its place in it."""

    subject: str
    seq: int
    body: bytes


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A commit that is not in the log yet. `expect` is the entity's last place; None: where my last append put it."""

    subject: str
    body: bytes
    id: str
    expect: int | None


_encode = msgspec.json.Encoder().encode


def encode(commit: Commit[Any]) -> bytes:
    """The bytes that go on the log."""
    body = _encode(commit)
    if len(body) > COMMIT_MAX_BYTES:
        raise Invalid(f"a commit of {len(body)} bytes is over the limit of {COMMIT_MAX_BYTES}")
    return body


def link(subject: str, body: bytes) -> str:
    """What the entity's next commit carries as `prev`; it covers the subject, so commits cannot trade places."""
    return b2a_base64(hashlib.sha256(b"%b\n%b" % (subject.encode(), body)).digest()[:24], newline=False).decode()


_envelope = msgspec.json.Decoder(Commit[msgspec.Raw])


def open_envelope(record: Record) -> Commit[msgspec.Raw]:
    """The envelope of a record, its events unread."""
    try:
        return _envelope.decode(record.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Broken(f"{record.subject} at {record.seq} is not a commit: {error}") from error
