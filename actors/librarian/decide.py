"""What the librarian does: it compares the playbooks that there are with the log, and records what is new or gone."""

from collections.abc import Callable, Iterable, Sequence

from actors.agent.playbooks import Playbook
from actors.decider import Message, Plain
from actors.desk import Desk
from actors.librarian.playbook import LIST, Kept, subject_of
from bus.envelope import Record
from bus.messages.playbook import PlaybookListed, PlaybookRevised, PlaybookWithdrawn


class Librarian(Plain):
    """Every version of every playbook is on the log, and its text in the blob store."""

    name = "librarian"
    follows: Sequence[str] = ()
    woken_as: Sequence[str] = ("librarian",)

    def __init__(self, playbooks: Iterable[Playbook]) -> None:
        self.playbooks = {playbook.name: playbook for playbook in playbooks}

    def resume_after(self, last: Callable[[str], Record | None], head: int) -> int:
        """It follows nothing: everything it needs is in its own entities."""
        return head

    def recover(self, desk: Desk, message: Message) -> None:
        """A name is listed before anything else happens to it, so that no crash can leave a playbook unlisted."""
        known: Kept = desk.state(LIST)
        new = [PlaybookListed(name=name) for name in self.playbooks if name not in known.names]
        if new:
            desk.append(LIST, *new)
        for playbook in self.playbooks.values():
            self._revise(desk, playbook)
        for name in [name for name in known.names if name not in self.playbooks]:
            if desk.state(subject_of(name)).version:
                desk.append(subject_of(name), PlaybookWithdrawn())

    def _revise(self, desk: Desk, playbook: Playbook) -> None:
        subject = subject_of(playbook.name)
        if desk.state(subject).version != playbook.version:
            version = desk.keep(playbook.content)
            desk.append(
                subject,
                PlaybookRevised(version=version, description=playbook.description, origin=playbook.origin),
            )

    def decide(self, desk: Desk, message: Message) -> None:
        """Nobody tells it anything yet."""
