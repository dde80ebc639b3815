"""The log on NATS JetStream: guarded group commit, one entity read back, many followed."""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from bus.connection import Connection, Reply, header
from bus.envelope import Draft, Record
from bus.errors import Conflict, Unavailable, WitanError
from bus.follow import JetStreamFollower
from bus.log import Sink

BATCH_FROM = 12
"""From this many waiting commits one atomic batch (2 ms) is cheaper than singles (0.15 ms each) under `always`."""
BATCH_MAX = 1000
REMEMBERED = 100_000
ANSWER_S = 10.0

_STALE = {10071, 10164}
_MAYBE_OURS = _STALE | {10201}


class _Wish(NamedTuple):
    """Drafts that were handed in together, and who waits for them."""

    drafts: Sequence[Draft]
    future: asyncio.Future[list[int]]


class JetStreamLog:
    """All appends of a process go through one group commit: what waits while one is under way goes into the next."""

    def __init__(self, connection: Connection, stream: str = "EVENTS", replicas: int = 1) -> None:
        self.connection = connection
        self.stream = stream
        self._batch_from = BATCH_FROM if replicas == 1 else 2
        self._places: dict[str, int] = {}
        self._waiting: deque[_Wish] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        return await self.submit(drafts)

    def submit(self, drafts: Sequence[Draft]) -> asyncio.Future[list[int]]:
        future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Wish(drafts, future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return future

    async def read(self, subject: str, after: int = 0) -> list[Record]:
        records: list[Record] = []
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def receive(_: bytes, __: bytes, block: bytes | None, body: bytes) -> None:
            if block is not None and block[8:9] == b" ":
                if not answered.done():
                    answered.set_result(None)
            else:
                records.append(Record(subject, int(header(block, b"Nats-Sequence")), body))

        batch = 1000
        inbox = self.connection.inbox(receive)
        try:
            while True:
                found = len(records)
                start = records[-1].seq if records else after
                wish = {"seq": start + 1, "next_by_subj": subject, "batch": batch}
                self.connection.publish(
                    b"$JS.API.DIRECT.GET.%b" % self.stream.encode(), json.dumps(wish).encode(), inbox
                )
                async with asyncio.timeout(ANSWER_S):
                    await answered
                if len(records) - found < batch:
                    return records
                answered = asyncio.get_running_loop().create_future()
        except TimeoutError:
            raise Unavailable(f"the log did not answer for {subject}") from None
        finally:
            self.connection.drop_inbox(inbox)

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

    def forget_places(self) -> None:
        """Where the last appends went is not trusted any more; the next draft of each entity brings its own guard."""
        self._places.clear()

    async def _write(self) -> None:
        try:
            while self._waiting:
                group = [self._waiting.popleft()]
                size = len(group[0].drafts)
                while self._waiting and size + len(self._waiting[0].drafts) <= BATCH_MAX:
                    group.append(self._waiting.popleft())
                    size += len(group[-1].drafts)
                await self._write_group(group, size)
        finally:
            self._writer = None

    async def _write_group(self, group: list[_Wish], size: int) -> None:
        try:
            if self._batch_from <= size <= BATCH_MAX and await self._as_batch(group):
                return
            for wish, outcome in zip(group, await self._as_singles(group), strict=True):
                _settle(wish.future, outcome)
        except (WitanError, OSError) as error:
            for wish in group:
                _settle(wish.future, error)
        if len(self._places) > REMEMBERED:
            for subject in list(self._places)[: REMEMBERED // 2]:
                del self._places[subject]

    async def _as_batch(self, group: list[_Wish]) -> bool:
        """One atomic batch. False: the server took none of it, so that the wishes can be tried one by one."""
        batch = secrets.token_hex(8).encode()
        drafts = [draft for wish in group for draft in wish.drafts]
        ahead: set[str] = set()
        publish = self.connection.publish
        future: asyncio.Future[Reply] | None = None
        try:
            for number, draft in enumerate(drafts, 1):
                guard = b"" if draft.subject in ahead else self._guard(draft)
                ahead.add(draft.subject)
                block = b"NATS/1.0\r\n%bNats-Batch-Id: %b\r\nNats-Batch-Sequence: %d\r\n" % (guard, batch, number)
                if number < len(drafts):
                    publish(draft.subject.encode(), draft.body, b"", block + b"\r\n")
                else:
                    commit = block + b"Nats-Batch-Commit: 1\r\n\r\n"
                    future = self.connection.ask(draft.subject.encode(), draft.body, commit)
            assert future is not None
            answer = await self._answer(future)
        except (Unavailable, Conflict):
            return False
        if "error" in answer:
            return False
        first = int(answer["seq"]) - len(drafts) + 1
        place = first
        for wish in group:
            places = list(range(place, place + len(wish.drafts)))
            place += len(wish.drafts)
            for draft, seq in zip(wish.drafts, places, strict=True):
                self._places[draft.subject] = seq
            _settle(wish.future, places)
        return True

    async def _as_singles(self, group: list[_Wish]) -> list[list[int] | Exception]:
        """All first drafts at once in order; an entity's second one waits for the place of its first."""
        outcomes: list[list[int] | Exception] = []
        under_way: list[tuple[_Wish, list[tuple[Draft, asyncio.Future[Reply]]]]] = []
        busy: set[str] = set()
        for wish in group:
            if any(draft.subject in busy for draft in wish.drafts) or _repeats(wish.drafts):
                outcomes += await self._settled(under_way)
                under_way, busy = [], set()
            if _repeats(wish.drafts):
                outcomes.append(await self._one_by_one(wish))
                continue
            try:
                under_way.append((wish, [(draft, self._send(draft)) for draft in wish.drafts]))
            except (Conflict, Unavailable):
                outcomes += await self._settled(under_way)
                under_way, busy = [], set()
                outcomes.append(await self._one_by_one(wish))
                continue
            busy.update(draft.subject for draft in wish.drafts)
        return outcomes + await self._settled(under_way)

    async def _settled(
        self, under_way: list[tuple[_Wish, list[tuple[Draft, asyncio.Future[Reply]]]]]
    ) -> list[list[int] | Exception]:
        outcomes: list[list[int] | Exception] = []
        for _, sent in under_way:
            places: list[int] = []
            failed: Exception | None = None
            for draft, future in sent:
                try:
                    places.append(await self._placed(draft, future))
                except WitanError as error:
                    failed = failed or error
            outcomes.append(failed or places)
        return outcomes

    async def _one_by_one(self, wish: _Wish) -> list[int] | Exception:
        try:
            return [await self._placed(draft, None) for draft in wish.drafts]
        except WitanError as error:
            return error

    async def _placed(self, draft: Draft, future: asyncio.Future[Reply] | None) -> int:
        """Where the draft is; an unclear or refused append is looked up by its commit's id before it is sent again."""
        for _ in range(5):
            try:
                answer = await self._answer(future or self._send(draft))
            except Unavailable:
                answer = {"error": {"err_code": 0, "description": "no answer"}}
            future = None
            if "error" not in answer:
                self._places[draft.subject] = int(answer["seq"])
                return int(answer["seq"])
            code = int(answer["error"].get("err_code", 0))
            if code and code not in _MAYBE_OURS:
                raise Unavailable(f"the log refused an append ({code}): {answer['error'].get('description')}")
            newer = await self._newer(draft)
            for record in newer:
                if draft.id.encode() in record.body[:64]:
                    self._places[draft.subject] = record.seq
                    return record.seq
            if newer:
                self._places.pop(draft.subject, None)
                raise Conflict(f"{draft.subject} is at {newer[-1].seq}: another writer was first")
        raise Unavailable(f"the log did not take a commit for {draft.subject}")

    async def _newer(self, draft: Draft) -> list[Record]:
        """What the entity has behind the place that the draft expected."""
        for _ in range(20):
            try:
                return await self.read(draft.subject, self._expected(draft))
            except Unavailable:
                await asyncio.sleep(0.25)
        raise Unavailable(f"the log did not answer for {draft.subject}")

    async def _answer(self, future: asyncio.Future[Reply]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(ANSWER_S):
                reply = await future
        except TimeoutError:
            raise Unavailable("the log did not answer in time") from None
        if reply.status:
            return {"error": {"err_code": 0, "description": f"status {reply.status}"}}
        answer: dict[str, Any] = json.loads(reply.body)
        return answer

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


def _repeats(drafts: Sequence[Draft]) -> bool:
    return len({draft.subject for draft in drafts}) < len(drafts)


def _settle(future: asyncio.Future[list[int]], outcome: list[int] | Exception) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
