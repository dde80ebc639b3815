"""Where Witan can be reached from here, and one word with it: a command, a question, a look at the log."""

import asyncio
import fcntl
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from bus.errors import Missing, Unavailable, WitanError
from bus.subjects import COMMANDS
from cli.config import Settings
from cli.exits import Absent
from cli.output import talk

if TYPE_CHECKING:
    from bus.connection import Connection
    from bus.jetstream import JetStreamLog

T = TypeVar("T")
ANSWER_S, QUESTION_S = 10.0, 25.0
PATIENCE_S = 1.0
"""After this long without an answer to a command we look whether anybody is there at all."""
CONNECT_S = 3.0


class Daemon(msgspec.Struct, frozen=True):
    """What a running daemon says about itself in its folder."""

    pid: int
    url: str
    public_url: str = ""
    monitor_url: str = ""
    version: str = ""
    started: str = ""


def card_of(settings: Settings) -> Daemon | None:
    """What the last daemon of this folder wrote about itself; a killed one leaves it behind."""
    try:
        return msgspec.json.decode((settings.state_dir / "daemon.json").read_bytes(), type=Daemon)
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
        return None
    except PermissionError:
        raise Absent(
            f"the daemon in {settings.state_dir} belongs to another user", "Ask as that user, or give --nats URL."
        ) from None


def daemon_of(settings: Settings) -> Daemon | None:
    """The daemon of this folder, if it lives: then it holds the folder's lock."""
    daemon = card_of(settings)
    if daemon is None:
        return None
    try:
        with open(settings.state_dir / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except OSError:
        return daemon
    return None


def url_of(settings: Settings) -> str:
    """The address of the NATS server to talk to."""
    daemon = daemon_of(settings)
    if settings.nats_url and not (daemon and settings.nats_url == daemon.public_url):
        return settings.nats_url
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
    connection.on_disconnect.append(_lost)
    connection.on_reconnect.append(_back)
    try:
        yield connection
    finally:
        connection.on_disconnect.remove(_lost)
        await connection.close()


def _lost() -> None:
    talk("The connection is lost; waiting until Witan is back. Ctrl-C ends the waiting.")


def _back() -> None:
    talk("The connection is back.")


def on_log(settings: Settings, look: Callable[["JetStreamLog"], Coroutine[Any, Any, T]]) -> T:
    """Connect, look at the log, leave."""

    async def work() -> T:
        from cli.patience import PatientLog

        async with connected(settings) as connection:
            return await look(PatientLog(connection))

    return asyncio.run(work())


def ask(settings: Settings, view: str, question: Mapping[str, object]) -> dict[str, Any]:
    """One question over `ask.<view>` and its answer."""

    async def work() -> dict[str, Any]:
        async with connected(settings) as connection:
            return await answer_to(connection, view, question)

    return asyncio.run(work())


async def answer_to(connection: "Connection", view: str, question: Mapping[str, object]) -> dict[str, Any]:
    """The same over a connection that is there."""
    reply = await connection.request(f"ask.{view}", msgspec.json.encode(question), timeout_s=QUESTION_S)
    if reply.status == "503":
        if not await _answers_questions(connection):
            raise Absent("nobody answers questions on this server", "Start Witan with `witan up --detach`.")
        raise Missing(f"there is no view {view!r}", "`witan query --list` documents them all.")
    return checked(reply.body)


async def _answers_questions(connection: "Connection") -> bool:
    return (await connection.request("ask.views", timeout_s=QUESTION_S)).status != "503"


class Snapshot(NamedTuple):
    """A copy of the tables that nobody writes."""

    path: Path
    seq: int


async def snapshot(connection: "Connection") -> Snapshot:
    """A fresh one from the daemon; it must be on this machine."""
    told = await answer_to(connection, "snapshot", {})
    path = Path(told["path"])
    if not path.exists():
        raise Absent(f"the snapshot {path} is on the daemon's machine", "Type this there.")
    return Snapshot(path, int(told["seq"]))


def file_of(settings: Settings) -> Path:
    """The tables of this folder."""
    return settings.state_dir / "witan.duckdb"


def send(settings: Settings, subject: str, body: Mapping[str, object], id: str) -> dict[str, Any]:
    """One command, stored before anybody answers; the same id is executed once."""

    async def work() -> dict[str, Any]:
        async with connected(settings) as connection:
            return await command(connection, subject, body, id)

    return asyncio.run(work())


async def command(connection: "Connection", subject: str, body: Mapping[str, object], id: str) -> dict[str, Any]:
    """The same over a connection that is there."""
    from bus.connection import headers

    answer = connection.ask(subject.encode(), msgspec.json.encode(body), headers(Nats_Msg_Id=id))
    await asyncio.wait([answer], timeout=PATIENCE_S)
    if not answer.done() and await _answers_questions(connection):
        await asyncio.wait([answer], timeout=ANSWER_S - PATIENCE_S)
    try:
        reply = answer.result() if answer.done() else None
    except Unavailable as error:
        raise Unavailable(f"{error}; {subject} may have been stored", f"Send it again with --id {id}.") from error
    if reply is None or reply.status == "503":
        raise await _unanswered(connection, subject, id)
    return checked(reply.body)


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


async def _unanswered(connection: "Connection", subject: str, id: str) -> WitanError:
    """What is known of a command that nobody answered: the stream keeps it, unless there is no stream."""
    wish = msgspec.json.encode({"last_by_subj": subject})
    reply = await connection.request(f"$JS.API.STREAM.MSG.GET.{COMMANDS}", wish)
    told = {} if reply.status else msgspec.json.decode(reply.body)
    if told.get("error", {}).get("err_code") == 10059 or reply.status:
        return Absent(f"this server has no stream {COMMANDS}: {subject} was not stored", "Start Witan: `witan up`.")
    waits = id.encode() in b64decode(told.get("message", {}).get("hdrs", ""))
    what = "it is stored and will be executed once, when Witan runs" if waits else "it was taken and is executed once"
    return Unavailable(
        f"{subject} was sent, but nobody has answered: {what}",
        f"Look with `witan status` and `witan doctor`. To send it again without doing it twice: --id {id}",
    )
