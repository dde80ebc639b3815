"""What becomes of the runs of a simulated world: each has its fate, drawn from the seed and the run's own name."""

import random
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from actors.agent.mind import Script, ScriptedReply
from actors.desk import Desk
from actors.recovery import FAILURES
from bus.envelope import Record
from bus.errors import Missing
from bus.log import Loaded, MemoryLog, fits
from bus.messages.agent import WorkAssigned
from bus.messages.routing import AssignTask
from bus.messages.run import RunFailed

_FAULTS = tomllib.loads((Path(__file__).parent / "recovery_corpus.toml").read_text())["faults"]
TEXTS: list[str] = [fault["text"] for fault in _FAULTS if fault["text"]]
SLOW_S = {"design": 3.0}


class Fate(Script, frozen=True):
    """A script that has bad days as long as its world is not at peace."""

    world: Any = None

    def reply_to(self, work: WorkAssigned) -> ScriptedReply | None:
        dice = random.Random(f"{self.world.seed} {work.run}")
        unlucky = dice.random() < self.world.bad_luck
        red = work.phase == "test" and dice.random() < 0.6
        usual = FAILURES[self.world.seed % len(FAILURES)]
        kind = "test_failure" if red else dice.choice(("", *FAILURES, *[usual] * 12))
        text = f"{kind}\n{dice.choice(TEXTS)}"
        return ScriptedReply(
            work.phase,
            "made",
            "artifact",
            "x",
            delay_s=SLOW_S.get(work.phase, 0),
            fails_first=1_000_000 if unlucky else 0,
            failure=text,
        )


class FatedDesk(Desk):
    """A script's failure is only a text; its first line says the type here, or leaves it open."""

    def append(self, subject: str, *events: Any, flow: str = "") -> None:
        super().append(subject, *(_named(event) for event in events), flow=flow)


def _named(event: Any) -> Any:
    if not isinstance(event, RunFailed):
        return event
    kind, _, text = event.reason.partition("\n")
    return msgspec.structs.replace(event, reason=text, failure=kind or "unknown")


def assignment(dice: random.Random, id: str) -> AssignTask:
    """Somebody is named for a task, perhaps one that does not exist, or the rules decide."""
    who: list[dict[str, Any]] = [{"auto": True}, {"role": "cto"}, {"role": "coder"}, {"agent": "coder-02"}]
    who += [{"agent": "coder-01"}, {"agent": "designer-01"}, {"agent": "cto-01"}, {"agent": "nobody"}, {}]
    return AssignTask(task_id=id, reason="so it is", **dice.choice(who))


class Source:
    """Entities, read from the log in memory."""

    def __init__(self, log: MemoryLog, blobs: dict[str, bytes] | None = None) -> None:
        self.log, self.blobs = log, {} if blobs is None else blobs

    def read(self, subject: str, after: int = 0) -> list[Record]:
        return self.log.read_now(subject, after)

    def load(self, subject: str) -> Loaded:
        return self.log.load_now(subject)

    def last(self, pattern: str) -> Record | None:
        return next((record for record in reversed(self.log.records) if fits(pattern, record.subject)), None)

    def blob(self, digest: str) -> bytes:
        if digest not in self.blobs:
            raise Missing(digest)
        return self.blobs[digest]
