"""Logs of every release must still be read: today's code folds them to the states that were written down then.

A new release adds a file: `python -m tests.test_golden 0.2.0`. A file that is there is never changed.
"""

import json
import sys
from pathlib import Path

import pytest

from actors.folds import FOLDS
from bus.envelope import Record
from bus.messages.kinds import EVENTS_OF, read_commit
from tests import checkers
from tests.council_simulation import CouncilWorld
from tests.simulation import LIMIT, World

FOLDER = Path(__file__).parent / "golden"
NEVER = {"LetterBuried", "TaskFailed"}
"""What no simulated world comes to."""


def _named(*kinds: str) -> set[str]:
    return {event.__name__ for kind in kinds for event in EVENTS_OF[kind].__args__} - NEVER


WORLDS = 200
"""The richest of so many is written down."""
COUNCILS = _named("council", "trial") | {"CouncilAsked", "CouncilAnswered"}
WITHOUT_COUNCILS = _named("task", "slots", "agent", "run", "guardian") - COUNCILS
SINCE = {"TaskRouted", "ReviewAssigned", "ReviewEnded", *COUNCILS}
"""What was not said yet when the last release was made."""


def _read(path: Path) -> tuple[list[Record], dict[str, str]]:
    *lines, last = path.read_text().splitlines()
    records = [Record(subject, seq, body.encode()) for seq, subject, body in map(json.loads, lines)]
    return records, json.loads(last)


def _statuses(records: list[Record]) -> dict[str, str]:
    states: dict[str, object] = {}
    for record in records:
        fold = FOLDS[record.subject.split(".")[1]]
        state = states.get(record.subject, fold.initial())
        for event in read_commit(record).events:
            state = fold.evolve(state, event)
        states[record.subject] = state
    return {subject: str(state.status) for subject, state in states.items() if hasattr(state, "status")}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.jsonl")), ids=lambda path: path.stem)
def test_an_old_log_is_read_and_folded_as_it_was(path: Path) -> None:
    records, statuses = _read(path)
    assert _statuses(records) == statuses
    assert checkers.everything_wrong(records, LIMIT) == []


def test_the_golden_logs_have_nearly_every_event() -> None:
    seen = {type(told.event).__name__ for path in FOLDER.glob("*.jsonl") for told in checkers.told(_read(path)[0])}
    missing = (WITHOUT_COUNCILS | COUNCILS) - seen
    assert missing <= SINCE, missing


def test_a_changed_record_is_noticed() -> None:
    records, statuses = _read(next(iter(FOLDER.glob("*.jsonl"))))
    without = [record for record in records if b"TaskCompleted" not in record.body]
    assert _statuses(without) != statuses


def _write(version: str) -> None:
    """Histories of several worlds, one after the other, would share ids; each world that is rich has a file."""
    _write_one(version, World, WITHOUT_COUNCILS)
    _write_one(f"{version}-councils", CouncilWorld, COUNCILS)


def _write_one(name: str, kind: type[World], wanted: set[str]) -> None:
    best, missing = kind(0), wanted
    for seed in range(WORLDS):
        world = kind(seed, crashes=0.05)
        world.run(tasks=10, turns=1200)
        lacks = wanted - {type(told.event).__name__ for told in checkers.told(world.log.records)}
        best, missing = (world, lacks) if len(lacks) < len(missing) else (best, missing)
        if not missing:
            break
    lines = [json.dumps([record.seq, record.subject, record.body.decode()]) for record in best.log.records]
    statuses = json.dumps(_statuses(best.log.records))
    (FOLDER / f"{name}.jsonl").write_text("\n".join([*lines, statuses]) + "\n")
    print(best.seed, len(lines), sorted(missing))


if __name__ == "__main__":
    _write(sys.argv[1])
