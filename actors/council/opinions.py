"""What an opinion came to: a candidate that is tried, points for the candidates, or nothing usable."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from actors.apart import whole
from actors.council.problem import Proposal, read_proposal
from actors.council.replies import read_judgement, read_reply
from actors.council.sitting import JUDGES
from actors.council.state import KEPT
from bus.errors import Broken, Invalid, Missing
from bus.messages import council as said
from bus.messages.base import Event, Excerpt, ToolCall
from bus.messages.call import ModelFailed, ModelReplied

LOST = (Broken, Invalid, Missing)
"""A text that nobody can read is as good as none."""
EXPLANATION_CHARS = 2000
REASON_CHARS = 500


class Store(NamedTuple):
    """Where large texts are read and kept."""

    fetch: Callable[[str], bytes]
    keep: Callable[[bytes], str]


def heard(asked: said.OpinionAsked, told: ModelReplied | ModelFailed, store: Store) -> list[Event]:
    """The events that follow from what the treasurer says of it."""
    if isinstance(told, ModelFailed):
        return [_missing(asked, told.failure, told.reason)]
    try:
        text = store.fetch(told.whole).decode(errors="replace") if told.whole else told.text
        calls = [ToolCall(each.tool, whole(each.input, store.fetch)) for each in told.calls]
        if asked.purpose == "judge":
            scores, reasons = read_judgement(text, calls, asked.order)
            return [said.JudgeHeard(asked.member, JUDGES.index(asked.member) + 1, scores, _short(reasons))]
        return candidate(asked.member, read_reply(text, calls), store)
    except LOST as error:
        return [_missing(asked, "model_error", str(error))]


def kept(solution: str, council: str, store: Store) -> list[Event]:
    """What another council found for the same problem; nothing if it cannot be read any more."""
    try:
        return candidate(KEPT, read_proposal(store.fetch(solution)), store, council)
    except LOST:
        return []


def candidate(id: str, proposal: Proposal, store: Store, kept_from: str = "") -> list[Event]:
    """What somebody proposes, kept for whoever tries it, and the wish that it is tried."""
    text = proposal.explanation
    told = Excerpt(text)
    if len(text) > EXPLANATION_CHARS:
        content = text.encode()
        told = Excerpt(text[:EXPLANATION_CHARS], len(content), store.keep(content))
    solution = store.keep(msgspec.json.encode(proposal))
    member = "" if kept_from else id
    made = said.CandidateMade(id, solution, proposal.confidence, told, member, kept_from)
    return [made, said.TrialAsked(candidate=id, solution=solution)]


def _missing(asked: said.OpinionAsked, failure: str, reason: str) -> said.OpinionMissing:
    return said.OpinionMissing(asked.member, failure, reason[:REASON_CHARS])


def _short(reasons: dict[str, str]) -> dict[str, str]:
    return {candidate: reason[:REASON_CHARS] for candidate, reason in reasons.items()}
