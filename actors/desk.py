"""An actor's desk: the entities it works on, folded from the log, and what it has decided but not yet sent.

Deciders read from the desk and write to the desk, and touch nothing else. So the same decider runs under the shell,
in a test and in a simulation.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from actors.decider import Effect, Fold, Hold, Message, Outcome, Sending, Source
from actors.kept import KEEP_EVERY, Keep, Kept, form_of
from bus.blobs import note_in, noted, sha256
from bus.envelope import Commit, Draft, Record, encode, link
from bus.errors import Invalid, WitanError
from bus.ids import derived_id, fresh_id
from bus.log import Loaded
from bus.messages.kinds import read_commit, read_commits
from bus.timers import Timer

CAUSES = 256
"""So many causes an entity remembers; a command that is repeated later than that is judged by the state alone."""
LATER = {"step.": 1, "agent": 2}


class _Entity:
    __slots__ = ("causes", "evolve", "expect", "prev", "state", "v")

    def __init__(self, fold: Fold) -> None:
        self.state, self.evolve, self.v, self.prev = fold.initial(), fold.evolve, 0, ""
        self.expect: int | None = 0
        self.causes: dict[str, None] = {}

    def remember(self, cause: str) -> None:
        self.causes[cause] = None
        if len(self.causes) > CAUSES:
            del self.causes[next(iter(self.causes))]


class Desk:
    """The entities of one actor."""

    def __init__(self, by: str, folds: Mapping[str, Fold], source: Source, keep: Keep | None = None) -> None:
        self.by, self._folds, self._source, self._keep = by, folds, source, keep
        self._entities: dict[str, _Entity] = {}
        self._ahead: dict[str, Loaded] = {}
        self._begin(Message("", None))

    def _begin(self, message: Message) -> None:
        self.message = message
        self._events: dict[str, list[Any]] = {}
        self._flows: dict[str, str] = {}
        self._blobs: list[bytes] = []
        self._timers: list[Timer] = []
        self._sendings: list[Sending] = []
        self._answer: dict[str, object] = {}
        self._effects: list[Effect] = []
        self._opened: list[str] = []
        self._closed: list[str] = []
        self._looked_up: list[str] = []
        self._forgotten: list[str] = []

    def state(self, subject: str, opens: bool = False) -> Any:
        """What an entity has come to. `opens`: this message is the one that makes it."""
        entity = self._entities.get(subject) or self._entity(subject, opens)
        return entity.state

    def look_ahead(self, found: Mapping[str, Loaded]) -> None:
        """What the messages of this turn may ask for, already looked up."""
        self._ahead = dict(found)

    def peek(self, subject: str) -> Any:
        """What somebody else's entity is right now, read from the log each time."""
        fold = self._fold_of(subject)
        entity = _Entity(fold)
        self._load(subject, entity, fold)
        return entity.state

    def records(self, subject: str, after: int = 0) -> list[Record]:
        """The entity's own records, for the rare decision that needs their places."""
        return self._source.read(subject, after)

    def blob(self, reference: str) -> bytes:
        """A text that an event on the log names, or says itself; it is the same whenever it is read."""
        note = note_in(reference)
        return self._source.blob(reference) if note is None else note

    def knows(self, subject: str, cause: str) -> bool:
        """Whether the entity has already dealt with this message."""
        entity = self._entities.get(subject) or self._entity(subject)
        return cause in entity.causes

    def append(self, subject: str, *events: Any, flow: str = "") -> None:
        """Let these events happen to an entity. `flow` is the task that they belong to, if the message does not say."""
        entity = self._entities.get(subject) or self._entity(subject)
        evolve, state = entity.evolve, entity.state
        for event in events:
            state = evolve(state, event)
        entity.state = state
        if subject in self._events:
            self._events[subject] += events
        else:
            self._events[subject] = [*events]
        if flow:
            self._flows[subject] = flow

    def keep(self, content: bytes) -> str:
        """Keep a large text by its sha256; it is stored before the events that name it."""
        self._blobs.append(content)
        return sha256(content)

    def note(self, content: bytes) -> str:
        """What an event is to say of a JSON object, which is kept if it is too large for it."""
        said, kept = noted(content)
        self._blobs += kept
        return said

    def wake(self, actor: str, name: str, at_s: float, body: msgspec.Struct) -> None:
        """Set a durable timer."""
        self._timers.append(Timer(actor, name, at_s, body))

    def send(self, actor: str, command: str, body: msgspec.Struct) -> None:
        """Send a command to another actor once the events are on the log."""
        cause = self.message.id if len(self.message.id) <= 100 else derived_id(self.message.id)
        self._sendings.append(Sending(actor, command, body, f"{cause}-{len(self._sendings)}-{self.by}"))

    def perform(self, key: str, what: Any) -> None:
        """Have something done outside once the events are on the log."""
        self._effects.append(Effect(key, what))

    def open(self, key: str) -> None:
        """This message is not dealt with before `close`: after a crash it is read again."""
        self._opened.append(key)

    def close(self, key: str) -> None:
        self._closed.append(key)

    def forget(self, subject: str) -> None:
        """Nothing more is expected of this entity; if something comes all the same, it is read from the log."""
        self._forgotten.append(subject)

    def answer(self, **fields: object) -> None:
        """What the sender of the command is told."""
        self._answer.update(fields)

    def decide(self, decide: Callable[["Desk", Message], None], message: Message, after: int) -> Outcome:
        """One message, one decision: at most one commit for each entity."""
        self._begin(message)
        try:
            decide(self, message)
        except (WitanError, Hold) as error:
            if self._events:
                raise RuntimeError("a decider said no after it had said yes") from error
            raise
        finally:
            if self._looked_up:
                self._let_go()
        drafts: list[Draft] = []
        for subject in self._in_order():
            self._draft(subject, after, drafts)
        for subject in self._forgotten:
            self._entities.pop(subject, None)
        return Outcome(
            drafts,
            self._blobs,
            self._timers,
            self._sendings,
            self._answer,
            self._effects,
            self._opened,
            self._closed,
        )

    def _let_go(self) -> None:
        """Forget what was only looked up and is not there or has ended: anybody can name any id."""
        for subject in self._looked_up:
            entity = self._entities[subject]
            if subject not in self._events and (entity.v == 0 or getattr(entity.state, "closed", False)):
                del self._entities[subject]

    def _in_order(self) -> Iterable[str]:
        """As the decider wrote them, for a crash may cut behind any of them: but a run begins and ends before its steps
        say so, and who is told to work comes last."""
        return self._events if len(self._events) < 2 else sorted(self._events, key=lambda each: LATER.get(each[4:9], 0))

    def observe(self, record: Record) -> None:
        """Fold in what another actor did to an entity that this desk watches."""
        commit = read_commit(record)
        entity = self._entities.get(record.subject)
        if entity is None or commit.v > entity.v + 1:
            self._entities.pop(record.subject, None)
            self._entity(record.subject)
        elif commit.v == entity.v + 1:
            self._fold(entity, commit, self._fold_of(record.subject))

    def _draft(self, subject: str, after: int, drafts: list[Draft]) -> None:
        """One commit for the entity; more only when its events do not fit into one."""
        entity, message = self._entities[subject], self.message
        flow = subject[9:] if subject[:9] == "evt.task." else self._flows.get(subject, message.flow)
        over, before = getattr(entity.state, "closed", False), entity.v
        left = [self._events[subject]]
        while left:
            events = left.pop()
            id = fresh_id()
            at = _iso(message.now_s)
            commit = Commit(id, at, self.by, message.id, flow, entity.v + 1, entity.prev, events, after)
            try:
                body = encode(commit)
            except Invalid:
                if len(events) == 1:
                    raise
                left += [events[len(events) // 2 :], events[: len(events) // 2]]
                continue
            drafts.append(Draft(subject, body, id, entity.expect))
            if left or not over:
                entity.v, entity.prev, entity.expect = entity.v + 1, link(subject, body), None
        if over:
            del self._entities[subject]
        else:
            entity.remember(message.id)
            if entity.v // KEEP_EVERY != before // KEEP_EVERY:
                self._save(subject, entity, after)

    def _entity(self, subject: str, opens: bool = False) -> _Entity:
        """One that is not on the desk yet."""
        fold = self._fold_of(subject)
        entity = _Entity(fold)
        if not (opens and self.message.fresh):
            self._load(subject, entity, fold)
        self._entities[subject] = entity
        self._looked_up.append(subject)
        return entity

    def _fold_of(self, subject: str) -> Fold:
        """An entity may have a fold of its own; most share their kind's."""
        return self._folds.get(subject) or self._folds[subject.split(".", 2)[1]]

    def _load(self, subject: str, entity: _Entity, fold: Fold) -> None:
        if fold.newest_only:
            newest = self._source.last(subject)
            loaded = Loaded([newest.body], newest.seq) if newest else Loaded([], 0)
        else:
            found = self._ahead.pop(subject, None) or self._kept(subject, entity, fold)
            loaded = found or self._source.load(subject)
        for commit in read_commits(subject, loaded.bodies, loaded.seq):
            if commit.v > entity.v:
                self._fold(entity, commit, fold)
        if loaded.bodies:
            entity.expect, entity.prev = loaded.seq, link(subject, loaded.bodies[-1])
        if len(loaded.bodies) >= KEEP_EVERY:
            self._save(subject, entity, loaded.seq - 1)

    def _kept(self, subject: str, entity: _Entity, fold: Fold) -> Loaded | None:
        """What has come since a long entity was kept, the commit that it was kept at before it."""
        begun = self._keep.begin(subject, fold, self._source) if self._keep is not None and fold.long else None
        if begun is None:
            return None
        entity.state, entity.v, entity.causes = begun.state, begun.v, begun.causes
        return begun.loaded

    def _save(self, subject: str, entity: _Entity, after: int) -> None:
        """A long entity is kept as it stands; its newest commit stands behind the place `after`."""
        fold = self._fold_of(subject)
        if self._keep is not None and fold.long:
            state = msgspec.Raw(msgspec.json.encode(entity.state))
            self._keep.save(subject, Kept(form_of(fold), entity.v, entity.prev, after, list(entity.causes), state))

    def _fold(self, entity: _Entity, commit: Commit[Any], fold: Fold) -> None:
        if not fold.newest_only:
            for event in commit.events:
                entity.state = fold.evolve(entity.state, event)
        entity.v = commit.v
        entity.remember(commit.cause)


_last_iso: tuple[int, str] = (-1, "")


def _iso(now_s: float) -> str:
    """The moment in ISO 8601 with milliseconds; a busy desk asks many times in one of them."""
    global _last_iso
    ms = int(now_s * 1000)
    if ms != _last_iso[0]:
        stamp = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
        _last_iso = (ms, stamp.replace("+00:00", "Z"))
    return _last_iso[1]
