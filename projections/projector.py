"""The projector: what comes from the log goes into the store, all that waits in one transaction."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pykka
import structlog

from bus.bridge import Bridge
from bus.envelope import Record
from bus.log import Follower, Log
from projections.store import Store

WINDOW = 5_000
PACE_S, PACE_MAX_S = 0.04, 0.05
REST = 2
"""A transaction costs 3 ms whatever it holds: resting twice as long makes them few where they are slow."""
FOLD_S = 5.0
"""A fold costs 30 ms of a core however little it merges: planning it is most of that."""
TAIL = 20_000
"""So many commits are folded at once: a question that looks through more of them needs too much memory."""
CHECKPOINT_AFTER = 50_000
"""So many new records make a checkpoint worth its while in a quiet moment."""
PAUSE_FIRST_S, PAUSE_MAX_S = 0.05, 5.0
CALM_S = 10.0
"""A projector that lived this long begins with the shortest pause again."""


class Taken(NamedTuple):
    """These records have come."""

    batch: list[Record]


class Tick(NamedTuple):
    """Look whether there is something to fold."""


class Snapshot(NamedTuple):
    """Make a copy that may be read by others."""

    folder: Path


class Intake:
    """Collects on the loop what comes while a transaction runs; a long transaction is followed by a long rest."""

    def __init__(self, bridge: Bridge, tell: Callable[[Any], None]) -> None:
        self._loop, self._tell = bridge.loop, tell
        self._waiting: list[Record] = []
        self._busy = False
        self._rest_until = 0.0
        self.follower: Follower | None = None

    def feed(self, batch: list[Record], _behind: int) -> None:
        """The log's sink."""
        self._waiting += batch
        self._go_on()

    def taken(self, count: int, seconds: float) -> None:
        """A transaction is over: the log may send as many more."""
        self._busy = False
        rest_s = min(REST * seconds, PACE_MAX_S) if count < WINDOW // 2 else 0.0
        self._rest_until = self._loop.time() + max(PACE_S, rest_s)
        if self.follower is not None:
            self.follower.done(count)
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting and not self._busy:
            self._busy = True
            self._loop.call_later(max(0.0, self._rest_until - self._loop.time()), self._hand_over)

    def _hand_over(self) -> None:
        batch, self._waiting = self._waiting, []
        try:
            self._tell(Taken(batch))
        except pykka.ActorDeadError:
            self.follower = None


class Projector(pykka.ThreadingActor):
    """The only writer of the store."""

    use_daemon_thread = True

    def __init__(self, store: Store, log: Log, bridge: Bridge, died: Callable[[str], None]) -> None:
        super().__init__()
        self.store, self.log, self.bridge, self.died = store, log, bridge, died
        self.intake = Intake(bridge, self.actor_ref.tell)
        self.ticking = False
        self.seen = self.checkpointed = 0

    def on_receive(self, mail: Any) -> Any:
        match mail:
            case Taken(batch):
                start = time.perf_counter()
                self.store.take(batch)
                if self.store.position - self.store.folded >= TAIL:
                    self.store.fold()
                self.bridge.post(self.intake.taken, len(batch), time.perf_counter() - start)
                self._tick_later()
            case Tick():
                self._tick()
            case Snapshot(folder):
                return self.store.snapshot(folder)
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
        self.intake.follower = self.bridge.run(
            self.log.follow(["evt.>"], self.store.position, self.intake.feed, WINDOW)
        )

    def _let_go(self) -> None:
        follower, self.intake.follower = self.intake.follower, None
        if follower is not None:
            self.bridge.run(follower.close(), timeout_s=5)

    def _tick_later(self) -> None:
        if not self.ticking:
            self.ticking = True
            self.bridge.post(self.bridge.loop.call_later, FOLD_S, _tell_if_alive, self.actor_ref)

    def _tick(self) -> None:
        """Fold while facts come; the first tick without any is the last."""
        self.ticking = False
        if self.store.fold() or self.store.position > self.seen:
            self.seen = self.store.position
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

    def snapshot(self, folder: Path | str) -> tuple[Path, int]:
        """A copy of the file and its place in the log. Not for the loop's thread."""
        copy: Any = self.ref.ask(Snapshot(Path(folder)), timeout=60)
        path, seq = copy
        return path, seq

    def close(self) -> None:
        """Stop following and let go of the file. Not for the loop's thread."""
        self._closed = True
        if self.ref.is_alive():
            self.ref.stop(block=True, timeout=10)
        self.store.close()

    def _start(self) -> None:
        self._born = time.monotonic()
        self.ref = Projector.start(self.store, self._log, self._bridge, self._died)
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
