"""An actor's desk: the entities it works on, folded from the log, and what it has decided but not yet sent.

Deciders read from the desk and write to the desk, and touch nothing else. So the same decider runs under the shell,
in a test and in a simulation.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from bus.blobs import sha256
from bus.envelope import Commit, Draft, Record, encode, link
from bus.errors import Invalid, WitanError
from bus.ids import derived_id, fresh_id
from bus.log import Loaded
from bus.messages.agent import Alive
from bus.messages.kinds import read_commit
from bus.timers import Timer

CAUSES = 256
"""So many causes an entity remembers; a command that is repeated later than that is judged by the state alone."""


class Fold(NamedTuple):
    """How a kind's events become a state. `newest_only`: the state is not needed, only where the entity stands."""

    initial: Callable[[], Any]
    evolve: Callable[[Any, Any], Any]
    newest_only: bool = False


class Source(Protocol):
    """Where a desk reads entities from."""

    def read(self, subject: str, after: int = 0) -> list[Record]: ...

    def load(self, subject: str) -> Loaded: ...

    def last(self, subject: str) -> Record | None: ...


class Hold(Exception):
    """Not now: the message waits at the actor, unacknowledged, until it is ready again."""


class Message(NamedTuple):
    """One thing to decide on, with everything that a decider may know: ids and the time come with it."""

    id: str
    body: Any
    subject: str = ""
    flow: str = ""
    now_s: float = 0.0
    fresh: bool = False
    """Nobody can have decided on it before, so what it opens cannot be on the log yet."""


class Answer(NamedTuple):
    """The answer to a command that this actor sent."""

    command: str
    fields: dict[str, Any]


class Sending(NamedTuple):
    """A command to another actor; the answer comes back as a message."""

    actor: str
    command: str
    body: msgspec.Struct
    id: str


class Outcome(NamedTuple):
    """What came of one message."""

    drafts: list[Draft]
    blobs: list[bytes]
    timers: list[Timer]
    sendings: list[Sending]
    answer: dict[str, object]


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


class Decider(Protocol):
    """What an actor is: where it reads, and what it makes of it. Everything else is the shell's."""

    @property
    def name(self) -> str: ...

    @property
    def follows(self) -> Sequence[str]:
        """The subjects of the log that it reads."""
        ...

    @property
    def watches(self) -> Sequence[str]:
        """Those of them whose state it needs though others write them."""
        ...

    @property
    def ignores(self) -> Sequence[type]:
        """Events among those that mean nothing to it."""
        ...

    @property
    def woken_as(self) -> Sequence[str]:
        """The names under which its timers fire."""
        ...

    def resume_after(self, last: Callable[[str], Record | None], head: int) -> int:
        """The place in the log up to which it has certainly dealt with everything."""
        ...

    def ready(self, desk: "Desk") -> bool:
        """Whether messages that had to wait can be tried again."""
        ...

    def recover(self, desk: "Desk", message: Message) -> None:
        """What to do first, with nothing but the log to go by."""
        ...

    def opened_by(self, message: Message) -> str:
        """The entity that a command makes, if it is one that makes an entity."""
        ...

    def decide(self, desk: "Desk", message: Message) -> None: ...

    def beats(self) -> list[Alive]:
        """Who is at work, for the heartbeat."""
        ...

    @property
    def beat_s(self) -> float:
        """How long one heartbeat is good for."""
        ...


class Desk:
    """The entities of one actor."""

    def __init__(self, by: str, folds: Mapping[str, Fold], source: Source) -> None:
        self.by, self._folds, self._source = by, folds, source
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
        self._looked_up: list[str] = []

    def state(self, subject: str, opens: bool = False) -> Any:
        """What an entity has come to. `opens`: this message is the one that makes it."""
        return self._entity(subject, opens).state

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

    def knows(self, subject: str, cause: str) -> bool:
        """Whether the entity has already dealt with this message."""
        return cause in self._entity(subject).causes

    def append(self, subject: str, *events: Any, flow: str = "") -> None:
        """Let these events happen to an entity. `flow` is the task that they belong to, if the message does not say."""
        entity = self._entity(subject)
        evolve, state = entity.evolve, entity.state
        for event in events:
            state = evolve(state, event)
        entity.state = state
        self._events.setdefault(subject, []).extend(events)
        if flow:
            self._flows[subject] = flow

    def keep(self, content: bytes) -> str:
        """Keep a large text by its sha256; it is stored before the events that name it."""
        self._blobs.append(content)
        return sha256(content)

    def wake(self, actor: str, name: str, at_s: float, body: msgspec.Struct) -> None:
        """Set a durable timer."""
        self._timers.append(Timer(actor, name, at_s, body))

    def send(self, actor: str, command: str, body: msgspec.Struct) -> None:
        """Send a command to another actor once the events are on the log."""
        cause = self.message.id if len(self.message.id) <= 100 else derived_id(self.message.id)
        self._sendings.append(Sending(actor, command, body, f"{cause}-{len(self._sendings)}-{self.by}"))

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
        drafts = [draft for subject in self._in_order() for draft in self._drafts(subject, after)]
        return Outcome(drafts, self._blobs, self._timers, self._sendings, self._answer)

    def _let_go(self) -> None:
        """Forget what was only looked up and is not there or has ended: anybody can name any id."""
        for subject in self._looked_up:
            entity = self._entities[subject]
            if subject not in self._events and (entity.v == 0 or getattr(entity.state, "closed", False)):
                del self._entities[subject]

    def _in_order(self) -> Iterable[str]:
        """As the decider wrote them: a crash may cut behind any of them. Only who is told to work comes last."""
        if len(self._events) < 2:
            return self._events
        first = [subject for subject in self._events if not subject.startswith("evt.agent.")]
        return first if len(first) == len(self._events) else first + [s for s in self._events if s not in first]

    def observe(self, record: Record) -> None:
        """Fold in what another actor did to an entity that this desk watches."""
        commit = read_commit(record)
        entity = self._entities.get(record.subject)
        if entity is None or commit.v > entity.v + 1:
            self._entities.pop(record.subject, None)
            self._entity(record.subject)
        elif commit.v == entity.v + 1:
            self._fold(entity, commit, self._fold_of(record.subject))

    def _drafts(self, subject: str, after: int) -> list[Draft]:
        """One commit for the entity; more only when its events do not fit into one."""
        entity, message = self._entities[subject], self.message
        flow = subject[9:] if subject[:9] == "evt.task." else self._flows.get(subject, message.flow)
        at = _iso(message.now_s)
        drafts: list[Draft] = []
        left = [self._events[subject]]
        while left:
            events = left.pop()
            id = fresh_id()
            commit = Commit(id, at, self.by, message.id, flow, entity.v + 1, entity.prev, events, after)
            try:
                body = encode(commit)
            except Invalid:
                if len(events) == 1:
                    raise
                left += [events[len(events) // 2 :], events[: len(events) // 2]]
                continue
            drafts.append(Draft(subject, body, id, entity.expect))
            entity.v, entity.prev, entity.expect = entity.v + 1, link(subject, body), None
        entity.remember(message.id)
        if getattr(entity.state, "closed", False):
            del self._entities[subject]
        return drafts

    def _entity(self, subject: str, opens: bool = False) -> _Entity:
        entity = self._entities.get(subject)
        if entity is None:
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
            loaded = self._ahead.pop(subject) if subject in self._ahead else self._source.load(subject)
        for body in loaded.bodies:
            self._fold(entity, read_commit(Record(subject, loaded.seq, body)), fold)
        if loaded.bodies:
            entity.expect, entity.prev = loaded.seq, link(subject, loaded.bodies[-1])

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
