"""What the council decides: who is asked, what is tried, who judges, and one end in time whatever happens."""

from collections.abc import Callable, Sequence

from actors.agent.team import Team
from actors.council.rules import Rules
from actors.decider import Effects, Message
from actors.desk import Desk
from bus.envelope import Record, open_envelope
from bus.messages.agent import Alive

GUARDIAN = "evt.guardian.main"


class Council:
    """Several models on one problem at a time; any number of councils at once."""

    name = "council"
    follows: Sequence[str] = ("evt.trial.*", "evt.call.council.*", GUARDIAN)
    watches: Sequence[str] = (GUARDIAN,)
    ignores: Sequence[type] = ()
    beat_s = 0.0
    woken_as: Sequence[str] = ()

    def __init__(self, team: Team, blamed: Callable[[str, str], str], rules: Rules, clock: Effects) -> None:
        self.team, self.blamed, self.rules = team, blamed, rules
        self.effects: Effects | None = clock

    def ready(self, desk: Desk) -> bool:
        return not desk.state(GUARDIAN).frozen

    def beats(self) -> list[Alive]:
        return []

    def opened_by(self, message: Message) -> str:
        return ""

    def resume_after(self, last: Callable[[str], Record | None], head: int) -> int:
        """Where its own newest commit says that it was."""
        newest = last("evt.council.*")
        return open_envelope(newest).after if newest else 0

    def recover(self, desk: Desk, message: Message) -> None:
        """What to do first, with nothing but the log to go by."""

    def decide(self, desk: Desk, message: Message) -> None:
        """One message, whatever it is."""
