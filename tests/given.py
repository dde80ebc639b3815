"""given(events).when(message).then(events): specifications of deciders, without a log and without a bus."""

from collections.abc import Callable
from typing import Any, Self

from actors.decider import Decider, Message, Outcome
from actors.desk import Desk
from actors.folds import FOLDS
from bus.blobs import note_in, sha256
from bus.envelope import Commit, Record, encode, link
from bus.errors import Missing, WitanError
from bus.log import Loaded, fits
from bus.messages.kinds import read_commit

NOW = 1_000_000.0


class Story:
    """A short history, what somebody says then, and what comes of it."""

    def __init__(self, decider: Callable[[], Decider]) -> None:
        self._decider = decider
        self._records: list[Record] = []
        self._heads: dict[str, tuple[int, str]] = {}
        self._blobs: dict[str, bytes] = {}
        self.outcome: Outcome | None = None
        self.refusal: WitanError | None = None

    def given(self, subject: str, *events: Any, cause: str = "") -> Self:
        v, prev = self._heads.get(subject, (0, ""))
        id = f"given-{len(self._records) + 1}"
        body = encode(Commit(id, "", "somebody", cause or id, "", v + 1, prev, list(events)))
        self._heads[subject] = (v + 1, link(subject, body))
        self._records.append(Record(subject, len(self._records) + 1, body))
        return self

    def when(self, body: Any, subject: str = "", flow: str = "", id: str = "message", now_s: float = NOW) -> "Story":
        decider = self._decider()
        desk = Desk(decider.name, FOLDS, self)
        desk.decide(lambda desk, told: decider.recover(desk, told), Message("begin", None, now_s=NOW), 0)
        self.recovered = desk
        try:
            self.outcome = desk.decide(decider.decide, Message(id, body, subject, flow, now_s), 0)
        except WitanError as error:
            self.refusal = error
        return self

    def then(self, *expected: tuple[str, Any]) -> "Story":
        """These events, in this order, and no other."""
        assert self.refusal is None, self.refusal
        assert self.told() == list(expected)
        return self

    def then_nothing(self) -> "Story":
        return self.then()

    def then_refused(self, words: str) -> "Story":
        assert self.refusal is not None, f"not refused, but {self.told()}"
        assert words in str(self.refusal), self.refusal
        assert self.refusal.what_next
        return self

    def then_answered(self, **fields: object) -> "Story":
        assert self.outcome is not None
        assert {name: self.outcome.answer.get(name) for name in fields} == fields
        return self

    def told(self) -> list[tuple[str, Any]]:
        if self.outcome is None:
            return []
        commits = [(draft.subject, read_commit(Record(draft.subject, 0, draft.body))) for draft in self.outcome.drafts]
        return [(subject, event) for subject, commit in commits for event in commit.events]

    def read(self, subject: str, after: int = 0) -> list[Record]:
        return [record for record in self._records if fits(subject, record.subject) and record.seq > after]

    def load(self, subject: str) -> Loaded:
        records = self.read(subject)
        return Loaded([record.body for record in records], records[-1].seq if records else 0)

    def last(self, subject: str) -> Record | None:
        return next(iter(self.read(subject)[::-1]), None)

    def blob(self, digest: str) -> bytes:
        if digest not in self._blobs:
            raise Missing(f"no artifact has the sha256 {digest}")
        return self._blobs[digest]

    def text(self, reference: str) -> bytes:
        """What an event says, or names."""
        return note_in(reference) or self.blob(reference)

    def given_blob(self, content: bytes) -> str:
        digest = sha256(content)
        self._blobs[digest] = content
        return digest


class Play(Story):
    """Several messages on one desk: what is decided on one is on the log when the next one comes."""

    def __init__(self, decider: Callable[[], Decider]) -> None:
        super().__init__(decider)
        self.now_s = NOW
        self.begin()

    def begin(self) -> "Play":
        """A new life: nothing but the log."""
        self.decider = self._decider()
        self.desk = Desk(self.decider.name, FOLDS, self)
        self.head = len(self._records)
        message = Message("begin", None, now_s=self.now_s)
        return self._keep(self.desk.decide(lambda desk, told: self.decider.recover(desk, told), message, 0))

    def given(self, subject: str, *events: Any, cause: str = "") -> Self:
        """Something has happened; whoever is alive and follows it overhears it."""
        super().given(subject, *events, cause=cause)
        self._overheard()
        return self

    def _overheard(self) -> None:
        record = self._records[-1]
        if any(fits(each, record.subject) for each in self.decider.follows):
            self.decider.overhear(record, read_commit(record))

    def hears(self, body: Any, subject: str = "", *, again: bool = False) -> "Play":
        """Somebody says it; what belongs to an entity is on the log then. `again`: it was there before this life."""
        if subject and not again:
            self.given(subject, body)
            if subject in self.decider.watches:
                self.desk.observe(self._records[-1])
        self.heard = Message(f"heard-{len(self._records)}", body, subject, "", self.now_s, bool(subject) and not again)
        return self._keep(self.desk.decide(self.decider.decide, self.heard, 0))

    def _keep(self, outcome: Outcome) -> "Play":
        self.outcome = outcome
        for blob in outcome.blobs:
            self.given_blob(blob)
        for draft in outcome.drafts:
            record = Record(draft.subject, len(self._records) + 1, draft.body)
            self._heads[draft.subject] = (read_commit(record).v, link(draft.subject, draft.body))
            self._records.append(record)
            self._overheard()
        return self

    def last(self, subject: str) -> Record | None:
        return next((record for record in reversed(self._records) if fits(subject, record.subject)), None)

    def events(self, *kinds: type) -> list[Any]:
        """What was decided on the last message, of these kinds or of all."""
        return [event for _, event in self.told() if not kinds or isinstance(event, kinds)]

    def done(self) -> list[Any]:
        """The effects that the last message led to."""
        assert self.outcome is not None
        return [effect.what for effect in self.outcome.effects]
