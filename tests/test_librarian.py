"""What the librarian makes of the playbooks that it finds, as sentences about events."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from actors.agent.playbooks import OWN, Playbook, read_playbooks
from actors.decider import Message, Outcome
from actors.desk import Desk
from actors.folds import FOLDS
from actors.librarian.decide import Librarian
from actors.librarian.playbook import LIST, subject_of
from bus.blobs import sha256
from bus.envelope import Draft, Record, open_envelope
from bus.messages.kinds import read_commit
from bus.messages.playbook import PlaybookListed, PlaybookRevised, PlaybookWithdrawn
from tests.given import NOW, Story
from tests.test_playbooks import GOOD, write

LISTED = (LIST, PlaybookListed(name="a"))
WITHDRAWN = (subject_of("a"), PlaybookWithdrawn())


def playbook(name: str, text: str = "one") -> Playbook:
    return Playbook(name, f"about {name}", text, sha256(text.encode()), content=text.encode())


def revised(name: str, text: str = "one") -> tuple[str, PlaybookRevised]:
    event = PlaybookRevised(version=sha256(text.encode()), description=f"about {name}", origin="witan")
    return subject_of(name), event


class Library(Story):
    """A history, and a librarian who begins."""

    def __init__(self, *playbooks: Playbook, before: Sequence[tuple[str, Any]] = ()) -> None:
        super().__init__(lambda: Librarian(playbooks))
        for subject, event in before:
            self.given(subject, event)

    def begins(self) -> Outcome:
        librarian = self._decider()
        desk = Desk(librarian.name, FOLDS, self)
        self.outcome = desk.decide(librarian.recover, Message("begin", None, now_s=NOW), 0)
        return self.outcome


def test_a_new_playbook_is_listed_and_kept() -> None:
    library = Library(playbook("a"))
    assert library.begins().blobs == [b"one"]
    library.then(LISTED, revised("a"))


def test_what_is_known_already_is_not_said_again() -> None:
    library = Library(playbook("a"), before=[LISTED, revised("a")])
    assert library.begins().blobs == []
    library.then_nothing()


def test_a_changed_playbook_has_a_new_version() -> None:
    library = Library(playbook("a", "two"), before=[LISTED, revised("a")])
    assert library.begins().blobs == [b"two"]
    library.then(revised("a", "two"))


def test_a_playbook_that_is_gone_is_withdrawn_once() -> None:
    library = Library(before=[LISTED, revised("a")])
    library.begins()
    library.then(WITHDRAWN)
    gone = Library(before=[LISTED, revised("a"), WITHDRAWN])
    gone.begins()
    gone.then_nothing()


def test_a_playbook_that_comes_back_is_revised_and_not_listed_again() -> None:
    library = Library(playbook("a"), before=[LISTED, revised("a"), WITHDRAWN])
    library.begins()
    library.then(revised("a"))


def test_a_name_in_the_list_that_nothing_happened_to_is_nothing_to_withdraw() -> None:
    library = Library(before=[LISTED])
    library.begins()
    library.then_nothing()


@pytest.mark.parametrize("name", ["list", "librarian", "main", "index"])
def test_a_playbook_may_have_any_name(name: str) -> None:
    library = Library(playbook(name))
    library.begins()
    library.then((LIST, PlaybookListed(name=name)), revised(name))


class World:
    """A log that can end between any two commits."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append(self, drafts: list[Draft]) -> None:
        for draft in drafts:
            before = [record for record in self.records if record.subject == draft.subject]
            assert open_envelope(Record("", 0, draft.body)).v == len(before) + 1
            self.records.append(Record(draft.subject, len(self.records) + 1, draft.body))

    def start(self, *playbooks: Playbook, cut: int = 1000) -> int:
        story = Library(*playbooks)
        story._records = self.records
        drafts = story.begins().drafts
        self.append(drafts[:cut])
        return len(drafts)

    def ends(self) -> dict[str, Any]:
        """By playbook: what happened to it last."""
        newest = {record.subject: read_commit(record).events[-1] for record in self.records if record.subject != LIST}
        return {subject: getattr(event, "version", "withdrawn") for subject, event in newest.items()}


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("second", range(5))
def test_wherever_a_crash_cuts_the_next_start_makes_it_whole(first: int, second: int) -> None:
    world = World()
    world.start(playbook("a"), playbook("b"), playbook("c"), cut=first)
    world.start(playbook("b", "two"), playbook("d"), cut=second)
    world.start(playbook("b", "two"), playbook("d"))
    ends = world.ends()
    assert ends.pop(subject_of("b")) == sha256(b"two")
    assert ends.pop(subject_of("d")) == sha256(b"one")
    assert set(ends.values()) <= {"withdrawn"}
    assert world.start(playbook("b", "two"), playbook("d")) == 0


def test_witans_own_playbooks_fit_into_their_commits() -> None:
    library = Library(*read_playbooks(OWN).values())
    library.begins()
    assert [event for _, event in library.told() if isinstance(event, PlaybookListed)] == [
        PlaybookListed(name=name) for name in read_playbooks(OWN)
    ]


def test_the_origin_of_a_version_is_the_folder_it_was_found_in(tmp_path: Path) -> None:
    library = Library(read_playbook_in(tmp_path))
    library.begins()
    (event,) = (event for _, event in library.told() if isinstance(event, PlaybookRevised))
    assert (event.origin, event.description) == (str(tmp_path), "Put things back: all of them.")


def read_playbook_in(folder: Path) -> Playbook:
    write(folder, GOOD)
    return read_playbooks(folder)["tidy_up"]
