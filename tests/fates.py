"""What becomes of the runs of a simulated world: each has its fate, drawn from the seed and the run's own name."""

import random
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from actors.agent.mind import Script, ScriptedReply
from actors.desk import Desk
from actors.recovery import FAILURES
from bus.messages.agent import WorkAssigned
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
