"""Thousands of small histories with councils in them, each decided by a seed, each held to every promise."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, get_args

import msgspec
import pytest

from actors.council import history
from actors.council.decide import Council
from bus.envelope import Commit, Record, encode
from bus.log import fits
from bus.messages import council as said
from bus.messages import task, trial
from bus.messages.base import Event, Excerpt, TestResults
from bus.messages.kinds import read_commit
from tests import checkers
from tests.council_simulation import CouncilWorld
from tests.simulation import LIMIT

SEEDS = int(os.environ.get("SEEDS", "200")) // 2
"""Half of what the histories without councils have: these are longer."""
LATE_S = 5.0
"""So long is the longest moment of this world: nothing can happen inside of it."""
OUTCOMES = get_args(said.CouncilEnded.__annotations__["outcome"])
REACHED = [
    *("crashes", "CouncilAnswered", "JudgeHeard", "combined", "kept", "kept won", "by hand"),
    *(["second sitting", "case failure"] if SEEDS >= 500 else []),
    *(f"ended {outcome}" for outcome in OUTCOMES),
    *(f"case {outcome}" for outcome in ("success", "not_applied")),
]
"""The histories must have met all of them."""


def councils(records: Iterable[Record]) -> dict[str, list[tuple[Record, Any]]]:
    """The events of each council, in their order."""
    told: dict[str, list[tuple[Record, Any]]] = defaultdict(list)
    for record in records:
        if fits(history.COUNCILS, record.subject):
            told[record.subject].extend((record, event) for event in read_commit(record).events)
    return told


def not_ended_once(records: list[Record], at_the_end: bool = True) -> list[str]:
    """One beginning and one end, in time; nothing is asked for after it, and nothing but the outcome comes then."""
    wrong: list[str] = []
    for subject, events in councils(records).items():
        kinds = Counter(type(event).__name__ for _, event in events)
        if kinds["CouncilConvened"] != 1 or kinds["OutcomeRecorded"] > 1:
            wrong.append(f"{subject} is convened or closed {kinds}")
        if kinds["CouncilEnded"] != 1 and (at_the_end or kinds["CouncilEnded"]):
            wrong.append(f"{subject} has {kinds['CouncilEnded']} ends")
        names = [type(event).__name__ for _, event in events]
        end = names.index("CouncilEnded") if "CouncilEnded" in names else len(names)
        wrong += [f"{subject}: {name} after its end" for name in names[end + 1 :] if name != "OutcomeRecorded"]
    return wrong


def too_late(records: list[Record]) -> list[str]:
    """It ends by the moment that its first event names, and asks nobody after that."""
    wrong: list[str] = []
    for subject, events in councils(records).items():
        until_s = next(event.until_s for _, event in events if isinstance(event, said.CouncilConvened))
        for record, event in events:
            at_s = datetime.fromisoformat(read_commit(record).at).timestamp()
            late_s = at_s - until_s
            if isinstance(event, said.CouncilEnded) and late_s > LATE_S:
                wrong.append(f"{subject} ends {late_s:.1f} s late")
            if isinstance(event, said.OpinionAsked | said.TrialAsked) and late_s > 0:
                wrong.append(f"{subject}: {type(event).__name__} {late_s:.1f} s after its time")
    return wrong


def asked_twice(records: list[Record]) -> list[str]:
    """Nobody is paid twice for the same, and no candidate tried twice."""
    wrong: list[str] = []
    for subject, events in councils(records).items():
        asked = Counter(event.member for _, event in events if isinstance(event, said.OpinionAsked))
        tried = Counter(event.candidate for _, event in events if isinstance(event, said.TrialAsked))
        heard = Counter(event.member for _, event in events if isinstance(event, said.OpinionMissing | said.JudgeHeard))
        wrong += [f"{subject}: {name} is asked twice" for name, count in asked.items() if count > 1]
        wrong += [f"{subject}: {name} is tried twice" for name, count in tried.items() if count > 1]
        wrong += [f"{subject}: {name} is heard twice" for name, count in heard.items() if count > 1]
    return wrong


def wrong_winners(records: list[Record]) -> list[str]:
    """Whoever wins was tried before, applies, and is green where anybody's tests are known."""
    wrong: list[str] = []
    tried: dict[str, dict[str, trial.CandidateTried]] = defaultdict(dict)
    made: dict[tuple[str, str], str] = {}
    for record in records:
        id = record.subject.rsplit(".", 1)[1]
        for event in read_commit(record).events:
            match event:
                case trial.CandidateTried():
                    tried[id][event.candidate] = event
                case said.CandidateMade():
                    made[id, event.candidate] = event.solution
                case said.CouncilEnded() if (event.outcome == "answered") != bool(event.winner and event.solution):
                    wrong.append(f"{record.seq}: {id} is {event.outcome} with {event.winner!r}")
                case said.CouncilEnded() if event.winner:
                    best = tried[id].get(event.winner)
                    if best is None or not best.applies or (best.tests is not None and not best.tests.green):
                        wrong.append(f"{record.seq}: {event.winner} of {id} wins with {best}")
                    if made.get((id, event.winner)) != event.solution:
                        wrong.append(f"{record.seq}: {id} gives the solution of somebody else")
    return wrong


def kept_waiting(records: list[Record]) -> list[str]:
    """A phase that a council was asked about is answered, or somebody took the task away from it."""
    waiting: dict[str, str] = {}
    for record in records:
        for event in read_commit(record).events:
            match event:
                case task.CouncilAsked():
                    waiting[record.subject] = event.council
                case task.CouncilAnswered() | task.TaskReset() | task.TaskCancelled() | task.PersonAsked():
                    waiting.pop(record.subject, None)
    return [f"{subject} waits for {council} for ever" for subject, council in waiting.items()]


def everything_wrong(records: list[Record]) -> list[str]:
    checks = (not_ended_once, too_late, asked_twice, wrong_winners, kept_waiting)
    return [*checkers.everything_wrong(records, LIMIT), *(found for check in checks for found in check(records))]


def names(told: Iterable[checkers.Told]) -> Iterable[str]:
    for each in told:
        event = each.event
        yield type(event).__name__
        match event:
            case said.CouncilEnded():
                yield f"ended {event.outcome}"
                if event.winner == "kept":
                    yield "kept won"
            case said.OutcomeRecorded():
                yield f"case {event.outcome}"
            case said.JudgeHeard(sitting=2):
                yield "second sitting"
            case said.CandidateMade(candidate="c1"):
                yield "combined"
            case said.CandidateMade(candidate="kept"):
                yield "kept"
            case said.CouncilConvened(by_hand=True):
                yield "by hand"


def learned(world: CouncilWorld) -> list[Any]:
    decider = world.actors["council"].decider
    assert isinstance(decider, Council)
    standings, past = decider.standings, history.Past(world.log.read_now).standings
    return [(list(each._cases.items()), each._won, each._lost) for each in (standings, past)]


def test_every_history_with_councils_keeps_every_promise() -> None:
    reached = Counter[str]()
    for seed in range(SEEDS):
        world = CouncilWorld(seed)
        world.run()
        wrong = everything_wrong(world.log.records)
        assert not wrong, f"seed {seed}: {wrong[:5]}"
        live, replayed = learned(world)
        assert live == replayed, f"seed {seed}"
        reached.update(crashes=world.crash_count)
        reached.update(names(checkers.told(world.log.records)))
    never = [each for each in REACHED if not reached[each]] if SEEDS >= 100 else []
    assert not never, f"never reached: {never}; {reached}"


def test_a_history_is_decided_by_its_seed_alone() -> None:
    def shape(seed: int) -> list[str]:
        world = CouncilWorld(seed)
        world.run()
        return list(names(checkers.told(world.log.records)))

    assert shape(7) == shape(7)
    assert shape(7) != shape(8)


C = "evt.council.t-c1"
BEGUN = said.CouncilConvened("t", "code", "timeout", "no", "ab", "t-1", "a", until_s=30.0, seed=1)
ASKED = said.OpinionAsked("m1", "member", "p/a", "ab", 9, 20.0)
MADE = said.CandidateMade("m1", "ab", 0.5, Excerpt("so"), "m1")
NOTHING = said.CouncilEnded("no_answer", "t", "code", "timeout", "nobody knows")
WON = said.CouncilEnded("answered", "t", "code", "timeout", "it is green", "m1", "p/a", "ab")
GREEN, RED = (trial.CandidateTried("m1", True, tests=TestResults(1, failed)) for failed in (0, 1))
TRIED = [(C, BEGUN), (C, ASKED), (C, MADE), (C, said.TrialAsked("m1", "ab"))]
PLANTED: dict[str, tuple[Callable[[list[Record]], list[str]], list[tuple[str, Event]]]] = {
    "convened twice": (not_ended_once, [(C, BEGUN), (C, BEGUN), (C, NOTHING)]),
    "never ends": (not_ended_once, [(C, BEGUN)]),
    "ends twice": (not_ended_once, [(C, BEGUN), (C, NOTHING), (C, WON)]),
    "goes on after its end": (not_ended_once, [(C, BEGUN), (C, NOTHING), (C, ASKED)]),
    "ends too late": (too_late, [(C, BEGUN), (C, NOTHING)]),
    "asks after its time": (too_late, [(C, BEGUN), (C, ASKED)]),
    "asks twice": (asked_twice, [(C, BEGUN), (C, ASKED), (C, ASKED)]),
    "tries twice": (asked_twice, [*TRIED, (C, said.TrialAsked("m1", "ab"))]),
    "hears twice": (asked_twice, [(C, BEGUN), *[(C, said.OpinionMissing("m1", "timeout", "slow"))] * 2]),
    "a winner that was not tried": (wrong_winners, [*TRIED, (C, WON)]),
    "a winner that is red": (wrong_winners, [*TRIED, ("evt.trial.t-c1", RED), (C, WON)]),
    "a winner without a name": (wrong_winners, [*TRIED, (C, msgspec.structs.replace(WON, winner=""))]),
    "the solution of somebody else": (
        wrong_winners,
        [*TRIED, ("evt.trial.t-c1", GREEN), (C, msgspec.structs.replace(WON, solution="cd"))],
    ),
    "a phase that waits for ever": (kept_waiting, [("evt.task.t", task.CouncilAsked("code", "timeout", "no", "t-c1"))]),
}


def log_of(commits: list[tuple[str, Event]], at: str = "1970-01-01T00:00:00.000Z") -> list[Record]:
    return [
        Record(subject, seq, encode(Commit(f"id-{seq}", at, "council", "", "", seq, "", [event])))
        for seq, (subject, event) in enumerate(commits, 1)
    ]


def test_the_checkers_find_nothing_in_a_council_that_went_well() -> None:
    well = log_of([*TRIED, ("evt.trial.t-c1", GREEN), (C, WON)])
    assert [check(well) for check in (not_ended_once, too_late, asked_twice, wrong_winners, kept_waiting)] == [[]] * 5


@pytest.mark.parametrize("fault", PLANTED)
def test_every_checker_of_councils_can_fail(fault: str) -> None:
    check, commits = PLANTED[fault]
    assert check(log_of(commits, "1970-01-01T00:01:00.000Z"))
