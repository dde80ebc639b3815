"""What has gone wrong in a task since a person last put it right, and what was tried against it."""

from typing import Any

import msgspec

from bus.messages import task as said
from bus.messages.base import Recovery

TOLD_CHARS = 200
"""So much of each failure is told to somebody who was not there."""

COUNCIL_TIER = 3

ONCE_MORE = "so this one is done once more: find the cause here and mend it."


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One recovery. `reopened` is the earlier phase that is done once more for it."""

    phase: str
    failure: str
    strategy: str
    tier: int
    tries: int
    hint: str
    error: str
    reopened: str = ""
    open: bool = True
    solution: str = ""
    council: str = ""
    tests: str = ""


class Trouble(msgspec.Struct, frozen=True, gc=False):
    """Empty for a task that goes well."""

    attempts: tuple[Attempt, ...] = ()
    not_before_s: float = 0
    last_agent: str = ""
    """Who did the phase last; a review gives it to somebody else."""
    losses: int = 0
    """How often the present phase was handed out and nothing came back."""
    requests: dict[str, int] = {}
    """By phase: how often it was requested before it was reopened."""
    council: str = ""
    """The council that is waited for."""
    answered: str = ""
    """The council that has ended last."""
    counselled: tuple[str, ...] = ()
    """The phases that a council was asked about."""

    def tries(self, phase: str, failure: str) -> int:
        return sum((each.phase, each.failure, each.tier) == (phase, failure, 1) for each in self.attempts)

    def reviewed(self, phase: str) -> bool:
        return any(each.phase == phase and each.tier == 2 for each in self.attempts)

    def under_way(self, phase: str = "") -> list[Attempt]:
        return [each for each in self.attempts if each.open and phase in ("", each.phase)]

    def story(self, phase: str) -> list[str]:
        """What was tried for a phase so far."""
        return [
            f"{each.failure}, tried {each.strategy}: {' '.join(each.error.split())[:TOLD_CHARS]}"
            for each in self.attempts
            if each.phase == phase
        ]

    def recovery_of(self, phase: str) -> Recovery | None:
        """What a new run of the phase is told: why it failed itself, and for whose sake it is done once more."""
        own = [each for each in self.attempts if each.open and each.phase == phase and not each.reopened]
        for_others = [each for each in self.attempts if each.open and each.reopened == phase]
        if not own and not for_others:
            return None
        first = (own or for_others)[-1]
        hints = [each.hint for each in own]
        hints += [f"The phase {each.phase} failed, {ONCE_MORE} {each.hint}" for each in for_others]
        share = 2000 // len(hints)
        hint = "\n\n".join(each[: share - 2] for each in hints)
        told = Recovery(first.failure, first.strategy, hint, first.error, first.tries, first.tier)
        return msgspec.structs.replace(told, solution=first.solution, tests=first.tests)


def after(trouble: Trouble, event: said.TaskEvent) -> Trouble:
    """What the trouble is after one of the events that are about it."""
    told: dict[str, Any] = {}
    match event:
        case said.PhaseFailed():
            told = {"last_agent": event.agent, "losses": 0}
        case said.AssignmentLost():
            told = {"losses": trouble.losses + 1}
        case said.RecoveryStarted():
            attempt = Attempt(
                event.phase,
                event.failure,
                event.strategy,
                event.tier,
                event.tries,
                event.hint,
                event.error,
                solution=event.solution,
                council=trouble.answered if event.tier == COUNCIL_TIER else "",
                tests=event.tests,
            )
            told = {"attempts": (*trouble.attempts, attempt), "not_before_s": event.not_before_s}
        case said.CouncilAsked() if event.council:
            told = {"council": event.council, "counselled": (*trouble.counselled, event.phase)}
        case said.CouncilAnswered():
            told = {"council": "", "answered": event.council}
        case said.PersonAsked():
            told = {"council": ""}
        case said.RecoveryEnded():
            told = {"attempts": tuple(_closed(each, event.phase) for each in trouble.attempts)}
        case said.PhaseReopened() if trouble.attempts:
            *before, last = trouble.attempts
            told = {"attempts": (*before, msgspec.structs.replace(last, reopened=event.phase))}
        case _:
            return trouble
    return msgspec.structs.replace(trouble, **told)


def _closed(attempt: Attempt, phase: str) -> Attempt:
    return msgspec.structs.replace(attempt, open=False) if attempt.open and attempt.phase == phase else attempt
