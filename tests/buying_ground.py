"""A treasurer that buys: its models, its money and one run, without a log, a bus or a provider."""

from pathlib import Path
from typing import Any

import actors
from actors.agent.mind import MODELS
from actors.agent.role import read_roles
from actors.agent.team import Team
from actors.decider import Done
from actors.orchestrator.rules import read_rules
from actors.redaction import Redactor
from actors.treasurer.asking import Asking, Bought, Failed, Model, Reply, SettleSoon, Standing, Surveyed
from actors.treasurer.budget import Caps
from actors.treasurer.buying import SETTLE, Buyer
from actors.treasurer.decide import Treasurer
from actors.treasurer.presets import read_presets
from actors.treasurer.prices import read_prices
from actors.treasurer.thinking import SURVEY, Thinking
from bus.messages import step, task
from bus.messages.agent import WorkAssigned
from bus.messages.base import ToolCall
from bus.messages.call import Usage
from tests.given import Play
from tests.test_treasurer import NoMinds

OWN = Path(actors.__file__).parent
LOCAL, ROOMY = Model("ollama", "qwen3-coder:30b", True, 32_768, 8192), Model("ollama", "llama3.1", True, 128_000, 8192)
PAID = Model("openai", "gpt-4o", False, 128_000, 16_384)
OTHER = Model("anthropic", "claude-sonnet-5", False, 200_000, 64_000)
STEP, CALL, BUDGET = "evt.step.c.t-1", "evt.call.c.t-1", "evt.budget.main"
SOME = Usage(100, 10)


def treasurer() -> Treasurer:
    buyer = Buyer(read_prices(()), read_presets(OWN), Redactor({}))
    thinking = Thinking(buyer, Team(read_roles(OWN / "roles")), read_rules(OWN).weights, Redactor({}))
    return Treasurer(MODELS, NoMinds(), thinking, Caps(10**9, 10**9, 10**9, 10**9))


class Desk(Play):
    """One run that needs replies."""

    def __init__(self, *models: Model, text: str = "say hello", **about: Any) -> None:
        """`about`: what else there is to say about the run."""
        self.models = models
        super().__init__(treasurer)
        self.given("evt.task.t", task.TaskSubmitted(task=text, workflow="direct", phases=["implement"]))
        self.work = WorkAssigned("t-1", "t", "implement", "coder", text, **about)
        if "recovery" not in about:
            self.given("evt.agent.c", self.work)
        self.given(STEP, step.StepsOpened(task="t", phase="implement", role="coder"))
        self.look()

    def look(self) -> None:
        """It is known who can be asked."""
        standings = [Standing(name, True, "it is there") for name in {model.provider for model in self.models}]
        self.hears(Done(SURVEY, Surveyed(list(self.models), standings)))

    def crash(self) -> None:
        self.begin()
        self.decider.resume_after(self.last, self.head)
        self.look()

    def asks(self, turn: int = 1, again: int = 0, *, heard: bool = False) -> Asking:
        """What a provider is asked when the run needs this reply."""
        self.hears(step.ModelRequested(turn=turn, again=again), STEP, again=heard)
        (asking,) = [each for each in self.done() if isinstance(each, Asking)]
        self.key = f"{CALL}/{turn}/{again}"
        return asking

    def says(
        self, text: str = "", *calls: ToolCall, stop: Any = "tools", usage: Usage = SOME, micro: int | None = None
    ) -> "Desk":
        self.hears(Done(self.key, Bought(Reply(text, tuple(calls), stop, usage, "m", micro), 5.0)))
        return self

    def settles(self) -> "Desk":
        """Some time has gone by."""
        self.hears(Done(SETTLE, SettleSoon()))
        return self

    def fails(self, failure: str, reason: str = "no") -> "Desk":
        self.hears(Done(self.key, Bought(Failed(failure, reason, 0, "nothing", None), 5.0)))
        return self
