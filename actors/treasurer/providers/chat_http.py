"""The chat-completions interface over aiohttp: its session, and what is read out of a response."""

import asyncio
import ssl
import warnings
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from actors.treasurer.providers.chat_stream import Hearing, Malformed
from actors.treasurer.providers.events import Events
from actors.treasurer.providers.failures import Refusal, is_loopback

if TYPE_CHECKING:
    import aiohttp

CONNECT_S, DRAIN_S = 10.0, 0.25
KEPT_S = 5.0
"""Calls have no limit but money; so long a connection is kept for the next one."""
LARGE_BYTES = 1024 * 1024
"""A larger request is sent in pieces, so that others are heard in between."""
EVENT_MAX_BYTES, BODY_MAX_BYTES = 4 * 1024 * 1024, 64 * 1024


def loaded(address: str) -> ssl.SSLContext | None:
    """All that takes long: the client, and what an encrypted address is checked by; the others need none."""
    import aiohttp  # noqa: F401

    if not address.startswith("https:"):
        return None
    import httpx2

    return httpx2.create_ssl_context()


def session(address: str, checked_by: ssl.SSLContext | None) -> "aiohttp.ClientSession":
    """On the loop. Whatever is encrypted is checked, if need be by what Python itself has.

    The client could look for a proxy itself, but would then look for passwords too, at each request and in a file that
    is not ours (`.netrc`), and refuse to send a key beside one.
    """
    import aiohttp

    roads = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_S, ssl=checked_by or True)
    times = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
    proxy, jar = urlsplit(_proxy_for(address)), aiohttp.DummyCookieJar()
    plain = proxy._replace(netloc=proxy.netloc.rpartition("@")[2]).geturl() or None
    with warnings.catch_warnings():  # version 4 will want the password in another way
        warnings.simplefilter("ignore", DeprecationWarning)
        auth = aiohttp.BasicAuth(unquote(proxy.username), unquote(proxy.password or "")) if proxy.username else None
        return aiohttp.ClientSession(connector=roads, timeout=times, cookie_jar=jar, proxy=plain, proxy_auth=auth)


def _proxy_for(address: str) -> str:
    """The proxy that the environment names for what is elsewhere."""
    parts, proxies = urlsplit(address), getproxies()
    if is_loopback(address) or proxy_bypass(parts.hostname or ""):
        return ""
    named = proxies.get(parts.scheme) or proxies.get("all", "")
    return named if "://" in named or not named else f"http://{named}"


def sent(body: bytes) -> Any:
    """A request's body as it goes out."""
    return body if len(body) <= LARGE_BYTES else BytesIO(body)


async def hear(response: "aiohttp.ClientResponse", hearing: Hearing, heard: Callable[[str], None]) -> None:
    """Take the stream's events in, to its last one."""
    import aiohttp

    if response.content_type != "text/event-stream":
        raise Malformed(f"an answer of type {response.content_type!r} instead of a stream")
    events, chunks = Events(EVENT_MAX_BYTES), response.content.iter_any()
    async for chunk in chunks:
        for event in events.feed(chunk):
            if event == b"[DONE]":
                with suppress(TimeoutError, aiohttp.ClientError):
                    async with asyncio.timeout(DRAIN_S):  # read to the end, the connection serves again
                        async for _ in chunks:
                            pass
                return
            if said := hearing.take(event):
                heard(said)
            if hearing.error:
                return


async def refusal_of(response: "aiohttp.ClientResponse") -> Refusal:
    """What it says instead of a reply."""
    body = await bytes_of(response, BODY_MAX_BYTES)
    return Refusal(response.status, response.headers, body.decode("utf-8", "replace"))


async def bytes_of(response: "aiohttp.ClientResponse", most: int) -> bytes:
    """The body, or as much of it as anybody needs."""
    body = b""
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > most:
            break
    return body[:most]
