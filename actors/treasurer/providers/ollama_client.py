"""Ollama's own client, made careful: whole lines of bounded length, nothing but what was asked for, no redirects."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from actors.treasurer.providers.failures import is_loopback

if TYPE_CHECKING:
    import httpx
    import ollama

PORT, CONNECT_S = 11434, 5.0
LINE_MAX_BYTES, REFUSAL_MAX_BYTES = 4 * 1024 * 1024, 64 * 1024
BREAKS = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))
"""Where the client would break a line in the middle of a text, and how JSON says the same."""


class Malformed(Exception):
    """It is not what the interface says."""


def address_of(host: str) -> str:
    """What OLLAMA_HOST means: a host, a host and port, or an address; anything secret in it is left out."""
    scheme, mark, rest = host.strip().partition("://")
    scheme, rest = (scheme, rest) if mark else ("http", scheme)
    parts = urlsplit(f"{scheme}://{rest}")
    try:
        name, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError:
        name, port = "127.0.0.1", None
    name = f"[{name}]" if ":" in name else "127.0.0.1" if name == "0.0.0.0" else name
    usual = {"http": 80, "https": 443}.get(scheme, PORT) if mark else PORT
    return f"{scheme}://{name}:{port or usual}{parts.path.rstrip('/')}"


def client_at(address: str, key: str) -> "ollama.AsyncClient":
    import httpx
    import ollama

    headers = {"accept-encoding": "identity", **({"authorization": f"Bearer {key}"} if key else {})}
    return ollama.AsyncClient(
        address,
        headers=headers,
        timeout=httpx.Timeout(None, connect=CONNECT_S),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        follow_redirects=False,
        trust_env=not is_loopback(address),
        verify=address.startswith("https:"),
        event_hooks={"response": [_carefully()]},
    )


def _carefully() -> Any:
    """A hook that looks at each answer before the client reads it."""
    import httpx

    class ByLines(httpx.AsyncByteStream):
        """A body in whole lines."""

        def __init__(self, inner: httpx.AsyncByteStream, most_bytes: int) -> None:
            self._inner, self._most_bytes = inner, most_bytes

        async def __aiter__(self) -> AsyncIterator[bytes]:
            rest = bytearray()
            async for piece in self._inner:
                whole, mark, begun = piece.rpartition(b"\n")
                if mark:
                    yield _unbroken(bytes(rest) + whole + mark)
                    rest.clear()
                rest += begun
                if len(rest) > self._most_bytes:
                    raise httpx.ReadError(f"a line of more than {self._most_bytes} bytes")
            if rest:
                yield _unbroken(bytes(rest))

        async def aclose(self) -> None:
            await self._inner.aclose()

    async def look(response: "httpx.Response") -> None:
        kind = response.headers.get("content-type", "")
        if response.is_success and "json" not in kind:
            raise Malformed(f"an answer of type {kind or 'none'}")
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = ByLines(response.stream, LINE_MAX_BYTES if response.is_success else REFUSAL_MAX_BYTES)

    return look


def _unbroken(lines: bytes) -> bytes:
    for seen, said in BREAKS:
        lines = lines.replace(seen, said)
    return lines
