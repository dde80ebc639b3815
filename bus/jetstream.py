"""The log on NATS JetStream: guarded group commit, one entity read back, many followed."""

import asyncio
import json
import secrets
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from bus.connection import Connection, Reply, header
from bus.envelope import Draft, Record
from bus.errors import Conflict, Unavailable, WitanError
from bus.follow import JetStreamFollower
from bus.log import Loaded, Sink, is_pattern
from bus.staging import Staging

BATCH_FROM = 12
"""From this many waiting commits one atomic batch (3 ms) is cheaper than singles (0.25 ms each) under `always`."""
STAGED_FROM = 4
"""The same where the server stages batches in memory (0.8 ms)."""
ROUNDS_MAX = 6
"""Or if singles would have to wait for each other so many times."""
BATCH_MAX = 1000
FEW = 8
"""More drafts than these are not taken apart: one large group is written sooner than several small ones."""
GROUPS_MAX = 2
"""So many groups are at the server at once: while it writes one, the next is on its way."""
READ_MAX = 1000
REMEMBERED = 100_000
ANSWER_S = 10.0

_STALE = {10071, 10164}
_MAYBE_OURS = _STALE | {10201}


class _AckError(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _Ack(msgspec.Struct):
    """The server's answer to an append."""

    seq: int = 0
    error: _AckError | None = None


_ack = msgspec.json.Decoder(_Ack).decode


class _Wish:
    """Drafts that were handed in together, how many of them are on their way, and who waits for all of them."""

    __slots__ = ("drafts", "future", "places", "sent")

    def __init__(self, drafts: Sequence[Draft], future: asyncio.Future[list[int]]) -> None:
        self.drafts, self.future, self.sent = drafts, future, 0
        self.places: list[int] = []

    def take(self, most: int, under_way: set[str]) -> Sequence[Draft]:
        """The next of them: of a few, up to one whose entity is under way; of many, all or none."""
        begin, end = self.sent, min(len(self.drafts), self.sent + most)
        if under_way:
            free = next((place for place in range(begin, end) if self.drafts[place].subject in under_way), end)
            end = begin if free < end and len(self.drafts) > FEW else free
        self.sent = end
        return self.drafts[begin:end]

    def settle(self, outcomes: Sequence[int | WitanError]) -> None:
        """Some of them have their places, or one has none."""
        if self.future.done():
            return
        for outcome in outcomes:
            if isinstance(outcome, WitanError):
                self.sent = len(self.drafts)  # nothing behind it goes any more
                self.future.set_exception(outcome)
                return
            self.places.append(outcome)
        if len(self.places) == len(self.drafts):
            self.future.set_result(self.places)


class JetStreamLog:
    """All appends of a process go through one group commit: what waits while one is under way goes into the next."""

    def __init__(self, connection: Connection, stream: str = "EVENTS", staging: Staging | None = None) -> None:
        self.connection = connection
        self.stream = stream
        self._direct_get = f"$JS.API.DIRECT.GET.{stream}".encode()
        self._staging = staging
        self._places: dict[str, int] = {}
        self._waiting: deque[_Wish] = deque()
        self._armed = False
        self._groups = 0
        self._under_way: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def _batch_from(self) -> int:
        """Looked up each time: where batches lie is found out anew whenever the server is started again."""
        return STAGED_FROM if self._staging is not None and self._staging.in_memory else BATCH_FROM

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        return await self.submit(drafts)

    def submit(self, drafts: Sequence[Draft]) -> asyncio.Future[list[int]]:
        future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        if not drafts:
            future.set_result([])
            return future
        self._waiting.append(_Wish(drafts, future))
        if not self._armed:
            self._armed = True
            asyncio.get_running_loop().call_soon(self._turn)
        return future

    def _turn(self) -> None:
        """All that was handed in during one turn of the loop goes together."""
        self._armed = False
        self._send_more()

    async def read(self, subject: str, after: int = 0) -> list[Record]:
        return [record async for page in self.pages(subject, after) for record in page]

    async def pages(self, subject: str, after: int = 0) -> AsyncIterator[list[Record]]:
        """The same, so many at a time."""
        many = is_pattern(subject)
        while True:
            wish = {"seq": after + 1, "next_by_subj": subject, "batch": READ_MAX}
            found, last = await self._direct(wish)
            yield [
                Record(header(block, b"Nats-Subject") if many else subject, int(header(block, b"Nats-Sequence")), body)
                for block, body in found
            ]
            if len(found) < READ_MAX:
                return
            after = last

    async def load(self, subject: str) -> Loaded:
        """Without headers: they cost the server and us as much as the bodies."""
        bodies: list[bytes] = []
        seq = 0
        while True:
            found, last = await self._direct(
                {"seq": seq + 1, "next_by_subj": subject, "batch": READ_MAX, "no_hdr": True}
            )
            bodies += [body for _, body in found]
            seq = last or seq
            if len(found) < READ_MAX:
                return Loaded(bodies, seq)

    async def _direct(self, wish: dict[str, object]) -> tuple[list[tuple[bytes | None, bytes]], int]:
        """One request, many messages, and the place of the last of them; 0 if there are none."""
        found: list[tuple[bytes | None, bytes]] = []
        ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def receive(_: bytes, __: bytes, block: bytes | None, body: bytes) -> None:
            if block is None or block[8:9] != b" ":
                found.append((block, body))
            elif not ended.done():
                ended.set_result(block)

        inbox = self.connection.inbox(receive)
        clock = self._limited([ended])
        try:
            self.connection.publish(self._direct_get, json.dumps(wish).encode(), inbox)
            end = await ended
        finally:
            clock.cancel()
            self.connection.drop_inbox(inbox)
        if end[9:12] not in (b"204", b"404"):
            raise Unavailable(f"the log answered {end[9:40].decode(errors='replace').strip()}", "Run `witan doctor`.")
        return found, int(header(end, b"Nats-Last-Sequence") or 0)

    async def last(self, pattern: str) -> Record | None:
        wish = json.dumps({"last_by_subj": pattern}).encode()
        reply = await self.connection.request(f"$JS.API.DIRECT.GET.{self.stream}", wish, timeout_s=ANSWER_S)
        if reply.status:
            if reply.status == "404":
                return None
            raise Unavailable(f"the log answered {reply.status} for {pattern}")
        block = reply.headers
        return Record(header(block, b"Nats-Subject"), int(header(block, b"Nats-Sequence")), reply.body)

    async def head(self) -> int:
        reply = await self.connection.request(f"$JS.API.STREAM.INFO.{self.stream}")
        if reply.status == "503":
            raise Unavailable("the NATS server has no JetStream or no stream EVENTS")
        told = json.loads(reply.body)
        if "error" in told:
            raise Unavailable(f"the stream {self.stream}: {told['error'].get('description')}", "Run `witan doctor`.")
        return int(told["state"]["last_seq"])

    async def follow(self, patterns: Sequence[str], after: int, sink: Sink, window: int = 2000) -> JetStreamFollower:
        follower = JetStreamFollower(self.connection, self.stream, patterns, after, sink, window)
        await follower.open()
        return follower

    def _send_more(self) -> None:
        """Start the next group if there is room for it. What an entity under way is in waits, and all behind it.

        When few wait, an entity comes only once in a group: who is first then hears of it first.
        """
        while self._waiting and self._groups < GROUPS_MAX:
            group: list[tuple[_Wish, int]] = []
            drafts: list[Draft] = []
            subjects = set[str]()
            in_rounds = sum(len(wish.drafts) for wish in self._waiting) < self._batch_from
            while self._waiting:
                wish = self._waiting[0]
                taken = wish.take(BATCH_MAX - len(drafts), self._under_way | subjects if in_rounds else self._under_way)
                drafts += taken
                subjects.update(draft.subject for draft in taken)
                group.append((wish, len(taken)))
                if wish.sent < len(wish.drafts):
                    break
                self._waiting.popleft()
            if not drafts:
                return
            self._groups += 1
            self._under_way |= subjects
            task = asyncio.create_task(self._write_group(group, drafts, subjects))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _write_group(self, group: list[tuple[_Wish, int]], drafts: list[Draft], subjects: set[str]) -> None:
        outcomes: Sequence[int | WitanError] | None = None
        try:
            if self._worth_a_batch(drafts):
                outcomes = await self._as_batch(drafts)
            if outcomes is None:
                outcomes = await self._as_singles(drafts)
        except (WitanError, OSError) as error:
            outcomes = [Unavailable(str(error))] * len(drafts)
        self._groups -= 1
        self._under_way -= subjects
        place = 0
        for wish, count in group:
            wish.settle(outcomes[place : place + count])
            place += count
        if len(self._places) > REMEMBERED:
            for subject in list(self._places)[: REMEMBERED // 2]:
                del self._places[subject]
        self._send_more()

    def _worth_a_batch(self, drafts: Sequence[Draft]) -> bool:
        """Singles cost by number, and again for every time that an entity comes again."""
        if len(drafts) > BATCH_MAX or len(drafts) < 2:
            return False
        enough = len(drafts) >= self._batch_from
        if len(drafts) < ROUNDS_MAX or enough:
            return enough
        return max(Counter(draft.subject for draft in drafts).values()) >= ROUNDS_MAX

    async def _as_batch(self, drafts: Sequence[Draft]) -> list[int] | None:
        """One atomic batch. None: the server took nothing of it, so that the drafts can be tried one by one."""
        batch = secrets.token_hex(8).encode()
        ahead: set[str] = set()
        publish = self.connection.publish
        try:
            for number, draft in enumerate(drafts, 1):
                guard = b"" if draft.subject in ahead else self._guard(draft)
                ahead.add(draft.subject)
                block = b"NATS/1.0\r\n%bNats-Batch-Id: %b\r\nNats-Batch-Sequence: %d\r\n" % (guard, batch, number)
                if number < len(drafts):
                    publish(draft.subject.encode(), draft.body, b"", block + b"\r\n")
            commit = block + b"Nats-Batch-Commit: 1\r\n\r\n"
            asked = self.connection.ask(draft.subject.encode(), draft.body, commit)
            clock = self._limited([asked])
            try:
                ack = await self._answer(asked)
            finally:
                clock.cancel()
        except (Unavailable, Conflict):
            return None
        if ack.error:
            return None
        first = ack.seq - len(drafts) + 1
        for seq, draft in enumerate(drafts, first):
            self._places[draft.subject] = seq
        return list(range(first, first + len(drafts)))

    async def _as_singles(self, drafts: Sequence[Draft]) -> list[int | WitanError]:
        """Pipelined in order; where an entity comes again, all before it must have their place first."""
        outcomes: list[int | WitanError] = []
        under_way: list[tuple[Draft, asyncio.Future[Reply] | None]] = []
        busy: set[str] = set()
        for draft in drafts:
            if draft.subject in busy:
                outcomes += await self._placed_all(under_way)
                under_way, busy = [], set()
            busy.add(draft.subject)
            try:
                under_way.append((draft, self._send(draft)))
            except (Conflict, Unavailable):
                under_way.append((draft, None))
        return outcomes + await self._placed_all(under_way)

    async def _placed_all(self, under_way: list[tuple[Draft, asyncio.Future[Reply] | None]]) -> list[int | WitanError]:
        outcomes: list[int | WitanError] = []
        clock = self._limited([future for _, future in under_way if future])
        for draft, future in under_way:
            try:
                outcomes.append(await self._placed(draft, future))
            except WitanError as error:
                self._places.pop(draft.subject, None)  # nothing may be chained to a commit that is perhaps not there
                outcomes.append(error)
        clock.cancel()
        return outcomes

    async def _placed(self, draft: Draft, future: asyncio.Future[Reply] | None) -> int:
        """Where the draft is; an unclear or refused append is looked up by its commit's id before it is sent again."""
        code = 0
        for _ in range(5):
            clock = None
            try:
                if future is None:
                    future = self._send(draft)
                    clock = self._limited([future])
                ack = await self._answer(future)
            except Unavailable:
                ack = _Ack(error=_AckError(description="no answer"))
            finally:
                if clock:
                    clock.cancel()
            future = None
            if ack.error is None:
                self._places[draft.subject] = ack.seq
                return ack.seq
            code = ack.error.err_code
            if code and code not in _MAYBE_OURS:
                raise Unavailable(f"the log refused an append ({code}): {ack.error.description}")
            newer = await self._newer(draft)
            for record in newer:
                if draft.id.encode() in record.body[:64]:
                    self._places[draft.subject] = record.seq
                    return record.seq
            if newer:
                raise Conflict(f"{draft.subject} is at {newer[-1].seq}: another writer was first")
        if code in _STALE:
            raise Conflict(f"{draft.subject} has not come to {draft.expect} yet")
        raise Unavailable(f"the log did not take a commit for {draft.subject}")

    async def _newer(self, draft: Draft) -> list[Record]:
        """What the entity has behind the place that the draft expected."""
        for _ in range(20):
            try:
                return await self.read(draft.subject, self._expected(draft))
            except Unavailable:
                await asyncio.sleep(0.25)
        raise Unavailable(f"the log did not answer for {draft.subject}")

    async def _answer(self, future: asyncio.Future[Reply]) -> _Ack:
        reply = await future
        if reply.status:
            return _Ack(error=_AckError(description=f"status {reply.status}"))
        return _ack(reply.body)

    def _limited(self, futures: Sequence[asyncio.Future[Any]]) -> asyncio.TimerHandle:
        """One clock for all that was asked together."""

        def give_up() -> None:
            for future in futures:
                if not future.done():
                    future.set_exception(Unavailable("the log did not answer in time"))

        return asyncio.get_running_loop().call_later(ANSWER_S, give_up)

    def _expected(self, draft: Draft) -> int:
        place = self._places.get(draft.subject) if draft.expect is None else draft.expect
        if place is None:
            raise Conflict(f"the place of {draft.subject} is not known any more")
        return place

    def _guard(self, draft: Draft) -> bytes:
        return b"Nats-Expected-Last-Subject-Sequence: %d\r\n" % self._expected(draft)

    def _send(self, draft: Draft) -> asyncio.Future[Reply]:
        block = b"NATS/1.0\r\n%b\r\n" % self._guard(draft)
        return self.connection.ask(draft.subject.encode(), draft.body, block)
