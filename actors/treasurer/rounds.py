"""A run's conversation as its events tell it: round by round, what the mind said and what came of each of its calls.

The agent's own events say what belongs to which round: everything between two requests to the mind. What the mind and
the executor said is only looked up, so it does not matter in which order the three entities of a run are read.
"""

from bus.messages import call as minds
from bus.messages import exec as done
from bus.messages import step as said

Outcome = done.ExecEnded | done.ToolEnded | done.ExecLost


class Call:
    """One call of the mind."""

    __slots__ = ("checklist", "ended", "ended_in", "opened", "refused", "request")

    def __init__(self) -> None:
        self.request: said.ToolRequested | None = None
        self.refused: said.StepRefused | None = None
        self.ended: said.StepEnded | None = None
        self.ended_in = 0
        """In which round; a command in the background may end many rounds later."""
        self.opened: said.PlaybookOpened | None = None
        self.checklist: tuple[int, frozenset[int]] = (0, frozenset())
        """How many items the run had added by then, and which were ticked off."""


class Round:
    """One turn of the mind, and what happened up to the request for the next one."""

    __slots__ = ("again", "calls", "checklist", "late", "note", "playbook", "turn")

    def __init__(self, turn: int, note: str) -> None:
        self.turn, self.again, self.note = turn, 0, note
        self.calls: dict[str, Call] = {}
        self.late: list[str] = []
        """Calls of earlier rounds that ended in this one."""
        self.playbook: said.PlaybookOpened | None = None
        """The one that was open at its end."""
        self.checklist: tuple[int, frozenset[int]] = (0, frozenset())
        """How many items the run had added by its end, and which were ticked off."""


class Rounds:
    """All rounds of one run; folding an event in costs the same however long the run is."""

    def __init__(self) -> None:
        self.rounds: list[Round] = []
        self.replies: dict[tuple[int, int], minds.ModelReplied] = {}
        self.outcomes: dict[tuple[str, int], Outcome] = {}
        self.calls: dict[str, Call] = {}
        self.added: list[str] = []
        self.ticked: set[int] = set()
        self.playbook: said.PlaybookOpened | None = None
        self.condensed = minds.TranscriptCondensed(0, "")
        self.squeezes = 0
        """So often it had no room in the model that was asked."""
        self.told = (0, 0)
        """Of the last request that was answered, well or badly: its turn, and up to where it was condensed."""

    def hear(self, event: object) -> None:
        """One event of any of the three."""
        match event:
            case said.ModelRequested():
                self._requested(event)
            case said.ToolRequested():
                self._call(event.call).request = event
            case said.StepRefused():
                self._call(event.call).refused = event
            case said.StepEnded():
                self._ended(event)
            case said.PlaybookOpened():
                self._call(event.call).opened = self.playbook = event
            case said.PlaybookSucceeded() | said.PlaybookFailed():
                self.playbook = None
            case said.ChecklistExtended():
                self.added += event.items
            case said.ChecklistItemDone():
                self.ticked.add(event.item)
            case minds.ModelReplied() | minds.ModelFailed():
                self.told = max(self.told, (event.turn, self.condensed.turn))
                self.squeezes += isinstance(event, minds.ModelFailed) and event.failure == "context"
                if isinstance(event, minds.ModelReplied):
                    self.replies[event.turn, event.again] = event
            case minds.TranscriptCondensed() if event.turn > self.condensed.turn:
                self.condensed = event
            case done.ExecEnded() | done.ToolEnded() | done.ExecLost():
                self.outcomes[event.call, event.again] = event
            case _:
                pass

    @property
    def turn(self) -> int:
        """The turn that the mind is asked for."""
        return self.rounds[-1].turn if self.rounds else 0

    def round(self, turn: int) -> Round:
        return self.rounds[turn - 1]

    def reply(self, turn: int) -> minds.ModelReplied | None:
        """What the mind said in this turn, in the try that counted."""
        return self.replies.get((turn, self.round(turn).again))

    def outcome(self, call: str) -> Outcome | None:
        """How it came out, in the last try."""
        request = self.calls[call].request if call in self.calls else None
        return self.outcomes.get((call, request.again)) if request else None

    def before_the_first(self) -> list[str]:
        """The calls that the agent made of itself before the mind was asked at all, and that had ended by then."""
        return [id for id, call in self.calls.items() if id.startswith("0-") and call.ended and call.ended_in == 0]

    def _requested(self, event: said.ModelRequested) -> None:
        if event.turn == self.turn:
            self.rounds[-1].again = max(event.again, self.rounds[-1].again)
        elif event.turn == self.turn + 1:
            if self.rounds:
                self.rounds[-1].playbook = self.playbook
                self.rounds[-1].checklist = (len(self.added), frozenset(self.ticked))
            self.rounds.append(Round(event.turn, event.note))

    def _call(self, id: str) -> Call:
        call = self.calls.get(id)
        if call is None:
            call = self.calls[id] = Call()
            if self.rounds:
                self.rounds[-1].calls[id] = call
        return call

    def _ended(self, event: said.StepEnded) -> None:
        call = self._call(event.call)
        call.ended, call.ended_in = event, self.turn
        if self.rounds and event.call not in self.rounds[-1].calls:
            self.rounds[-1].late.append(event.call)
        if call.request is not None and call.request.tool == "checklist":
            call.checklist = (len(self.added), frozenset(self.ticked))
