"""What a decider is, and everything that passes between it and the shell around it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from bus.envelope import Commit, Draft, Record
from bus.log import Loaded
from bus.messages.agent import Alive
from bus.timers import Timer

if TYPE_CHECKING:
    from actors.desk import Desk


class Fold(NamedTuple):
    """How a kind's events become a state. `newest_only`: the state is not needed, only where the entity stands.

    `long`: its entities never end and grow with everything, so they are kept between two starts.
    """

    initial: Callable[[], Any]
    evolve: Callable[[Any, Any], Any]
    newest_only: bool = False
    long: bool = False


class Source(Protocol):
    """Where a desk reads entities from."""

    def read(self, subject: str, after: int = 0) -> list[Record]: ...

    def load(self, subject: str) -> Loaded: ...

    def last(self, subject: str) -> Record | None: ...

    def blob(self, digest: str) -> bytes: ...


class Hold(Exception):
    """Not now: the message waits at the actor, unacknowledged, until it is ready again."""


class Message(msgspec.Struct, frozen=True, gc=False):
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


class Effect(NamedTuple):
    """Something to be done outside, once the events are on the log; what comes of it are messages to the same actor."""

    key: str
    what: Any


class Progress(NamedTuple):
    """What an effect says on its way."""

    key: str
    told: Any


class Done(NamedTuple):
    """What an effect came to; it is told once."""

    key: str
    told: Any


class Effects(Protocol):
    """Whoever carries effects out, on the loop's side."""

    async def open(self, tell: Callable[[Progress | Done], None]) -> None:
        """Begin, and leave nothing of an earlier life under way."""
        ...

    def perform(self, effect: Effect) -> None: ...

    async def close(self) -> None: ...


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What came of one message. While a key is `opened` and not `closed`, the message counts as not dealt with."""

    drafts: list[Draft]
    blobs: list[bytes]
    timers: list[Timer]
    sendings: list[Sending]
    answer: dict[str, object]
    effects: list[Effect]
    opened: list[str]
    closed: list[str]


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
        """Those of them, by subject, whose state it needs though others write them."""
        ...

    @property
    def effects(self) -> Effects | None:
        """Who does for it what is not a decision."""
        ...

    @property
    def ignores(self) -> Sequence[type]:
        """Events among those that mean nothing to it."""
        ...

    @property
    def overhears(self) -> tuple[str, ...]:
        """How the subjects begin of those that it never decides on, but only overhears."""
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

    def overhear(self, record: Record, commit: Commit[Any]) -> None:
        """Each record that it follows, before it is decided on: for what it keeps in mind and could read again."""
        ...

    def decide(self, desk: "Desk", message: Message) -> None: ...

    def beats(self) -> list[Alive]:
        """Who is at work, for the heartbeat."""
        ...

    @property
    def beat_s(self) -> float:
        """How long one heartbeat is good for."""
        ...


class Plain:
    """What an actor is as far as it does not say otherwise: it watches and ignores nothing, and has no heartbeat."""

    watches: Sequence[str] = ()
    effects: Effects | None = None
    ignores: Sequence[type] = ()
    overhears: tuple[str, ...] = ()
    woken_as: Sequence[str] = ()

    def ready(self, desk: "Desk") -> bool:
        return True

    def opened_by(self, message: Message) -> str:
        return ""

    def overhear(self, record: Record, commit: Commit[Any]) -> None:
        return None

    def beats(self) -> list[Alive]:
        return []

    @property
    def beat_s(self) -> float:
        return 0.0
