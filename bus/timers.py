"""Durable timers: the server's scheduled messages. Setting one again under the same name moves it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from bus.connection import Connection, headers
from bus.errors import Unavailable


class Timer(NamedTuple):
    """At this moment, send this body to this actor."""

    actor: str
    name: str
    at_s: float
    body: msgspec.Struct


async def arm(connection: Connection, timers: Sequence[Timer]) -> None:
    """Set them all; when this returns they are stored."""
    asked = []
    for timer in timers:
        at = datetime.fromtimestamp(timer.at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        block = headers(Nats_Schedule=f"@at {at}", Nats_Schedule_Target=f"fired.{timer.actor}.{timer.name}")
        subject = f"timer.{timer.actor}.{timer.name}".encode()
        asked.append(connection.ask(subject, msgspec.json.encode(timer.body), block))
    for future in asked:
        reply = await future
        if b'"error"' in reply.body or reply.status:
            raise Unavailable(f"the server did not take a timer: {reply.body.decode(errors='replace')[:200]}")
