"""What is to be bought: one reply, its prompt, and until when it waits."""

from typing import NamedTuple

from actors.treasurer.asking import Prompt


class Wanted(NamedTuple):
    """One reply that is needed. `until_s`: it is of no use after this moment and never waits; 0: it can wait."""

    key: str
    subject: str
    agent: str
    run: str
    task: str
    role: str
    turn: int
    again: int
    purpose: str = "run"
    until_s: float = 0

    @property
    def reservation(self) -> str:
        return f"{self.agent}/{self.run}/{self.turn}/{self.again}"

    @property
    def topic(self) -> str:
        """Where it can be heard while it is said; empty: nowhere."""
        return f"live.thought.{self.agent}.{self.run}" if self.purpose == "run" else ""


class Worded(NamedTuple):
    """A prompt, and how many tokens it is at most."""

    prompt: Prompt
    tokens: int


class Parked(NamedTuple):
    """A request that waits; until then, or until something changes."""

    wanted: Wanted
    until_s: float
