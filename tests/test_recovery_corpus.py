"""Each fault of the corpus in a task of its own: how many end without a person, and what each part of recovery adds."""

from collections import Counter, defaultdict
from collections.abc import Callable
from statistics import mean
from typing import Any, NamedTuple

import pytest

from actors import recovery
from actors.orchestrator import advice, escalation, pipeline, trouble
from actors.orchestrator.escalation import RECOVERIES_MAX
from actors.recovery import TRIES_MAX, Classified
from bus.messages import step, task
from bus.messages.base import Recovery
from tests import checkers
from tests.recovery_faults import Fault, read_corpus
from tests.recovery_world import LIMIT, World, play

CORPUS = read_corpus()
TYPES = [failure for failure in recovery.FAILURES if failure not in ("help", "lost", "turns", "context")]
"""What the classifier is there for; questions, lost outcomes, used up turns and a lack of room are told by name."""
WITHOUT_A_PERSON, FOR_A_PERSON = 0.80, 0.12


class Played(NamedTuple):
    """A fault, and how its task came out."""

    fault: Fault
    world: World
    events: list[Any]

    @property
    def is_completed(self) -> bool:
        return isinstance(self.events[-1], task.TaskCompleted)

    @property
    def question(self) -> str:
        return next((event.question for event in self.events if isinstance(event, task.PersonAsked)), "")

    @property
    def steps(self) -> dict[str, list[Any]]:
        subjects = [subject for subject in self.world.log.entities if subject.startswith("evt.step.")]
        return {subject: self.world.events(subject) for subject in subjects}

    @property
    def tries(self) -> int:
        every = [*self.events, *(event for events in self.steps.values() for event in events)]
        return sum(isinstance(event, task.RecoveryStarted | step.StepRecoveryStarted) for event in every)


def play_all() -> list[Played]:
    worlds = [(fault, play(fault, CORPUS)) for fault in CORPUS.values()]
    return [Played(fault, world, world.of_task()) for fault, world in worlds]


@pytest.fixture(scope="module")
def played() -> list[Played]:
    return play_all()


def share_of(played: list[Played]) -> float:
    return mean(each.is_completed for each in played)


def test_the_corpus_is_natural() -> None:
    count = Counter(fault.failure for fault in CORPUS.values())
    assert len(CORPUS) >= 60 and all(count[failure] >= 4 for failure in TYPES)
    hopeless = sum(fault.heals == "never" for fault in CORPUS.values())
    assert hopeless / len(CORPUS) >= FOR_A_PERSON
    assert all(clue in fault.text for fault in CORPUS.values() for clue in fault.clue)
    assert all(fault.clue for fault in CORPUS.values() if fault.heals in ("mend", "never"))


def test_four_of_five_faults_end_without_a_person_and_this_is_their_table(played: list[Played]) -> None:
    kinds: dict[str, list[Played]] = defaultdict(list)
    for each in played:
        kinds[each.fault.failure].append(each)
    print(f"\n{'type':<20}{'faults':>8}{'without':>9}{'person':>8}{'share':>8}{'tries':>8}{'seconds':>9}")
    for kind, those in [*sorted(kinds.items(), key=lambda item: -len(item[1])), ("all", played)]:
        well = sum(each.is_completed for each in those)
        tries, seconds = mean(each.tries for each in those), mean(each.world.lasted_s for each in those)
        print(
            f"{kind:<20}{len(those):>8}{well:>9}{len(those) - well:>8}{well / len(those):>8.0%}{tries:>8.1f}"
            f"{seconds:>9.0f}"
        )
    assert share_of(played) >= WITHOUT_A_PERSON


def test_every_task_ends_or_waits_and_nothing_is_tried_without_end(played: list[Played]) -> None:
    for each in played:
        assert each.is_completed or each.question, each.fault.name
        recoveries = Counter(
            (event.phase, event.failure, event.tier) for event in each.events if isinstance(event, task.RecoveryStarted)
        )
        assert sum(recoveries.values()) <= RECOVERIES_MAX and max(recoveries.values(), default=0) <= TRIES_MAX
        for events in each.steps.values():
            marks = Counter(event.mark for event in events if isinstance(event, step.StepEnded))
            assert max(marks.values(), default=0) <= 2 * TRIES_MAX, each.fault.name
            tries = [event.tries for event in events if isinstance(event, step.StepRecoveryStarted)]
            assert all(count <= TRIES_MAX for count in tries)


def test_what_only_a_person_can_mend_comes_to_a_person_who_is_told_the_cause(played: list[Played]) -> None:
    hopeless = [each for each in played if each.fault.heals == "never"]
    assert [each.fault.name for each in hopeless if each.is_completed] == []
    assert [each.fault.name for each in hopeless if each.fault.clue[0] not in each.question] == []


def test_every_attempt_and_its_outcome_is_on_the_log(played: list[Played]) -> None:
    wrong = [problem for each in played for problem in wrong_about(each)]
    assert wrong == []


def wrong_about(each: Played) -> list[str]:
    records = each.world.log.records
    found = checkers.everything_wrong(records, LIMIT, at_the_end=each.is_completed)
    found += checkers.unframed_recoveries(records)
    for events in each.steps.values():
        found += unframed_steps(events)
    failed = sum(isinstance(event, task.PhaseFailed) for event in each.events)
    answers = sum(isinstance(event, task.RecoveryStarted | task.PersonAsked) for event in each.events)
    found += [f"{failed} phases failed, and something was done about {answers}"] * (failed != answers)
    return [f"{each.fault.name}: {problem}" for problem in found]


def unframed_steps(events: list[Any]) -> list[str]:
    """In a run that is over, each failing step has its recovery or ended the run, and each recovery its outcome."""
    wrong: list[str] = []
    begun: set[str] = set()
    for place, event in enumerate(events):
        match event:
            case step.StepEnded() if event.failure not in ("", "test_failure"):
                after = events[place + 1 :]
                answer = next((e for e in after if isinstance(e, step.StepRecoveryStarted | step.StepsClosed)), None)
                if answer is None or (isinstance(answer, step.StepRecoveryStarted) and answer.call != event.call):
                    wrong.append(f"nothing is done about {event.call}, which failed")
            case step.StepRecoveryStarted():
                begun.add(event.failure)
            case step.StepRecoveryEnded():
                if event.failure not in begun:
                    wrong.append(f"a recovery from {event.failure} ends that never began")
                begun.discard(event.failure)
            case step.StepsClosed() if begun:
                wrong.append(f"the run is over, and {sorted(begun)} is not")
    return wrong


def test_what_is_wrong_about_steps_is_found() -> None:
    failed = step.StepEnded(call="1-1", ok=False, failure="timeout")
    tried = step.StepRecoveryStarted(call="1-1", failure="timeout", strategy="less", tries=1)
    ended, closed = step.StepRecoveryEnded(failure="timeout", ok=True), step.StepsClosed(outcome="finished")
    assert unframed_steps([failed, tried, ended, closed]) == []
    assert unframed_steps([failed]) and unframed_steps([ended, closed]) and unframed_steps([failed, tried, closed])


def call_everything_unknown(patch: pytest.MonkeyPatch) -> None:
    def classify(text: str, **_: Any) -> Classified:
        return Classified("unknown", "medium", True, text[-500:])

    for place in (recovery, pipeline):
        patch.setattr(place, "classified", lambda failure, text="": classify(text))
    patch.setattr(recovery, "known", lambda failure, text="": classify(text))
    patch.setattr(recovery, "classify", classify)


def say_nothing(patch: pytest.MonkeyPatch) -> None:
    def mute(found: Classified, *_: Any, tries: int = 1, tier: int = 0, **__: Any) -> Recovery:
        return Recovery(found.failure, "nothing", "", found.error, tries, tier)

    for place in (recovery, escalation):
        patch.setattr(place, "recovery_of", mute)
    patch.setattr(trouble, "ONCE_MORE", "")


def never_wait(patch: pytest.MonkeyPatch) -> None:
    for place in (recovery, escalation):
        patch.setattr(place, "wait_s", lambda failure, tries: 0.0)


def try_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(recovery, "TRIES_MAX", 1)
    patch.setattr(escalation, "TRIES_MAX", 0)
    patch.setattr(advice, "NO_COUNCIL", escalation.Council(after_tries=0))


def reopen_nothing(patch: pytest.MonkeyPatch) -> None:
    shut = {name: each._replace(reopens_tier=recovery.ELSEWHERE) for name, each in recovery.STRATEGIES.items()}
    patch.setattr(escalation, "STRATEGIES", shut)


@pytest.mark.parametrize(
    ("worse", "costs", "types"),
    [
        (call_everything_unknown, 0.25, {"file_not_found", "permission_denied", "out_of_memory", "timeout", "loop"}),
        (say_nothing, 0.25, {"syntax_error", "file_not_found", "test_failure", "out_of_memory", "loop", "unknown"}),
        (never_wait, 0.01, {"rate_limit"}),
        (try_once, 0.10, {"rate_limit", "file_not_found", "timeout"}),
        (reopen_nothing, 0.10, {"test_failure", "timeout"}),
    ],
)
def test_each_part_of_recovery_has_its_share(
    worse: Callable[[pytest.MonkeyPatch], None],
    costs: float,
    types: set[str],
    played: list[Played],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worse(monkeypatch)
    without = play_all()
    lost = {good.fault.failure for good, bad in zip(played, without, strict=True) if is_lost(good, bad)}
    print(f"\n{worse.__name__}: {share_of(without):.0%}, and {share_of(played):.0%} otherwise")
    assert share_of(without) <= share_of(played) - costs
    assert share_of(without) < WITHOUT_A_PERSON or worse is never_wait
    assert types <= lost
    assert all(each.is_completed or each.question for each in without)


def is_lost(good: Played, bad: Played) -> bool:
    return good.is_completed and not bad.is_completed


def test_what_is_for_good_is_not_tried_three_times(played: list[Played]) -> None:
    for name in ("a full disk", "a provider: a wrong key", "a provider: no money"):
        (each,) = [each for each in played if each.fault.name == name]
        assert each.tries == 1, name


def test_a_history_is_the_same_each_time() -> None:
    fault = CORPUS["a provider: overloaded"]
    one, other = (play(fault, CORPUS).of_task() for _ in range(2))
    assert one == other
