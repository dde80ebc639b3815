"""What came of the trials of councils that began in this life: overheard record by record, and not read again."""

from typing import Any

from actors.council.state import Trials, evolve_trials
from actors.desk import Desk
from bus.envelope import Commit, Record

TRIAL = "evt.trial."


class Overheard:
    """By council: how many commits were overheard, and what they came to. One with a gap is read from the log."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Trials]] = {}

    def begin(self, id: str) -> None:
        """Nothing was tried for it yet."""
        self._known[id] = 0, Trials()

    def hear(self, record: Record, commit: Commit[Any]) -> None:
        id = record.subject[len(TRIAL) :]
        if not record.subject.startswith(TRIAL) or id not in self._known:
            return
        version, trials = self._known.pop(id)
        if commit.v == version + 1:
            for event in commit.events:
                trials = evolve_trials(trials, event)
            self._known[id] = commit.v, trials

    def of(self, desk: Desk, id: str) -> Trials:
        if id in self._known:
            return self._known[id][1]
        found: Trials = desk.peek(f"{TRIAL}{id}")
        return found

    def forget(self, id: str) -> None:
        self._known.pop(id, None)
