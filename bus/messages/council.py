"""A council: several models are asked at once, what they propose is tried, and one of it goes back to the task."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from bus.messages.base import Command, Event, Excerpt, Reason
from bus.subjects import Token

Strategy = Literal["majority", "weighted", "best_reasoning", "test_winner", "consensus"]
Size = Literal["minimal", "standard", "full"]
ModelName = Annotated[str, Meta(min_length=3, max_length=200, pattern=r"\A[^\x00-\x20]+\Z")]


class Convene(Command, frozen=True):
    """Let a council look at a task that is stuck. The orchestrator names the council; a person need not."""

    task_id: Token
    council: Token | None = None
    strategy: Strategy | None = None
    size: Size | None = None
    members: Annotated[list[ModelName], Meta(max_length=10)] = field(default_factory=list)
    """Models as `provider/model`; empty: whoever promises most for the money."""
    reason: Reason = ""


class CallOff(Command, frozen=True):
    """Nobody needs the answer any more."""

    task_id: Token
    reason: Reason = ""


class CloseCase(Command, frozen=True):
    """The phase that got the council's answer is over."""

    council: Token
    ok: bool | None = None
    """None: the work was taken away before anybody could know."""


class Member(Struct, frozen=True, omit_defaults=True):
    """One who is asked. `id` is `m1`, `m2`, …; `persona` is empty unless one model plays several parts."""

    id: str
    model: str
    family: str
    persona: str = ""
    expected: float = 0
    """The chance that it solves this, as far as it is known."""
    micro: int = 0
    """What asking it is expected to cost, in millionths of a dollar."""
    explored: bool = False
    """It is asked to learn more about it."""


class LeftOut(Struct, frozen=True):
    """A model that is there and not asked."""

    model: str
    why: str


class CouncilConvened(Event, frozen=True):
    """`brief` is a JSON `Brief`, what the log knows of the problem, or its sha256; `run` is the one that failed."""

    task: str
    phase: str
    failure: str
    reason: str
    brief: str
    run: str
    agent: str
    until_s: float
    seed: int
    size: Size = "standard"
    strategy: Strategy | None = None
    """None: what suits the problem's type."""
    wanted: list[str] = field(default_factory=list)
    by_hand: bool = False


class MembersChosen(Event, frozen=True):
    members: list[Member]
    judge: str
    """The model that judges, as `provider/model`; empty: nobody does."""
    left_out: list[LeftOut] = field(default_factory=list)
    note: str = ""


class OpinionAsked(Event, frozen=True):
    """A completion that the treasurer is to buy for `evt.call.council.<council>-<member>`, turn 1.

    `words` is the prompt, a JSON `Words` of so many bytes, or its sha256. It is not waited for after `until_s`, never
    parked and never asked of another model.
    """

    member: str
    purpose: Literal["member", "judge", "combine"]
    model: str
    words: str
    bytes: int
    until_s: float
    order: list[str] = field(default_factory=list)
    """The candidates as a judge sees them: A, B, C, …"""


class OpinionMissing(Event, frozen=True):
    """Nothing usable came of it."""

    member: str
    failure: str
    reason: str


class CandidateMade(Event, frozen=True):
    """`solution` is the sha256 of a `Proposal`. One that is kept from an earlier council has no member."""

    candidate: str
    solution: str
    confidence: float
    explanation: Excerpt
    member: str = ""
    kept_from: str = ""


class TrialAsked(Event, frozen=True):
    """The executor is to try this candidate in a tree of its own."""

    candidate: str
    solution: str


class JudgeHeard(Event, frozen=True):
    """From 0 to 10 for each candidate, with a reason; `sitting` 2 saw them the other way round."""

    member: str
    sitting: int
    scores: dict[str, float]
    reasons: dict[str, str] = field(default_factory=dict)


class Scored(Struct, frozen=True, omit_defaults=True):
    """A candidate's points by criterion, each from 0 to 1 before its weight, and the total from 0 to 100."""

    candidate: str
    total: float
    correctness: float = 0
    reasoning: float | None = None
    tests: float | None = None
    confidence: float = 0


class CouncilEnded(Event, frozen=True):
    """The one end of it. Only `answered` has a winner."""

    outcome: Literal["answered", "no_answer", "nobody", "no_money", "called_off", "too_late"]
    task: str
    phase: str
    failure: str
    reason: str
    winner: str = ""
    """The candidate that won."""
    by: str = ""
    """Whose it is: a model, or the council that it was kept from."""
    solution: str = ""
    strategy: str = ""
    scores: list[Scored] = field(default_factory=list)
    tests: str = ""
    """The command that it was tested by."""


class OutcomeRecorded(Event, frozen=True):
    """Whether it helped."""

    outcome: Literal["success", "failure", "not_applied"]
    why: str = ""


CouncilEvent = (
    CouncilConvened
    | MembersChosen
    | OpinionAsked
    | OpinionMissing
    | CandidateMade
    | TrialAsked
    | JudgeHeard
    | CouncilEnded
    | OutcomeRecorded
)
