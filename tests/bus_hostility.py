"""Hostile input, decided by a seed, and a client that says anything: it knows the protocol and keeps no rule."""

import asyncio
import json
import random
from typing import Any, NamedTuple

from bus.messages.kinds import COMMANDS_OF

KNOWN = [f"cmd.{actor}.{command}" for actor, commands in COMMANDS_OF.items() for command in commands]
KNOWN += [f"guardian.{command}" for command in COMMANDS_OF["guardian"]]
FIELDS: dict[str, Any] = {
    "task": "build",
    "task_id": "t1",
    "pipeline_id": "t1",
    "reason": "because",
    "override": {"a": 1},
    "limit": 0,
    "agent": "mallory",
    "workflow": "tiered",
    "phases": ["research"],
    "priority": 3,
    "context": {"a": [1, 2]},
    "stream": "EVENTS",
    "id": "one",
}
STRANGE = [
    "*",
    ">",
    "",
    "a b",
    "a\0b",
    "a\nb",
    "a\r\nb",
    "..",
    "a.b",
    "é",
    "\u202e",
    "a" * 65,
    "a" * 5000,
    "$JS",
    "-1",
    "💥",
]
NUMBERS = [0, -1, 2**63, 2**64, 10**300, 1e308, -0.0, 0.1]
SIZES = (30_000, 70_000, 256 * 1024, 256 * 1024 + 1, 960_000)


class Attack(NamedTuple):
    """One request of the public: a subject without white space, a header block or none, a body."""

    subject: bytes
    block: bytes | None
    body: bytes


def value(dice: random.Random, depth: int = 0) -> Any:
    match dice.randrange(8 if depth < 4 else 5):
        case 0:
            return dice.choice(STRANGE)
        case 1:
            return dice.choice(NUMBERS)
        case 2:
            return dice.choice([None, True, False])
        case 3:
            return "".join(chr(dice.choice((0, 10, 127, 233, 0x4E00, 0x1F4A5, 65))) for _ in range(dice.randint(0, 30)))
        case 4:
            return dice.choice(list(FIELDS.values()))
        case 5:
            return [value(dice, depth + 1) for _ in range(dice.randint(0, 5))]
        case _:
            return {dice.choice([*FIELDS, *STRANGE]): value(dice, depth + 1) for _ in range(dice.randint(0, 4))}


def nearly_right(dice: random.Random) -> bytes:
    """What a command wants, with some of it wrong."""
    fields = {name: FIELDS[name] for name in dice.sample(list(FIELDS), dice.randint(0, 5))}
    for name in dice.sample(list(fields), min(len(fields), dice.randint(0, 2))):
        fields[name] = value(dice)
    return json.dumps(fields).encode()


def body(dice: random.Random) -> bytes:
    match dice.randrange(100):
        case chance if chance < 20:
            return dice.randbytes(dice.randint(0, 300))
        case chance if chance < 30:
            opener, closer = dice.choice([(b"[", b"]"), (b'{"context":', b"}"), (b'{"a":', b"}")])
            depth = dice.choice((50, 99, 101, 500, 990, 5000, 30_000))
            return b'{"task":"x","context":{"a":' + opener * depth + b"1" + closer * dice.choice((0, depth)) + b"}}"
        case chance if chance < 55:
            return nearly_right(dice)
        case chance if chance < 70:
            return json.dumps(value(dice)).encode()
        case chance if chance < 80:
            right = nearly_right(dice)
            return right[: dice.randrange(len(right))]
        case chance if chance < 90:
            wrong = bytearray(nearly_right(dice))
            wrong[dice.randrange(len(wrong))] = dice.randrange(256)
            return bytes(wrong)
        case chance if chance < 98:
            return dice.choice((b"", b"null", b"[]", b"{}", b'"x"', b"NaN", b"1" * 400, b"1" * 5000, b"\xef\xbb\xbf{}"))
        case _:
            size = dice.choice(SIZES)
            return dice.choice((b'{"task":"%s"}' % (b"x" * size), b'{"task":"x","context":{"a":"%s"}}' % (b"y" * size)))


def subject(dice: random.Random) -> bytes:
    match dice.randrange(10):
        case chance if chance < 6:
            return dice.choice(KNOWN).encode()
        case 6:
            return dice.choice(KNOWN).encode() + b"." + _token(dice)
        case 7:
            return dice.choice((b"cmd.orchestrator.", b"cmd.guardian.", b"guardian.", b"ask.", b"$SRV.")) + _token(dice)
        case 8:
            return b"cmd." + _token(dice) + b"." + _token(dice)
        case _:
            return dice.choice((b"cmd.orchestrator", b"cmd.guardian", b"cmd.>", b"cmd.*.submit_task", b"guardian.>"))


def _token(dice: random.Random) -> bytes:
    made = bytes(byte for byte in dice.randbytes(dice.randint(1, 20)) if byte not in b" \t\r\n\f\v")
    strange = dice.choice([text for text in STRANGE if text and not set(text) & set(" \r\n") and len(text) < 100])
    return dice.choice((made or b"x", strange.encode(), b"submit_task"))


def block(dice: random.Random) -> bytes | None:
    if dice.random() < 0.7:
        return None
    id = dice.randbytes(4).hex().encode()
    return dice.choice(
        (
            b"NATS/1.0\r\nNats-Msg-Id: %b\r\n\r\n" % id,
            b"NATS/1.0\r\nNats-Msg-Id: %b" % id,
            b"NATS/1.0\r\nNats-Msg-Id:",
            b"NATS/1.0\r\nNats-Msg-Id: %b\r\n\r\n" % (id * 10_000),
            b"NATS/1.0\r\nNats-Msg-Id: \xff\x00%b\r\n\r\n" % id,
            b"NATS/1.0 503 No Responders\r\n\r\n",
            b"NATS/1.0\r\nNats-Expected-Last-Sequence: 7\r\n\r\n",
            b"NATS/1.0\r\nNats-Batch-Id: %b\r\nNats-Batch-Sequence: 1\r\n\r\n" % id,
            b"NATS/1.0\r\nNats-Schedule: @every 1s\r\nNats-Schedule-Target: evt.task.forged\r\n\r\n",
            b"NATS/1.0\r\nNats-Trace-Dest: evt.task.forged\r\n\r\n",
            b"NATS/1.0\r\nNats-TTL: 1s\r\n\r\n",
            b"NATS/1.0\r\n" + b"A: b\r\n" * 500 + b"\r\n",
            b"\r\n\r\n",
            dice.randbytes(dice.randint(1, 100)),
        )
    )


def attack(dice: random.Random) -> Attack:
    """No valid registration: an agent that does not exist would be given work."""
    return Attack(subject(dice), block(dice), body(dice))


class Mouth:
    """A raw connection of the public: sends frames, collects what comes to its inbox."""

    def __init__(self, url: str) -> None:
        self._host, _, self._port = url.removeprefix("nats://").partition(":")
        self.answers: dict[bytes, list[bytes]] = {}
        self.refusals: list[bytes] = []
        self.ended = asyncio.Event()
        self._pongs: asyncio.Queue[None] = asyncio.Queue()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._listening: asyncio.Task[None] | None = None

    async def open(self) -> "Mouth":
        self._reader, self._writer = await asyncio.open_connection(self._host, int(self._port))
        self._writer.write(b'CONNECT {"verbose":false,"headers":true,"no_responders":true,"protocol":1}\r\n')
        self._writer.write(b"SUB _INBOX.mouth.> 1\r\n")
        self._listening = asyncio.create_task(self._listen())
        await self.sync()
        return self

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        self._writer.close()

    async def sync(self) -> None:
        """The server has read all that was said before."""
        self._writer.write(b"PING\r\n")
        await self._pongs.get()

    def say(self, frame: bytes) -> None:
        self._writer.write(frame)

    def request(self, number: int, what: Attack) -> bytes:
        reply = b"_INBOX.mouth.%d" % number
        self.answers[reply] = []
        if what.block is None:
            self.say(b"PUB %b %b %d\r\n%b\r\n" % (what.subject, reply, len(what.body), what.body))
        else:
            size = len(what.block)
            frame = what.subject, reply, size, size + len(what.body), what.block, what.body
            self.say(b"HPUB %b %b %d %d\r\n%b%b\r\n" % frame)
        return reply

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                if line[:4] in (b"MSG ", b"HMSG"):
                    words = line.split()
                    content = (await self._reader.readexactly(int(words[-1]) + 2))[:-2]
                    self.answers[words[1]].append(content)
                elif line[:4] == b"PING":
                    self._writer.write(b"PONG\r\n")
                elif line[:4] == b"PONG":
                    self._pongs.put_nowait(None)
                elif line[:4] == b"-ERR":
                    self.refusals.append(line)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended.set()
