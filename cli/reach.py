"""Where Witan can be reached from here, and one word with it: a command, a question, a look at the log."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from bus.errors import Unavailable, WitanError
from cli.config import Settings
from cli.exits import Absent

if TYPE_CHECKING:
    from bus.connection import Connection
    from bus.jetstream import JetStreamLog

T = TypeVar("T")
ANSWER_S = 10.0
CONNECT_S = 3.0


class Daemon(msgspec.Struct, frozen=True):
    """What a running daemon says about itself in its folder."""

    pid: int
    url: str
    public_url: str = ""
    version: str = ""
    started: str = ""


def daemon_of(settings: Settings) -> Daemon | None:
    """The daemon of this folder, if it lives."""
    try:
        daemon = msgspec.json.decode((settings.state_dir / "daemon.json").read_bytes(), type=Daemon)
        os.kill(daemon.pid, 0)
    except (FileNotFoundError, ProcessLookupError, msgspec.MsgspecError):
        return None
    except PermissionError:
        raise Absent(
            f"the daemon in {settings.state_dir} belongs to another user", "Ask as that user, or give --nats URL."
        ) from None
    return daemon


def url_of(settings: Settings) -> str:
    """The address of the NATS server to talk to."""
    if settings.nats_url:
        return settings.nats_url
    daemon = daemon_of(settings)
    if daemon is None:
        raise Absent(f"no Witan runs in {settings.state_dir.absolute()}", "Start one with `witan up --detach`.")
    return daemon.url


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator["Connection"]:
    """A connection for the length of a block."""
    from bus.connection import connect

    try:
        connection = await connect(url_of(settings), name="witan-cli", timeout_s=CONNECT_S)
    except Unavailable as error:
        raise Absent(str(error), error.what_next) from error
    try:
        yield connection
    finally:
        await connection.close()


def on_log(settings: Settings, look: Callable[["JetStreamLog"], Coroutine[Any, Any, T]]) -> T:
    """Connect, look at the log, leave."""

    async def work() -> T:
        from bus.jetstream import JetStreamLog

        async with connected(settings) as connection:
            return await look(JetStreamLog(connection))

    return asyncio.run(work())


def ask(settings: Settings, view: str, question: dict[str, object] | None = None) -> dict[str, Any]:
    """One question over `ask.<view>` and its answer."""

    async def work() -> dict[str, Any]:
        async with connected(settings) as connection:
            reply = await connection.request(f"ask.{view}", msgspec.json.encode(question or {}), timeout_s=ANSWER_S)
            if reply.status == "503":
                raise Absent("nobody answers questions on this server", "Start Witan with `witan up --detach`.")
            return checked(reply.body)

    return asyncio.run(work())


def send(settings: Settings, subject: str, body: dict[str, object], id: str) -> dict[str, Any]:
    """One command, stored before anybody answers; the same id is executed once."""

    async def work() -> dict[str, Any]:
        from bus.connection import headers

        async with connected(settings) as connection:
            block = headers(Nats_Msg_Id=id)
            try:
                reply = await connection.request(subject, msgspec.json.encode(body), block, timeout_s=ANSWER_S)
            except Unavailable as error:
                raise _unanswered(subject, id) from error
            if reply.status == "503":
                raise Absent(
                    f"nobody takes {subject} on this server: it has no stream COMMANDS",
                    "Start Witan with `witan up --detach`.",
                )
            return checked(reply.body)

    return asyncio.run(work())


def checked(body: bytes) -> dict[str, Any]:
    """The answer in a body; a no is raised as the error that it tells of."""
    answer: dict[str, Any] = msgspec.json.decode(body)
    if answer.get("ok") is not True:
        raise error_of(answer)
    return answer


def error_of(answer: dict[str, Any]) -> WitanError:
    """The error that an answer tells of, under its own public code."""
    code = str(answer.get("code", "error"))
    kind = next((kind for kind in WitanError.__subclasses__() if kind.code == code), None)
    if kind is None:
        kind = type("Told", (WitanError,), {"code": code})
    return kind(str(answer.get("message", "")), str(answer.get("hint", "")))


def _unanswered(subject: str, id: str) -> Unavailable:
    return Unavailable(
        f"{subject} was sent, but nobody answered within {ANSWER_S:g} s; it is stored and will be executed once",
        f"Look with `witan status` and `witan doctor`. To send it again without doing it twice: --id {id}",
    )
