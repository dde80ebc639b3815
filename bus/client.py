"""The plain NATS client without its web sockets, for which it would load a whole HTTP client: 0.15 s of each start."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _left_out(name: str) -> Iterator[None]:
    """Whoever can do without a package finds none meanwhile."""
    there = sys.modules.get(name)
    sys.modules[name] = there  # type: ignore[assignment]
    try:
        yield
    finally:
        if there is None:
            del sys.modules[name]


with _left_out("aiohttp"):
    from nats import connect
    from nats.aio.client import Client
    from nats.errors import Error as NatsError
    from nats.protocol.parser import Parser

__all__ = ["Client", "NatsError", "Parser", "connect"]
