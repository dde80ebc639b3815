"""All councils there ever were, read from the log in one sweep: who still sits, and what the others taught."""

from collections.abc import Callable, Sequence

from actors.council import state
from actors.council.judging import Entry, Weights
from actors.council.learning import Case, Standings
from actors.council.sitting import author_of, is_right, members_of
from actors.council.state import Council, Trials
from bus.envelope import Record
from bus.messages.council import CouncilEnded, OutcomeRecorded
from bus.messages.kinds import read_commit

COUNCILS, TRIALS = "evt.council.*", "evt.trial.*"
NOT_ITS_FAULT = ("budget", "rate_limit", "lost", "help")
"""An opinion that is missing for one of these says nothing of the model."""


class Past:
    """What is left of it: the open councils by id, those whose outcome is not known, and the standings."""

    def __init__(self, read: Callable[[str], Sequence[Record]]) -> None:
        self.standings = Standings()
        trials: dict[str, Trials] = {}
        for record in read(TRIALS):
            tried = trials.setdefault(record.subject.rsplit(".", 1)[1], Trials())
            for event in read_commit(record).events:
                state.evolve_trials(tried, event)
        self.councils: dict[str, Council] = {}
        for record in read(COUNCILS):
            id = record.subject.rsplit(".", 1)[1]
            council = self.councils.setdefault(id, Council())
            for event in read_commit(record).events:
                state.evolve(council, event)
                if isinstance(event, CouncilEnded | OutcomeRecorded):
                    learn(self.standings, id, council, trials.get(id, Trials()))
            if council.closed:
                del self.councils[id]


def learn(standings: Standings, id: str, council: Council, trials: Trials) -> None:
    if case := case_of(id, council, trials):
        standings.learn(case)


def case_of(id: str, council: Council, trials: Trials) -> Case | None:
    """What one council taught. What was tried is counted only if the council knew it when it ended."""
    ended, gathered = council.ended, trials.gathered
    if ended is None or gathered is None or (council.chosen is None and not ended.scores):
        return None  # it ended before it knew the problem, which may have come since
    known = {each.candidate for each in ended.scores}
    solved: dict[str, bool] = {}
    for member in members_of(council):
        if (ok := _solved(council, trials, member.id, known)) is not None:
            solved[member.model] = solved.get(member.model, False) or ok
    winner = author_of(council, ended.winner) if ended.winner in council.asked else ""
    return Case(id, gathered.kind, gathered.fingerprint, solved, winner, ended.solution, council.outcome)


def _solved(council: Council, trials: Trials, member: str, known: set[str]) -> bool | None:
    """Whether a member had it right; None: nobody knows."""
    if member in known and member in trials.tried:
        made = council.candidates[member]
        return is_right(Entry(member, "", "", made.confidence, trials.tried[member]), Weights())
    if member in council.candidates:
        return None
    if missing := council.missing.get(member):
        return None if missing.failure in NOT_ITS_FAULT else False
    assert council.ended is not None
    return None if council.ended.outcome == "called_off" else False
