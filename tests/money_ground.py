"""Ground for money under faults: a free and a paid provider that fail at random, their bill, what the log spends."""

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from actors.treasurer.prices import Prices
from bus.envelope import Record
from bus.messages import budget
from bus.messages.call import Usage
from bus.messages.kinds import read_commit
from tests.fake_http import Answer, Request, in_json
from tests.fake_ollama import FakeOllama
from tests.fake_ollama import line as local_line
from tests.fake_ollama import said as local_said
from tests.fake_ollama import streamed as local_streamed
from tests.fake_openai import FakeOpenAI, chunk, refused, said, streamed

MODEL = "gpt-4o"
MARK = re.compile(r"TASK-\d+")
TOKENS_OF_A_BYTE = 0.9
"""Three times what prose is estimated at: larger than every estimate, and no larger than a tokenizer can."""
TOKENS_OF_A_MESSAGE = 4


class Billed(NamedTuple):
    """What the provider wants money for."""

    task: str
    micro: int


class Free(FakeOllama):
    """A local model that fails in every way, most of the time."""

    def __init__(self, seed: int, fails: float = 0.6) -> None:
        super().__init__()
        self.dice, self.fails = random.Random(seed), fails

    def _next(self, request: Request) -> Answer:
        if request.path != "/api/chat":
            return self.usual(request)
        if self.dice.random() >= self.fails:
            tool, given = next_step(str(request.json["messages"]))
            return local_said("I go on.", (tool, given))
        return self.dice.choice(
            (
                in_json({"error": "llama runner process has terminated"}, 500),
                in_json({"error": "server busy"}, 503, retry_after="0"),
                local_streamed(local_line(content="I w"), "cut"),
                local_streamed(b"{never json\n"),
                Answer(before=("hang",)) if self.dice.random() < 0.2 else Answer(before=("cut",)),
            )
        )


class Paid(FakeOpenAI):
    """A model that costs money; it fails now and then, and what it had begun by then is on its bill all the same."""

    def __init__(self, seed: int, fails: float = 0.3, prices: Prices | None = None) -> None:
        super().__init__(models=[{"id": MODEL, "object": "model", "owned_by": "openai"}])
        self.dice, self.fails, self.prices = random.Random(seed), fails, prices or Prices()
        self.billed: list[Billed] = []
        self.outcomes: Counter[str] = Counter()

    @property
    def bill_micro(self) -> int:
        return sum(each.micro for each in self.billed)

    def by_task(self) -> dict[str, int]:
        sums: dict[str, int] = defaultdict(int)
        for each in self.billed:
            sums[each.task] += each.micro
        return sums

    def _next(self, request: Request) -> Answer:
        return self._outcome(request) if request.method == "POST" else self.usual(request)

    def _outcome(self, request: Request) -> Answer:
        asked = request.json
        limit = int(asked["max_completion_tokens"])
        prompt, written = tokens_of(asked), self.dice.choice((limit, self.dice.randint(limit // 3, limit)))
        usage = {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
        tool, given = next_step(request.body.decode())
        whole = said("I go on.", (tool, json.dumps(given)), usage=usage)
        free = {
            "429": refused(429, "slow down", retry_after="1"),
            "500": refused(500, "the server had an error"),
            "529": refused(529, "overloaded", retry_after="1"),
        }
        costs = {
            "gateway": Answer((b"<html>bad gateway</html>",), 502, "text/html"),
            "truncated": streamed(chunk({"content": "I w"}), "cut"),
            "silent": Answer(before=("hang",)),
            "malformed": streamed(b"data: {never json\n\n"),
            "uncounted": said("I go on.", (tool, json.dumps(given)), usage=None),
        }
        what = self.dice.choice([*free, *costs]) if self.dice.random() < self.fails else "whole"
        self.outcomes[what] += 1
        if what not in free:
            self._charge(request, prompt, written)
        return {**free, **costs, "whole": whole}[what]

    def _charge(self, request: Request, prompt: int, written: int) -> None:
        micro = self.prices.micro_of("openai", MODEL, Usage(input=prompt, output=written))
        found = MARK.search(request.body.decode())
        assert micro is not None
        self.billed.append(Billed(found[0] if found else "", micro))


def tokens_of(asked: dict[str, Any]) -> int:
    """What a tokenizer makes of a prompt that hardly knows the language."""
    words = [json.dumps(asked.get("tools", []), separators=(",", ":")), *_words(asked["messages"])]
    size = sum(len(each.encode()) for each in words)
    return int(size * TOKENS_OF_A_BYTE) + TOKENS_OF_A_MESSAGE * len(asked["messages"])


def _words(what: Any) -> Iterable[str]:
    match what:
        case str():
            yield what
        case dict():
            for name, each in what.items():
                if name not in ("role", "id", "type", "tool_call_id"):
                    yield from _words(each)
        case list():
            for each in what:
                yield from _words(each)


def next_step(prompt: str) -> tuple[str, dict[str, Any]]:
    """Something small to do that is another thing each time."""
    return "checklist", {"add": [f"item {random.getrandbits(40):x}"]}


def over_a_cap(records: Iterable[Record]) -> list[str]:
    """What is spent and reserved never exceeds a cap of its day, month or task, or of councils: after each commit."""
    caps, extra = {"day": 0, "month": 0, "task": 0, "council": 0}, Counter[str]()
    taken: Counter[tuple[str, str]] = Counter()
    open_: dict[str, budget.FundsReserved] = {}
    wrong: list[str] = []
    for record in records:
        if not record.subject.startswith("evt.budget."):
            continue
        for event in read_commit(record).events:
            match event:
                case budget.CapsRevised():
                    caps = {"day": event.day, "month": event.month, "task": event.task, "council": event.council}
                case budget.TaskToppedUp():
                    extra[event.task] += event.micro
                case budget.FundsReserved():
                    open_[event.reservation] = event
                    for window in _windows(event):
                        taken[window] += event.micro
                case budget.FundsSettled() if event.reservation in open_:
                    reserved = open_.pop(event.reservation)
                    for window in _windows(reserved):
                        taken[window] += event.micro - reserved.micro
                case _:
                    pass
        for (scope, name), micro in taken.items():
            if micro > caps[scope] + extra[name]:
                wrong.append(f"{record.seq}: {scope} {name} has {micro} of {caps[scope] + extra[name]}")
    return wrong


def _windows(event: budget.FundsReserved) -> list[tuple[str, str]]:
    windows = [("day", event.at_day), ("month", event.at_day[:7]), ("task", event.task)]
    return windows if event.purpose == "run" else [*windows, ("council", event.at_day)]


def charged(records: Iterable[Record]) -> tuple[int, int]:
    """What the log has charged, and what it still has reserved."""
    open_: dict[str, int] = {}
    spent = 0
    for record in records:
        if record.subject.startswith("evt.budget."):
            for event in read_commit(record).events:
                if isinstance(event, budget.FundsReserved):
                    open_[event.reservation] = event.micro
                elif isinstance(event, budget.FundsSettled) and open_.pop(event.reservation, None) is not None:
                    spent += event.micro
    return spent, sum(open_.values())
