"""Opinions at work: a server that speaks OpenAI's interface is asked by a real treasurer for councils on a real log."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.council.problem import Part, Words
from actors.treasurer.prices import Prices
from bus.commands import request
from bus.envelope import Commit, Draft, Record, encode, link
from bus.ids import fresh_id
from bus.log import replay
from bus.messages import budget, call
from bus.messages.call import Usage
from bus.messages.council import CouncilConvened, OpinionAsked
from bus.messages.kinds import read_commit
from cli.app import App
from tests.fake_http import Answer, Piece, Request
from tests.fake_openai import STREAM, FakeOpenAI, said
from tests.money_ground import charged, over_a_cap
from tests.test_models_at_work import KEY, until, witan

ENDS = call.ModelReplied, call.ModelFailed
MODELS = [{"id": each, "object": "model", "owned_by": "openai"} for each in ("gpt-4o", "gpt-4o-mini", "gpt-4.1")]
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
WORDS = Words("You help.", [Part("It fails."), Part(f"boom {KEY}", "the error")], 400, SCHEMA)
HANG: list[Piece] = ["hang"]


class Together(FakeOpenAI):
    """It says nothing before so many have asked."""

    def __init__(self, count: int) -> None:
        super().__init__(json.dumps({"answer": f"as {KEY} says"}), MODELS)
        self.count = count

    async def _say(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        while answer.kind == STREAM and len(self.bill) < self.count:
            await asyncio.sleep(0.01)
        return await super()._say(answer, reader, writer)


class Costly(FakeOpenAI):
    """Its replies are as long as they may be."""

    def usual(self, request: Request) -> Answer:
        if request.method != "POST":
            usual: Answer = super().usual(request)
            return usual
        most = int(request.json["max_completion_tokens"])
        super().usual(request)
        prompt = self.bill[-1].prompt_tokens
        self.bill[-1] = self.bill[-1]._replace(completion_tokens=most)
        return said("{}", usage={"prompt_tokens": prompt, "completion_tokens": most, "total_tokens": prompt + most})

    @property
    def micro(self) -> int:
        prices = Prices()
        costs = [prices.micro_of("openai", model, Usage(prompt, output)) for model, prompt, output in self.bill]
        return sum(each or 0 for each in costs)


def convene(app: App, council: str, *asked: OpinionAsked) -> None:
    """A council stands on the log, and what it asks for."""
    task, subject = council.partition("-")[0], f"evt.council.{council}"
    about = CouncilConvened(task, "code", "test_failure", "stuck", "", "t-1", "coder-01", time.time() + 120, 1)
    drafts: list[Draft] = []
    prev = ""
    for v, event in enumerate((about, *asked), 1):
        id = fresh_id()
        body = encode(Commit(id, "", "council", id, task, v, prev, [event]))
        drafts.append(Draft(subject, body, id, None if drafts else 0))
        prev = link(subject, body)
    app.bridge.run(app.log.append(drafts), timeout_s=20)


def opinion(app: App, member: str, model: str = "openai/gpt-4o", limit_s: float = 60, purpose: Any = "member") -> Any:
    content = msgspec.json.encode(WORDS)
    digest = app.bridge.run(app.blobs.put(content), timeout_s=20)
    return OpinionAsked(member, purpose, model, digest, len(content), time.time() + limit_s)


def whole(app: App) -> list[Record]:
    async def read() -> list[Record]:
        return [record async for batch in replay(app.log) for record in batch]

    return app.bridge.run(read(), timeout_s=20)


def offered(app: App) -> dict[str, Any]:
    answer = app.bridge.run(request(app.connection, "treasurer", "list_models", b"{}", fresh_id(), 20), timeout_s=30)
    return {each["model"]: each for each in msgspec.convert(answer["models"], list[dict[str, Any]])}


def test_three_members_and_a_judge_answer_side_by_side_and_nobody_overhears_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []
    with Together(4) as server, witan(tmp_path, server, monkeypatch) as app:
        app.bridge.run(app.connection.subscribe("live.>", lambda *told: heard.append(told[0] + told[3])))
        assert {"openai/gpt-4o", "openai/gpt-4o-mini", "openai/gpt-4.1"} <= offered(app).keys()
        members = [opinion(app, f"m{place}", f"openai/{each['id']}") for place, each in enumerate(MODELS, 1)]
        convene(app, "t-c1", *members, opinion(app, "j1", purpose="judge"))
        until(app, *ENDS, count=4)
        events = until(app, budget.FundsSettled, count=4)
        records = whole(app)
    replies = [event for event in events if isinstance(event, call.ModelReplied)]
    assert sorted(each.model for each in replies) == ["gpt-4.1", "gpt-4o", "gpt-4o", "gpt-4o-mini"]
    assert all("[redacted" in each.text and each.micro > 0 for each in replies)
    posted = [each for each in server.asked if each.method == "POST"]
    assert all(each.json["response_format"]["json_schema"]["schema"] == SCHEMA for each in posted)
    assert all(b"boom" in each.body and KEY.encode() not in each.body for each in posted)
    assert not any(KEY.encode() in record.body for record in records)
    assert not any(b"council" in each or b"answer" in each for each in heard)
    spent, reserved = charged(records)
    assert spent == sum(each.micro for each in replies) and reserved == 0


def test_an_opinion_that_was_under_way_in_a_restart_is_lost_paid_in_full_and_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeOpenAI(models=MODELS) as server:
        server.say(Answer(before=tuple(HANG)))
        with witan(tmp_path, server, monkeypatch) as app:
            offered(app)
            convene(app, "t-c1", opinion(app, "m1"))
            (reserved,) = [each for each in until(app, call.CallStarted) if isinstance(each, budget.FundsReserved)]
            assert server.hanging.wait(20)
        with witan(tmp_path, server, monkeypatch) as app:
            events = until(app, *ENDS)
        posted = [each for each in server.asked if each.method == "POST"]
    (failed,) = [event for event in events if isinstance(event, ENDS)]
    assert isinstance(failed, call.ModelFailed) and failed.failure == "lost"
    (settled,) = [event for event in events if isinstance(event, budget.FundsSettled)]
    assert settled.unknown and settled.micro == reserved.micro
    assert len(posted) == 1


def test_a_member_that_says_nothing_is_given_up_when_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeOpenAI(models=MODELS) as server, witan(tmp_path, server, monkeypatch) as app:
        server.say(Answer(before=tuple(HANG)))
        offered(app)
        convene(app, "t-c1", opinion(app, "m1", limit_s=1))
        (failed,) = [event for event in until(app, *ENDS) if isinstance(event, ENDS)]
        assert isinstance(failed, call.ModelFailed) and failed.failure == "timeout"
        assert server.left.wait(20), "and nobody listens any more"


def test_twenty_councils_at_once_spend_no_more_than_the_councils_cap_on_the_log_and_on_the_bill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cap = 100_000
    with Costly(models=MODELS) as server, witan(tmp_path, server, monkeypatch, council_usd=cap / 1e6) as app:
        offered(app)
        for number in range(20):
            members = [opinion(app, f"m{place}", f"openai/{each['id']}") for place, each in enumerate(MODELS, 1)]
            convene(app, f"t{number}-c1", *members)
        until(app, *ENDS, count=60)
        events = until(app, budget.FundsSettled, count=len(server.bill))
        records = whole(app)
    ends = [event for event in events if isinstance(event, ENDS)]
    refused = [each for each in ends if isinstance(each, call.ModelFailed)]
    spent, reserved = charged(records)
    print(f"cap {cap}, charged {spent}, billed {server.micro}; {len(refused)} of {len(ends)} refused")
    assert over_a_cap(records) == []
    assert 0 < server.micro <= spent + reserved <= cap and reserved == 0
    assert refused and {each.failure for each in refused} == {"budget"}
    assert len(server.bill) == len(ends) - len(refused)
    subjects = {
        record.subject for record in records if any(isinstance(each, ENDS) for each in read_commit(record).events)
    }
    assert len(subjects) == len(ends) == 60
