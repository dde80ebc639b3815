"""Durable commands with a business answer.

A command is stored by the stream, which answers nobody, so a bare publish is kept even while Witan is down. Beside it
a plain subscription sees the same message with the caller's reply subject. Only the stored message is executed; its
answer goes to the caller whose message it was, matched by subject, body and id.
"""

import asyncio
import contextlib
import re
from collections import OrderedDict, deque
from collections.abc import Callable

import msgspec

from bus.connection import Connection, header
from bus.errors import Invalid, Unavailable
from bus.follow import Letter, WorkQueue
from bus.jetstream import JetStreamLog
from bus.messages.kinds import COMMANDS_OF
from bus.subjects import COMMANDS, command_of, token

LATE_S = 0.25
"""How long an answer waits for a caller whose message is behind the stored one: a busy server takes its time."""
REPEAT_S = 0.5
"""After this long a request whose stored twin never came is taken for a repeat that the stream has dropped."""
REMEMBERED = 4096
FORGET_S = 60.0
"""After this long, or twice as long, a caller whose message was never stored is let go."""
ID_MAX = 200
LOST = b"\x7f"
"""nats-server 2.15 uses this byte in its index: a message with it in its subject may never come out of a stream."""
SWEEP_S = 1.0
"""So long after such a message was heard it is taken out: others of its kind come together."""

_Key = tuple[str, bytes, str]
_is_id = re.compile(r"[^\x00-\x1f\x7f]*\Z").match


def command_id(letter: Letter) -> str:
    """The id that the sender gave in the header, or one that is the same at every redelivery."""
    return header(letter.headers, b"Nats-Msg-Id") or f"{letter.stored_ns:x}-{letter.seq}"


def refuse_headers(block: bytes | None) -> None:
    """A command takes an id and nothing else that the stream would obey: no guard, no batch, no schedule, no trace."""
    if not block:
        return
    id = header(block, b"Nats-Msg-Id")
    if len(id) > ID_MAX or not _is_id(id):
        raise Invalid(f"Nats-Msg-Id {id[:40]!r} is no id", f"Use 1 to {ID_MAX} characters that can be seen.")
    for line in block.split(b"\r\n")[1:]:
        if line[:5].lower() == b"nats-" and not line.startswith(b"Nats-Msg-Id:"):
            raise Invalid(f"a command takes no header {line[:80].decode(errors='replace')!r}", "Send it without.")


def may_be_answered(reply: bytes) -> bool:
    """Only inboxes: an answer is sent with Witan's own rights, and one to `evt.task.x` would be a forgery."""
    return reply[:1] == b"_"


def _refusal(subject: bytes, block: bytes | None) -> Invalid | None:
    """What can be said without the actor."""
    try:
        refuse_headers(block)
        if LOST in subject:
            command_of(subject.decode(errors="replace"))
    except Invalid as error:
        return error
    return None


class Callers:
    """Who waits for an answer, and what was answered lately. It outlives an actor that is started again."""

    def __init__(self, connection: Connection, actor: str) -> None:
        self.connection = connection
        self.patterns = [f"cmd.{actor}.>"] + (["guardian.>"] if actor == "guardian" else [])
        self.repeat: Callable[[Letter], None] | None = None
        """How the actor is asked again; nothing while there is none."""
        self._callers: dict[_Key, deque[bytes]] = {}
        self._answered: OrderedDict[str, bytes] = OrderedDict()
        self._waited: set[bytes] = set()
        self._lost = False
        self._sweeping: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._open = False

    async def open(self) -> None:
        """Listen from now on, for as long as the connection lasts."""
        if not self._open:
            self._open = True
            self._loop.call_later(FORGET_S, self._forget)
            for pattern in self.patterns:
                await self.connection.subscribe(pattern, self._heard)

    def answer(self, letter: Letter, answer: bytes) -> None:
        """Tell the caller, if there is one. One whose message was refused on sight is not waiting any more."""
        if _refusal(letter.subject.encode(), letter.headers):
            return
        key = _key(letter)
        if key[2]:
            self._answered[key[2]] = answer
            while len(self._answered) > REMEMBERED:
                self._answered.popitem(last=False)
        if not self._tell(key, answer):
            self._loop.call_later(LATE_S, self._tell, key, answer)

    def _tell(self, key: _Key, answer: bytes) -> bool:
        callers = self._callers.get(key)
        if not callers:
            return False
        reply = callers.popleft()
        if not callers:
            del self._callers[key]
        with contextlib.suppress(Unavailable):  # then the caller's request has failed too, and a repeat gets this
            self.connection.publish(reply, answer)
        return True

    def _heard(self, subject: bytes, reply: bytes, block: bytes | None, body: bytes) -> None:
        if LOST in subject:
            self._lost = True
            if self._sweeping is None or self._sweeping.done():
                self._sweeping = self._loop.create_task(self._sweep())
        if not may_be_answered(reply):
            return
        refusal = _refusal(subject, block)
        if refusal:
            self.connection.publish(reply, msgspec.json.encode(refusal.answer()))
            return
        id = header(block, b"Nats-Msg-Id")
        if id in self._answered:
            self.connection.publish(reply, self._answered[id])
            return
        key = (subject.decode(errors="replace"), body, id)
        self._callers.setdefault(key, deque()).append(reply)
        if id:
            self._loop.call_later(REPEAT_S, self._still_there, key, reply, block)

    def _still_there(self, key: _Key, reply: bytes, block: bytes | None) -> None:
        """The stream drops a repeated id, so no stored twin comes: ask the actor, who remembers what it did."""
        if reply not in self._callers.get(key, ()):
            return
        if self.repeat is None:
            self._loop.call_later(REPEAT_S, self._still_there, key, reply, block)
        else:
            self.repeat(Letter(key[0], 0, key[1], block, b""))

    async def _sweep(self) -> None:
        while self._lost:
            await asyncio.sleep(SWEEP_S)
            self._lost = False
            with contextlib.suppress(Unavailable):  # the next one that is heard, or the next start, does it
                await sweep(self.connection)

    def _forget(self) -> None:
        """Let go of callers that were here at the last sweep too: the stream has refused their messages."""
        for key, callers in list(self._callers.items()):
            left = deque(reply for reply in callers if reply not in self._waited)
            if left:
                self._callers[key] = left
            else:
                del self._callers[key]
        self._waited = {reply for callers in self._callers.values() for reply in callers}
        self._loop.call_later(FORGET_S, self._forget)


class CommandDesk:
    """Takes one actor's commands in and gives the answers out."""

    def __init__(
        self, callers: Callers, actor: str, sink: Callable[[list[Letter], int], None], repeat: Callable[[Letter], None]
    ) -> None:
        self._callers, self._repeat = callers, repeat
        self.queue = WorkQueue(callers.connection, COMMANDS, actor, callers.patterns, sink)

    async def open(self) -> None:
        self._callers.repeat = self._repeat
        await self._callers.open()
        await self.queue.open()

    async def close(self) -> None:
        self._callers.repeat = None
        await self.queue.close()

    def answer(self, letter: Letter, answer: bytes) -> None:
        """Tell the caller, if there is one."""
        self._callers.answer(letter, answer)


def _key(letter: Letter) -> _Key:
    return letter.subject, letter.body, header(letter.headers, b"Nats-Msg-Id")


async def sweep(connection: Connection) -> None:
    """Take out what no reader will ever get: it would stay, and one day no command would find room."""
    async for page in JetStreamLog(connection, COMMANDS).pages(">"):
        for seq in (record.seq for record in page if LOST.decode() in record.subject):
            wish = b'{"seq":%d,"no_erase":true}' % seq
            await connection.request(f"$JS.API.STREAM.MSG.DELETE.{COMMANDS}", wish)


async def answer_strangers(connection: Connection) -> None:
    """Refuse what no actor takes in, and keep it among the dead."""

    def heard(subject: bytes, reply: bytes, block: bytes | None, body: bytes) -> None:
        words = subject.decode(errors="replace").split(".")
        actor = words[1]
        if actor not in COMMANDS_OF:
            error = Invalid(f"there is no actor {actor[:80]!r}", f"The actors are: {', '.join(COMMANDS_OF)}.")
        elif len(words) == 2:
            error = Invalid(f"{actor} is told nothing", f"Publish to `cmd.{actor}.<command>`.")
        else:
            return
        connection.publish(b"dead.unknown_actor", body[:65536])
        if may_be_answered(reply):
            connection.publish(reply, msgspec.json.encode(error.answer()))

    await connection.subscribe("cmd.>", heard)


async def request(
    connection: Connection, actor: str, command: str, body: bytes, id: str, timeout_s: float = 5.0
) -> dict[str, object]:
    """Send a command and wait for its business answer."""
    subject = f"cmd.{token(actor)}.{token(command)}"
    block = f"NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n".encode()
    reply = await connection.request(subject, body, block, timeout_s)
    if reply.status == "503":
        raise Unavailable(
            "Witan is not running on this server; the command is stored and will be executed when it comes up",
            "Start it with `witan up`.",
        )
    answer: dict[str, object] = msgspec.json.decode(reply.body)
    return answer
