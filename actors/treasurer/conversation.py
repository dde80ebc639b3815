"""One run as far as its mind is concerned: what has been said in it, how it goes, and what is known of its prompts."""

from typing import Any

from actors.agent.steps import Steps, evolve
from actors.treasurer.bounds import Bounds
from actors.treasurer.context import Transcript
from bus.envelope import Commit, Record

STEPS = "evt.step."
SIDES = (STEPS, "evt.call.", "evt.exec.")
"""The agent's, the mind's and the executor's."""


class Conversation:
    """It follows from the log, record by record."""

    def __init__(self, transcript: Transcript) -> None:
        self.transcript, self.steps, self.bounds = transcript, Steps(), Bounds()
        self.upto, self.step = 0, ""
        """The place of the last of its records that was taken, and the id of the last commit of its steps."""
        self.weight: tuple[int, float] | None = None
        """Its task's priority, and how hard it is; looked up once."""

    def take(self, record: Record, commit: Commit[Any]) -> None:
        """What is new in the conversation."""
        if record.seq <= self.upto:
            return
        self.upto = record.seq
        self.transcript.take(record, commit)
        if record.subject.startswith(STEPS):
            self.step = commit.id
            for event in commit.events:
                evolve(self.steps, event)
