"""A long entity that is taken up from where it was kept is what a fold from its first commit makes, at every prefix."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import desk as desks
from actors import kept
from actors.decider import Message
from actors.desk import Desk
from actors.folds import FOLDS
from actors.kept import Keep
from actors.orchestrator.slots import SUBJECT as SLOTS
from actors.orchestrator.slots import Slots
from actors.treasurer.budget import SUBJECT as BUDGET
from bus.envelope import Record
from bus.errors import Missing
from bus.log import Loaded, MemoryLog
from bus.messages import budget, slots

TASKS = st.sampled_from(["a", "b", "c", "d"])
SLOT_EVENTS = st.one_of(
    st.builds(slots.PipelineQueued, task=TASKS, priority=st.integers(0, 2)),
    st.builds(slots.PipelineAdmitted, task=TASKS),
    st.builds(slots.PipelineReleased, task=TASKS),
    st.builds(slots.PipelineWithdrawn, task=TASKS),
    st.builds(slots.SlotsResized, limit=st.integers(1, 9), by_hand=st.booleans()),
    st.builds(slots.WorkFrozen, order=TASKS),
    st.builds(slots.WorkThawed, order=TASKS),
)
MICRO = st.integers(0, 10**9)
DAYS = st.sampled_from(["2026-11-20", "2026-11-21", "2026-12-01"])
BUDGET_EVENTS = st.one_of(
    st.builds(budget.CapsRevised, day=MICRO, month=MICRO, task=MICRO, council=MICRO, by_hand=st.booleans()),
    st.builds(budget.TaskToppedUp, task=TASKS, micro=MICRO),
    st.builds(
        budget.FundsReserved,
        reservation=TASKS,
        task=TASKS,
        micro=MICRO,
        at_day=DAYS,
        purpose=st.sampled_from(["run", "council"]),
    ),
    st.builds(budget.FundsSettled, reservation=TASKS, micro=MICRO),
    st.builds(budget.BudgetWarned, scope=st.just("day"), percent=st.just(80), window=DAYS),
)


class Here:
    """A log in memory as a desk's source; it counts what it is asked for."""

    def __init__(self) -> None:
        self.log, self.given = MemoryLog(), 0

    def read(self, subject: str, after: int = 0) -> list[Record]:
        records = self.log.read_now(subject, after)
        self.given += len(records)
        return records

    def load(self, subject: str) -> Loaded:
        loaded = self.log.load_now(subject)
        self.given += len(loaded.bodies)
        return loaded

    def last(self, subject: str) -> Record | None:
        return next(iter(self.log.read_now(subject)[::-1]), None)

    def blob(self, digest: str) -> bytes:
        raise Missing(digest)


def write(desk: Desk, here: Here, subject: str, *events: Any, lost: bool = False) -> None:
    """One decision, put on the log unless a crash came before that."""
    head = len(here.log.records)
    cause = f"m{head % 7}"  # some come again
    outcome = desk.decide(lambda desk, _: desk.append(subject, *events), Message(cause, None), max(0, head - 2))
    if not lost:
        here.log.append_now(outcome.drafts)


def entity(here: Here, subject: str, keep: Keep | None) -> tuple[Any, ...]:
    """Everything that a desk knows of an entity when it comes to it anew."""
    desk = Desk("somebody", FOLDS, here, keep)
    desk.state(subject)
    found = desk._entities[subject]
    return found.state, found.v, found.prev, found.expect, list(found.causes.items())


def filled(here: Here, keep: Keep, commits: int) -> Desk:
    desk = Desk("somebody", FOLDS, here, keep)
    for number in range(commits):
        write(desk, here, SLOTS, slots.PipelineQueued(task=f"t{number}"))
    return desk


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "KEEP_EVERY", 3)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just(SLOTS), st.lists(SLOT_EVENTS, min_size=1, max_size=3)),
            st.tuples(st.just(BUDGET), st.lists(BUDGET_EVENTS, min_size=1, max_size=3)),
        ),
        max_size=25,
    ),
    st.integers(0, 25),
)
def test_what_is_taken_up_is_what_a_whole_fold_makes_at_every_prefix(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, list[Any]]], crash: int
) -> None:
    here, keep = Here(), Keep(tmp_path_factory.mktemp("kept"))
    desk = Desk("somebody", FOLDS, here, keep)
    for place, (subject, events) in enumerate(history):
        write(desk, here, subject, *events, lost=place == crash)
        if place == crash:
            desk = Desk("somebody", FOLDS, here, keep)
        for each in (SLOTS, BUDGET):
            assert entity(here, each, keep) == entity(here, each, None)


def test_a_start_reads_what_came_since_and_not_all_there_is(tmp_path: Path) -> None:
    here, keep = Here(), Keep(tmp_path)
    filled(here, keep, 200)
    whole = entity(here, SLOTS, None)
    here.given = 0
    assert entity(here, SLOTS, keep) == whole
    assert 0 < here.given < 10


def test_an_entity_that_was_folded_from_its_beginning_is_kept_then(tmp_path: Path) -> None:
    here, keep = Here(), Keep(tmp_path)
    desk = Desk("somebody", FOLDS, here)
    for number in range(50):
        write(desk, here, SLOTS, slots.PipelineQueued(task=f"t{number}"))
    assert entity(here, SLOTS, keep) == entity(here, SLOTS, None)
    here.given = 0
    entity(here, SLOTS, keep)
    assert here.given < 5


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"t1"', b'"t9"'))


@pytest.mark.parametrize("harm", [damage, lambda path: path.write_bytes(b""), lambda path: path.unlink()])
def test_what_is_damaged_or_gone_is_as_good_as_none(tmp_path: Path, harm: Any) -> None:
    here, keep = Here(), Keep(tmp_path)
    filled(here, keep, 30)
    harm(tmp_path / f"{SLOTS}.json")
    assert entity(here, SLOTS, keep) == entity(here, SLOTS, None)


def test_what_other_code_has_made_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, keep = Here(), Keep(tmp_path)
    with monkeypatch.context() as other:
        other.setattr(desks, "form_of", lambda _: "another")
        filled(here, keep, 30)
    here.given = 0
    entity(here, SLOTS, keep)
    assert here.given == 30


def test_what_was_kept_of_another_log_is_not_believed(tmp_path: Path) -> None:
    other, here, keep = Here(), Here(), Keep(tmp_path)
    filled(other, keep, 30)
    filled(here, Keep(tmp_path / "elsewhere"), 20)
    assert entity(here, SLOTS, keep) == entity(here, SLOTS, None)
    assert entity(Here(), SLOTS, keep)[:2] == (Slots(), 0)


def test_a_folder_that_cannot_be_written_keeps_nothing_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    here, keep = Here(), Keep(tmp_path / "file" / "kept")
    filled(here, keep, 30)
    assert entity(here, SLOTS, keep) == entity(here, SLOTS, None)


def test_entities_that_end_or_stay_small_are_not_kept(tmp_path: Path) -> None:
    assert [kind for kind, fold in FOLDS.items() if fold.long] == ["slots", "budget"]
    assert kept.KEEP_EVERY == 1000
