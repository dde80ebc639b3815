"""Who looks after the actors: one that stops is started again from the log, after a pause that grows."""

from collections.abc import Sequence
from contextlib import suppress
from threading import Event
from typing import Any, NamedTuple

import pykka
import structlog

from actors.decider import Decider
from actors.outbox import Wires
from actors.shell import Begin, Shell
from bus.commands import Callers

PAUSE_FIRST_S = 0.05
PAUSE_MAX_S = 5.0
CALM_S = 10.0
"""An actor that lived this long begins with the shortest pause again."""


class _Died(NamedTuple):
    decider: Decider


class _Restart(NamedTuple):
    decider: Decider


class Supervisor(pykka.ThreadingActor):
    """Knows every actor of this process by its name."""

    use_daemon_thread = True

    def __init__(self, wires: Wires) -> None:
        super().__init__()
        self.wires = wires
        self.log = structlog.get_logger().bind(actor="supervisor")
        self.running: dict[str, pykka.ActorRef[Shell]] = {}
        self.strikes: dict[str, int] = {}
        self.callers: dict[str, Callers] = {}
        self.gone: dict[str, Event] = {}
        """Set when one that died has let go of the bus."""
        self.pauses: dict[str, tuple[float, float]] = {}
        self.restarts = 0
        self.closed = False

    def on_receive(self, mail: Any) -> None:
        match mail:
            case _Died() if not self.closed:
                pause = self._pause(mail.decider.name)
                loop = self.wires.bridge.loop
                loop.call_soon_threadsafe(loop.call_later, pause, self._tell, _Restart(mail.decider))
            case _Restart() if not self.closed:
                self.restarts += 1
                self._start(mail.decider).tell(Begin())

    def begin(self, deciders: Sequence[Decider]) -> None:
        """Start the actors; all of them have read the log and are listening when this returns."""
        begun = [self._start(decider).ask(Begin(), block=False) for decider in deciders]
        for future in begun:
            future.get(timeout=60)

    def _start(self, decider: Decider) -> pykka.ActorRef[Shell]:
        self.gone[decider.name] = Event()
        ref = self.running[decider.name] = Shell.start(decider, self.wires, self.strikes, self.callers, self._died)
        return ref

    def end(self) -> None:
        """Stop them all, one after the other."""
        self.closed = True
        for name, ref in self.running.items():
            if not ref.is_alive() or not ref.stop(block=True, timeout=10):
                self.gone[name].wait(10)

    def _died(self, shell: Shell, why: str) -> None:
        self.gone[shell.decider.name].set()
        self._tell(_Died(shell.decider))

    def _tell(self, mail: _Died | _Restart) -> None:
        with suppress(pykka.ActorDeadError):  # it is the end of everything
            self.actor_ref.tell(mail)

    def _pause(self, name: str) -> float:
        now = self.wires.clock()
        pause, since = self.pauses.get(name, (PAUSE_FIRST_S, now))
        pause = PAUSE_FIRST_S if now - since > CALM_S else min(pause * 2, PAUSE_MAX_S)
        self.pauses[name] = (pause, now)
        self.log.warning("actor will be started again", name=name, pause_s=pause)
        return pause
