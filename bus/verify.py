"""Whether history was edited: every entity's chain from its first commit on, and a digest over the whole log."""

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from bus.envelope import Record, link
from bus.errors import Broken
from bus.messages.kinds import read_commit


class Head(msgspec.Struct, frozen=True):
    """Where the log ended once, and the digest of everything up to there; kept elsewhere, it proves truncation."""

    seq: int
    digest: str
    count: int
    at: str = ""


class Walk:
    """One pass over the log from its first record; it stops at the first link that does not hold."""

    def __init__(self, known: Head | None = None) -> None:
        self.seq, self.count, self.events, self.at = 0, 0, 0, ""
        self.kinds: dict[str, int] = {}
        self._known, self._digest = known, b""
        self._ends: dict[str, tuple[int, int, str]] = {}

    @property
    def entities(self) -> int:
        return len(self._ends)

    @property
    def head(self) -> Head:
        return Head(self.seq, self._digest.hex(), self.count, self.at)

    def take(self, records: Sequence[Record]) -> None:
        """Check the next records; Broken names the first that does not follow from what came before."""
        for record in records:
            self._check_place(record)
            self._check_link(record)
            self._digest = hashlib.sha256(
                self._digest + f"{record.seq} {record.subject}\n".encode() + record.body
            ).digest()
            self.seq, self.count = record.seq, self.count + 1
            if self._known and record.seq == self._known.seq:
                self._check_head(self._known)

    def finish(self, end: int = 0) -> Head:
        """Say that the log ends here, `end` being the last place that its server has given out."""
        if self.seq < end:
            raise Broken(
                f"seq {self.seq + 1} is missing: the log goes up to {end}, and records were removed from its end"
            )
        if self._known and self.seq < self._known.seq:
            raise Broken(
                f"seq {self.seq + 1} is missing: the log ends at {self.seq}, "
                f"but the exported head says that it went up to {self._known.seq}"
            )
        return self.head

    def _check_place(self, record: Record) -> None:
        if record.seq <= self.seq:
            raise Broken(f"{record.subject} at seq {record.seq} comes after seq {self.seq}: records changed places")
        if record.seq > self.seq + 1:
            raise Broken(f"seq {self.seq + 1} is missing: {record.subject} at seq {record.seq} comes next")

    def _check_link(self, record: Record) -> None:
        commit = read_commit(record)
        before, v, prev = self._ends.get(record.subject, (0, 0, ""))
        here = f"{record.subject} at seq {record.seq}"
        follows = f"its commit at seq {before}" if before else "nothing, being its first commit"
        if commit.v != v + 1:
            raise Broken(f"{here} is version {commit.v}, but version {v + 1} must follow {follows}")
        if commit.prev != prev:
            raise Broken(f"{here} does not follow {follows}: one of the two was edited, or is another's")
        self._ends[record.subject] = (record.seq, commit.v, link(record.subject, record.body))
        kind = record.subject.split(".", 2)[1]
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        self.events += len(commit.events)
        self.at = commit.at

    def _check_head(self, known: Head) -> None:
        if self._digest.hex() != known.digest:
            raise Broken(f"the log up to seq {known.seq} is not the one whose head was exported: its digest differs")
        if self.count != known.count:
            raise Broken(
                f"the log has {self.count} records up to seq {known.seq}, the exported head says {known.count}"
            )


def verify(batches: Iterable[Sequence[Record]], known: Head | None = None, end: int = 0) -> Head:
    """The head of a log whose every link holds; Broken names the first that does not."""
    walk = Walk(known)
    for batch in batches:
        walk.take(batch)
    return walk.finish(end)
