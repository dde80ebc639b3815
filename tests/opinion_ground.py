"""A treasurer that sells opinions: its models, its caps and any number of councils, without a log or a provider."""

from typing import Any, NamedTuple

import msgspec

from actors.agent.mind import MODELS
from actors.agent.role import read_roles
from actors.agent.team import Team
from actors.council.problem import Part, Words
from actors.decider import Done, Message
from actors.orchestrator.rules import read_rules
from actors.redaction import Redactor
from actors.treasurer.asking import Asking, Bought, Failed, Model, Reply, SettleSoon, Standing, Surveyed
from actors.treasurer.budget import SUBJECT, Budget, Caps, evolve
from actors.treasurer.buying import SETTLE, Buyer
from actors.treasurer.decide import Treasurer
from actors.treasurer.presets import read_presets
from actors.treasurer.prices import read_prices
from actors.treasurer.thinking import SURVEY, Thinking
from bus.envelope import Record, link
from bus.messages import call
from bus.messages.call import Usage
from bus.messages.council import CouncilConvened, OpinionAsked
from bus.messages.kinds import read_commit
from tests.buying_ground import LOCAL, OTHER, OWN, PAID, SOME
from tests.given import Play
from tests.test_treasurer import NoMinds

GPT, CLAUDE, QWEN = "openai/gpt-4o", "anthropic/claude-sonnet-5", "ollama/qwen3-coder:30b"
SECRET = "canary-5f2e9c71d0a84b63"
SCHEMA: dict[str, object] = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
WORDS = Words("You help.", [Part("It fails."), Part(f"boom {SECRET}", "the error")], 500, SCHEMA)
PLENTY = Caps(10**9, 10**9, 10**9, 10**9)
LIMIT_S = 90.0
TASK = "t"


class Opinion(NamedTuple):
    """Where one stands on the log."""

    council: str
    asked: OpinionAsked

    @property
    def subject(self) -> str:
        return f"evt.call.council.{self.council}-{self.asked.member}"

    @property
    def key(self) -> str:
        return f"{self.subject}/1/0"

    @property
    def reservation(self) -> str:
        return f"council/{self.council}-{self.asked.member}/1/0"


def treasurer(caps: Caps = PLENTY) -> Treasurer:
    redactor = Redactor({"KEY": SECRET})
    buyer = Buyer(read_prices(()), read_presets(OWN), redactor)
    thinking = Thinking(buyer, Team(read_roles(OWN / "roles")), read_rules(OWN).weights, redactor)
    return Treasurer(MODELS, NoMinds(), thinking, caps)


class Counter(Play):
    """Where opinions are sold."""

    def __init__(self, *models: Model, caps: Caps = PLENTY, looked: bool = True) -> None:
        self.models = models or (LOCAL, PAID, OTHER)
        super().__init__(lambda: treasurer(caps))
        self.words = self.given_blob(msgspec.json.encode(WORDS))
        if looked:
            self.look()

    @property
    def buyer(self) -> Buyer:
        assert isinstance(self.decider, Treasurer) and self.decider.thinking is not None
        return self.decider.thinking.buyer

    def look(self) -> "Counter":
        """It is known who can be asked."""
        standings = [Standing(name, True, "it is there") for name in sorted({each.provider for each in self.models})]
        self.hears(Done(SURVEY, Surveyed(list(self.models), standings)))
        return self

    def cut(self, records: int) -> None:
        """So much of the log is there when the next life begins."""
        self._records = self._records[:records]
        self._heads = {each.subject: (read_commit(each).v, link(each.subject, each.body)) for each in self._records}

    def crash(self) -> "Counter":
        """A new life: nothing but the log."""
        self.begin()
        return self

    def convened(self, council: str, task: str = TASK) -> "Counter":
        about = CouncilConvened(task, "code", "test_failure", "stuck", "", "t-1", "coder-01", self.now_s + 120, 1)
        self.given(f"evt.council.{council}", about)
        return self

    def opinion(self, model: str, council: str = "t-c1", member: str = "m1", **about: Any) -> Opinion:
        """It stands on the log that this is asked for."""
        if not self.read(f"evt.council.{council}"):
            self.convened(council)
        fields = {"purpose": "member", "words": self.words, "bytes": 100, "until_s": self.now_s + LIMIT_S, **about}
        opinion = Opinion(council, OpinionAsked(member=member, model=model, **fields))
        self.given(f"evt.council.{council}", opinion.asked)
        return opinion

    def reads(self, opinion: Opinion, *, again: bool = False, task: str = TASK) -> "Counter":
        """The treasurer reads that it is asked for."""
        told = f"heard-{opinion.key}", opinion.asked, f"evt.council.{opinion.council}", task, self.now_s, not again
        self._keep(self.desk.decide(self.decider.decide, Message(*told), 0))
        return self

    def asks(self, model: str, council: str = "t-c1", member: str = "m1", **about: Any) -> Opinion:
        opinion = self.opinion(model, council, member, **about)
        self.reads(opinion)
        return opinion

    def asking(self) -> Asking:
        """What the last message had a provider asked."""
        (asking,) = [each for each in self.done() if isinstance(each, Asking)]
        return asking

    def says(self, opinion: Opinion, text: str = "ok", usage: Usage = SOME) -> "Counter":
        self.hears(Done(opinion.key, Bought(Reply(text, (), "end", usage, "m"), 5.0)))
        return self

    def settles(self) -> "Counter":
        """Some time has gone by."""
        self.hears(Done(SETTLE, SettleSoon()))
        return self

    def fails(self, opinion: Opinion, failure: str, charged: str = "nothing", wait_s: float = 0) -> "Counter":
        self.hears(Done(opinion.key, Bought(Failed(failure, f"no: {SECRET}", wait_s, charged, None), 5.0)))
        return self

    def failed(self) -> call.ModelFailed:
        """Why there is no opinion, as the last message decided."""
        (failed,) = self.events(call.ModelFailed)
        assert self.done() == [] and not self.events(call.CallParked)
        assert isinstance(failed, call.ModelFailed)
        return failed

    def ends_of(self, opinion: Opinion) -> list[Any]:
        """All that was ever said at the end of it."""
        events = [event for record in self.read(opinion.subject) for event in read_commit(record).events]
        return [event for event in events if isinstance(event, call.ModelReplied | call.ModelFailed)]

    def count(self, opinion: Opinion, kind: type) -> int:
        events = [event for record in self.read(opinion.subject) for event in read_commit(record).events]
        return sum(isinstance(event, kind) for event in events)

    @staticmethod
    def events_in(record: Record, kind: type) -> list[Any]:
        return [event for event in read_commit(record).events if isinstance(event, kind)]

    @property
    def records(self) -> list[Record]:
        return self.read("evt.>")

    @property
    def budget(self) -> Budget:
        """As its events stand on the log."""
        budget = Budget()
        for record in self.read(SUBJECT):
            for event in read_commit(record).events:
                budget = evolve(budget, event)
        return budget
