"""The projector: what comes from the log goes into the store, at latest when somebody asks."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pykka
import structlog

from bus.bridge import Bridge
from bus.errors import Unavailable
from bus.log import Log
from projections.intake import Intake, Taken
from projections.store import Store

FOLD_S = 8.0
"""A fold costs 30 ms of a core however little it merges: planning it is most of that."""
FOLD_SOON_S = 0.25
"""The first facts after a quiet time are folded so soon: until then each question merges them for itself."""
TAIL = 20_000
"""So many commits are folded at once: a question that looks through more of them needs much memory."""
CHECKPOINT_AFTER = 50_000
"""So many new records make a checkpoint worth its while in a quiet moment."""
PAUSE_FIRST_S, PAUSE_MAX_S = 0.05, 5.0
CALM_S = 10.0
"""A projector that lived this long begins with the shortest pause again."""


class Tick(NamedTuple):
    """Look whether there is something to fold."""


class Snapshot(NamedTuple):
    """Make a copy that may be read by others."""

    folder: Path


class Broke(NamedTuple):
    """A question found that the file cannot be used any more: nobody can, until it is opened again."""

    why: str


class Projector(pykka.ThreadingActor):
    """The only writer of the store."""

    use_daemon_thread = True

    def __init__(self, store: Store, log: Log, bridge: Bridge, intake: Intake, died: Callable[[str], None]) -> None:
        super().__init__()
        self.store, self.log, self.bridge, self.intake, self.died = store, log, bridge, intake, died
        intake.projector = self.actor_ref
        self.ticking = False
        self.folded_s = -FOLD_S
        self.seen = self.checkpointed = 0

    def on_receive(self, mail: Any) -> Any:
        match mail:
            case Taken(batch):
                self.store.take(batch)
                if self.store.position - self.store.folded >= TAIL:
                    self.store.fold()
                self.bridge.post(self.intake.taken)
                self._tick_later()
            case Tick():
                self._tick()
            case Snapshot(folder):
                return self.store.snapshot(folder)
            case Broke(why):
                raise Unavailable(why, "It is opened again.")
            case "begin":
                self._begin()
        return None

    def on_stop(self) -> None:
        self._let_go()

    def on_failure(self, *why: Any) -> None:
        try:
            self._let_go()
        finally:
            self.died(repr(why[1]))

    def _begin(self) -> None:
        last = self.bridge.run(self.log.last("evt.>"))
        if self.store.position > (last.seq if last else 0):
            self.store.clear()
        self.seen = self.checkpointed = self.store.position
        self.bridge.run(self.intake.open(self.log, self.store.position))

    def _let_go(self) -> None:
        self.bridge.run(self.intake.close(), timeout_s=5)

    def _tick_later(self) -> None:
        if not self.ticking:
            self.ticking = True
            pause_s = max(FOLD_SOON_S, self.folded_s + FOLD_S - time.monotonic())
            self.bridge.post(self.bridge.loop.call_later, pause_s, _tell_if_alive, self.actor_ref)

    def _tick(self) -> None:
        """Fold while facts come, and take in between the pieces; the first tick without any is the last."""
        self.ticking = self.store.fold_on()
        if self.ticking:
            self.actor_ref.tell(Tick())
        elif self.store.position > self.seen:
            self.seen, self.folded_s = self.store.position, time.monotonic()
            self._tick_later()
        elif self.store.position - self.checkpointed >= CHECKPOINT_AFTER:
            self.store.checkpoint()
            self.checkpointed = self.store.position


def _tell_if_alive(ref: pykka.ActorRef[Projector]) -> None:
    if ref.is_alive():
        ref.tell(Tick())


class Projection:
    """The store and the projector that fills it; one that stops is started again where the store is."""

    def __init__(self, store: Store | Path | str, log: Log, bridge: Bridge) -> None:
        self.store = store if isinstance(store, Store) else Store(store)
        self.restarts = self._strikes = 0
        self._born = 0.0
        self._log, self._bridge = log, bridge
        self._closed = False
        self._note = structlog.get_logger().bind(actor="projector")
        self._start()

    async def fresh(self) -> None:
        """Wait until all that came from the log is in the store, but for what came just now. On the bridge's loop."""
        await self._intake.fresh()

    def snapshot(self, folder: Path | str) -> tuple[Path, int]:
        """A copy of the file and its place in the log. Not for the loop's thread."""
        copy: Any = self.ref.ask(Snapshot(Path(folder)), timeout=60)
        path, seq = copy
        return path, seq

    def broke(self, why: str) -> None:
        """Open the file again. From any thread; what is told twice is done once."""
        with contextlib.suppress(pykka.ActorDeadError):
            self.ref.tell(Broke(why))

    def close(self) -> None:
        """Stop following and let go of the file. Not for the loop's thread."""
        self._closed = True
        if self.ref.is_alive():
            self.ref.stop(block=True, timeout=10)
        self.store.close()

    def _start(self) -> None:
        self._born = time.monotonic()
        self._intake = Intake(self._bridge.loop)
        self.ref = Projector.start(self.store, self._log, self._bridge, self._intake, self._died)
        self.ref.tell("begin")

    def _died(self, why: str) -> None:
        self._strikes = 0 if time.monotonic() - self._born > CALM_S else self._strikes + 1
        pause = min(PAUSE_FIRST_S * 2 ** min(self._strikes, 10), PAUSE_MAX_S)
        self._note.warning("the projector stopped and will be started again", why=why, pause_s=pause)
        self._bridge.post(self._bridge.loop.call_later, pause, self._again)

    def _again(self) -> None:
        if self._closed:
            return
        self.restarts += 1
        self.store.close()
        self.store.open()
        self._start()
