"""What a council's own events make of it, and what the executor found out for it."""

from typing import assert_never

from bus.messages import council as said
from bus.messages import trial
from bus.messages.council import CandidateMade, CouncilConvened, CouncilEnded, MembersChosen, OpinionAsked

KEPT, COMBINED = "kept", "c1"
"""The names of the two candidates that are no single member's own."""


class Council:
    """One council, from its convening to whether it helped."""

    __slots__ = ("asked", "candidates", "chosen", "convened", "ended", "heard", "missing", "outcome", "trials")

    def __init__(self) -> None:
        self.convened: CouncilConvened | None = None
        self.chosen: MembersChosen | None = None
        self.asked: dict[str, OpinionAsked] = {}
        self.missing: dict[str, said.OpinionMissing] = {}
        self.candidates: dict[str, CandidateMade] = {}
        self.trials: set[str] = set()
        self.heard: dict[str, said.JudgeHeard] = {}
        self.ended: CouncilEnded | None = None
        self.outcome = ""

    @property
    def sits(self) -> bool:
        return self.convened is not None and self.ended is None

    @property
    def solution(self) -> str:
        return self.ended.solution if self.ended else ""

    @property
    def closed(self) -> bool:
        """Nothing more is expected to happen to it."""
        return self.ended is not None and (not self.solution or bool(self.outcome))

    def has_answered(self, member: str) -> bool:
        """Whether an opinion that was asked has come, or will not."""
        return member in self.candidates or member in self.missing or member in self.heard

    def waits_for(self, member: str) -> bool:
        return self.sits and member in self.asked and not self.has_answered(member)

    def open_opinions(self) -> list[str]:
        return [member for member in self.asked if not self.has_answered(member)]


def evolve(council: Council, event: said.CouncilEvent) -> Council:
    """What the council is after the event."""
    match event:
        case said.CouncilConvened():
            council.convened = event
        case said.MembersChosen():
            council.chosen = event
        case said.OpinionAsked():
            council.asked[event.member] = event
        case said.OpinionMissing():
            council.missing[event.member] = event
        case said.CandidateMade():
            council.candidates[event.candidate] = event
        case said.TrialAsked():
            council.trials.add(event.candidate)
        case said.JudgeHeard():
            council.heard[event.member] = event
        case said.CouncilEnded():
            council.ended = event
        case said.OutcomeRecorded():
            council.outcome = event.outcome
        case _:
            assert_never(event)
    return council


class Trials:
    """The problem as it lay in the tree, and what each candidate came to."""

    __slots__ = ("failed", "gathered", "tried")

    def __init__(self) -> None:
        self.gathered: trial.ProblemGathered | None = None
        self.failed = ""
        """Why the problem could not be gathered."""
        self.tried: dict[str, trial.CandidateTried] = {}

    @property
    def told(self) -> bool:
        """Whether the gathering has come to its end."""
        return self.gathered is not None or bool(self.failed)


def evolve_trials(trials: Trials, event: trial.TrialEvent) -> Trials:
    """What is known after the event."""
    match event:
        case trial.ProblemGathered():
            trials.gathered = event
        case trial.GatheringFailed():
            trials.failed = event.reason or "the problem could not be gathered"
        case trial.CandidateTried():
            trials.tried.setdefault(event.candidate, event)
        case _:
            assert_never(event)
    return trials
