"""What a real shell and a real outbox are to an actor, without threads and without a loop, and with crashes.

An actor's commits are on the log some time after it decided, its effects begin after that, and `after` stays before
whatever is held or not done.
"""

from collections import deque
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from actors.decider import Effect, Hold, Message, Outcome
from actors.desk import Desk
from actors.folds import FOLDS
from bus.blobs import sha256
from bus.envelope import Draft, Record
from bus.errors import Conflict
from bus.log import Loaded, MemoryLog, fits
from bus.messages.kinds import read_commit
from bus.timers import Timer


class Crash(Exception):
    """The actor is gone in the middle of what it did."""


class Log(MemoryLog):
    """The log, with an index by entity: thousands of histories are read from it."""

    def __init__(self) -> None:
        super().__init__()
        self.entities: dict[str, list[Record]] = {}
        self.blobs: dict[str, bytes] = {}

    def put(self, draft: Draft) -> Record:
        (seq,) = self.append_now([draft])
        record = self.records[seq - 1]
        self.entities.setdefault(draft.subject, []).append(record)
        return record

    def keep(self, content: bytes) -> str:
        self.blobs[sha256(content)] = content
        return sha256(content)

    def place_of(self, subject: str) -> int:
        return self.entities[subject][-1].seq if subject in self.entities else 0


class Source:
    """Where desks read entities from."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def read(self, subject: str, after: int = 0) -> list[Record]:
        if "*" in subject:
            found = [record for name, records in self.log.entities.items() if fits(subject, name) for record in records]
            return sorted((record for record in found if record.seq > after), key=lambda record: record.seq)
        return [record for record in self.log.entities.get(subject, []) if record.seq > after]

    def load(self, subject: str) -> Loaded:
        return Loaded([record.body for record in self.read(subject)], self.log.place_of(subject))

    def last(self, pattern: str) -> Record | None:
        newest = [records[-1] for subject, records in self.log.entities.items() if fits(pattern, subject)]
        return max(newest, key=lambda record: record.seq, default=None)

    def blob(self, digest: str) -> bytes:
        return self.log.blobs[digest]


class Parcel(NamedTuple):
    """What one turn of an actor came to."""

    drafts: list[Draft]
    timers: list[Timer]
    sendings: list[Any]
    effects: list[Effect]
    fired: list[tuple[str, float]]
    upto: int


class Actor:
    """What shell and outbox are to a real actor."""

    def __init__(self, world: Any, name: str) -> None:
        self.world, self.name, self.life = world, name, 0
        self.decider = world.fresh(name)
        self.begin()

    def begin(self) -> None:
        """As after a crash: nothing but the log, and nothing of the last life's effects under way."""
        world = self.world
        self.life += 1
        self.desk = Desk(self.name, FOLDS, Source(world.log))
        if effects := self.decider.effects:
            effects.begin_anew()
        self.head = len(world.log.records)
        self.place = self.upto = self.decider.resume_after(Source(world.log).last, self.head)
        self.held: list[tuple[Message, int, str]] = []
        self.unfinished: dict[str, int] = {}
        self.outbox: deque[Parcel] = deque()
        self.slow: list[Parcel] = []
        self.mail: deque[Any] = deque()
        self.fired: set[str] = set()
        self.unread: deque[Record] = deque()
        for record in world.log.records[self.place :]:
            self.offer(record)
        self._clear()
        message = Message(f"begin-{world.next()}", None, now_s=world.now)
        self._add(self.desk.decide(lambda desk, told: self.decider.recover(desk, told), message, self.place), 0, "")
        self._post()

    def offer(self, record: Record) -> None:
        if any(fits(pattern, record.subject) for pattern in self.decider.follows):
            self.unread.append(record)

    def read(self, count: int) -> None:
        for record in [self.unread.popleft() for _ in range(min(count, len(self.unread)))]:
            if record.subject in self.decider.watches:
                self.desk.observe(record)
            commit = read_commit(record)
            self.decider.overhear(record, commit)
            for event in commit.events:
                if type(event) not in self.decider.ignores:
                    fresh = record.seq > self.head
                    message = Message(commit.id, event, record.subject, commit.flow, self.world.now, fresh)
                    self._decide(message, record.seq, "")
            if record.subject in self.decider.watches:
                self._try_held()
            self.place = record.seq
        self._end_turn()

    def hear(self) -> None:
        self._decide(Message(f"heard-{self.world.next()}", self.mail.popleft(), now_s=self.world.now), 0, "")
        self._end_turn()

    def fire(self, name: str, body: msgspec.Struct) -> None:
        self.fired.add(name)
        self._decide(Message(f"fired-{self.world.next()}", body, now_s=self.world.now), 0, name)
        self._end_turn()

    def _decide(self, message: Message, seq: int, timer: str) -> None:
        try:
            outcome = self.desk.decide(self.decider.decide, message, self.upto)
        except Hold:
            self.held.append((message, seq, timer))
        else:
            self._add(outcome, seq, timer)

    def _add(self, outcome: Outcome, seq: int, timer: str) -> None:
        self.world.log.blobs.update((sha256(blob), blob) for blob in outcome.blobs)
        self._drafts += outcome.drafts
        self._timers += outcome.timers
        self._sendings += outcome.sendings
        self._effects += outcome.effects
        self._settled += [(timer, self.world.timers[timer].at_s)] if timer in self.world.timers else []
        self.unfinished.update(dict.fromkeys(outcome.opened, seq))
        for key in outcome.closed:
            self.unfinished.pop(key, None)

    def _end_turn(self) -> None:
        self._try_held()
        self._post()

    def _try_held(self) -> None:
        if self.held and self.decider.ready(self.desk):
            held, self.held = self.held, []
            for message, seq, timer in held:
                self._decide(replace(message, now_s=self.world.now, fresh=False), seq, timer)

    def _post(self) -> None:
        waiting = [seq for _, seq, _ in self.held if seq] + [seq for seq in self.unfinished.values() if seq]
        upto = min(waiting, default=self.place + 1) - 1
        self.outbox.append(Parcel(self._drafts, self._timers, self._sendings, self._effects, self._settled, upto))
        self._clear()
        self._let_through()

    def _clear(self) -> None:
        self._drafts: list[Draft] = []
        self._timers: list[Timer] = []
        self._sendings: list[Any] = []
        self._effects: list[Effect] = []
        self._settled: list[tuple[str, float]] = []

    def store(self) -> None:
        """The first parcel of the outbox goes on the log."""
        parcel = self.outbox[0]
        while parcel.drafts:
            self.world.crash_point()
            self.world.append(parcel.drafts.pop(0))
        self.world.crash_point()
        self._stored(self.outbox.popleft())
        self._let_through()

    def _let_through(self) -> None:
        """What has nothing for the log waits for nobody but those before it."""
        while self.outbox and not self.outbox[0].drafts:
            self._stored(self.outbox.popleft())
        while self.world.overtaking and self.outbox and not self.outbox[-1].drafts:
            self._stored(self.outbox.pop())

    def _stored(self, parcel: Parcel) -> None:
        if parcel.timers or parcel.sendings:
            self.slow.append(parcel)
        else:
            self._finish(parcel)

    def finish_slowly(self) -> None:
        parcel = self.slow.pop(0)
        for timer in parcel.timers:
            self.world.crash_point()
            self.world.timers[f"{timer.actor}.{timer.name}"] = timer
        self.world.crash_point()
        self._finish(parcel)
        for sending in parcel.sendings:
            self.world.commands.append((self, self.life, sending))

    def _finish(self, parcel: Parcel) -> None:
        self.upto = max(self.upto, parcel.upto)
        for effect in parcel.effects:
            self.world.crash_point()
            effects: Any = self.decider.effects
            effects.perform(effect)
        for name, at_s in parcel.fired:
            self.fired.discard(name)
            if name in self.world.timers and self.world.timers[name].at_s == at_s:
                del self.world.timers[name]

    def crash(self) -> None:
        """What was on its way to the log may have come there, in its order, up to any place."""
        drafts = [draft for parcel in self.outbox for draft in parcel.drafts]
        if self.world.random.random() < 0.5:
            for draft in drafts[: self.world.random.randint(0, len(drafts))]:
                try:
                    self.world.append(draft)
                except Conflict:
                    break
        if self.world.random.random() < 0.5:
            self.decider = self.world.fresh(self.name)  # the process died, not only the actor
        self.begin()
