"""Models at work: a server that speaks OpenAI's interface thinks for a real Witan and is paid from its budget."""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.treasurer.budget import SUBJECT, Budget, evolve
from bus.commands import request
from bus.envelope import Commit, Record, encode
from bus.log import replay
from bus.messages import budget, call, task
from bus.messages.kinds import read_commit
from cli.app import App
from cli.config import Settings
from tests.fake_http import Answer, Request
from tests.fake_openai import USAGE, Billed, FakeOpenAI, refused, said

WORK: list[Answer] = [
    said("I write it.", ("write", json.dumps({"path": "hello.py", "content": "print('hello')\n"}))),
    said("I run it.", ("run", json.dumps({"command": "python3 hello.py"}))),
    said("Done.", ("finish", json.dumps({"summary": "says hello"}))),
]
KEY = "sk-canary-5f2e9c71d0a84b63"
MODEL = {"id": "gpt-4o", "object": "model", "owned_by": "openai"}


class Worker(FakeOpenAI):
    """Its n-th answer in a conversation is the n-th of `WORK`, whoever asks."""

    def usual(self, request: Request) -> Answer:
        if request.method == "POST":
            messages = request.json["messages"]
            self.bill.append(Billed(request.json["model"], USAGE["prompt_tokens"], USAGE["completion_tokens"]))
            said_before = int(sum(each["role"] == "assistant" for each in messages))
            return WORK[min(said_before, len(WORK) - 1)]
        usual: Answer = super().usual(request)
        return usual


@contextmanager
def witan(folder: Path, server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[App]:
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    app = App(Settings(state_dir=folder, log_level="error", workflow="direct", **settings), projections=False).open()
    try:
        yield app
    finally:
        app.close()


def submit(app: App, text: str = "say hello") -> str:
    body = json.dumps({"task": text, "workflow": "direct"}).encode()
    answer = app.bridge.run(request(app.connection, "orchestrator", "submit_task", body, f"submit-{text}", 20))
    return str(answer["task_id"])


def until(app: App, *ends: type, count: int = 1) -> list[Any]:
    """All events, once so many of these have come."""

    async def wait() -> list[Record]:
        for _ in range(600):
            records = [record async for batch in replay(app.log) for record in batch]
            if sum(isinstance(event, ends) for event in events_of(records)) >= count:
                return records
            await asyncio.sleep(0.05)
        raise AssertionError([type(event).__name__ for event in events_of(records)][-40:])

    return events_of(app.bridge.run(wait(), timeout_s=60))


def events_of(records: list[Record]) -> list[Any]:
    return [event for record in records for event in read_commit(record).events]


def test_a_model_does_the_work_and_is_paid_for_from_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Worker(models=[MODEL]) as server, witan(tmp_path, server, monkeypatch) as app:
        submit(app)
        events = until(app, task.TaskCompleted, task.PersonAsked)
        path = next(event.path for event in events if type(event).__name__ == "WorkspaceOpened")
        assert Path(path, "hello.py").read_text() == "print('hello')\n"
        events = until(app, budget.FundsSettled, count=3)
    assert any(isinstance(event, task.TaskCompleted) for event in events)
    replies = [event for event in events if isinstance(event, call.ModelReplied)]
    assert [reply.text for reply in replies] == ["I write it.", "I run it.", "Done."]
    assert all(reply.micro > 0 and reply.prices.startswith("genai-prices") for reply in replies)
    reserved = {event.reservation: event.micro for event in events if isinstance(event, budget.FundsReserved)}
    settled = {event.reservation: event.micro for event in events if isinstance(event, budget.FundsSettled)}
    assert reserved.keys() == settled.keys() and len(reserved) == 3
    assert all(settled[each] <= reserved[each] for each in reserved)
    assert len(server.bill) == 3


def test_without_money_the_task_waits_and_goes_on_after_a_top_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Worker(models=[MODEL]) as server, witan(tmp_path, server, monkeypatch, task_usd=0.0001) as app:
        id = submit(app)
        events = until(app, call.CallParked)
        assert not server.bill
        assert any(isinstance(event, budget.BudgetExhausted) and event.scope == "task" for event in events)
        body = json.dumps({"task_id": id, "usd": 1.0}).encode()
        app.bridge.run(request(app.connection, "treasurer", "top_up", body, "more", 20))
        events = until(app, task.TaskCompleted, task.PersonAsked)
    assert any(isinstance(event, task.TaskCompleted) for event in events)
    assert len(server.bill) == 3


def test_a_provider_that_asks_for_rest_is_left_alone_and_then_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Worker(models=[MODEL]) as server, witan(tmp_path, server, monkeypatch) as app:
        server.say(refused(429, "slow down", retry_after="1"))
        submit(app)
        events = until(app, task.TaskCompleted, task.PersonAsked)
    kinds = [type(event).__name__ for event in events]
    assert "RateLimited" in kinds and "TaskCompleted" in kinds
    assert kinds.index("RateLimited") < kinds.index("ModelReplied")


def test_the_key_of_a_provider_is_nowhere_on_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when the model says it, or a command prints it."""
    with Worker(models=[MODEL]) as server, witan(tmp_path, server, monkeypatch) as app:
        server.say(said(f"The key is {KEY}.", ("run", json.dumps({"command": f"echo {KEY} | tee key.txt"}))))
        server.say(
            said("Done.", ("finish", json.dumps({"artifacts": [{"name": "k", "type": "code", "path": "key.txt"}]})))
        )
        submit(app)
        until(app, task.TaskCompleted, task.PersonAsked)

        async def bodies() -> bytes:
            return b"".join([record.body async for batch in replay(app.log) for record in batch])

        assert b"canary" not in app.bridge.run(bodies(), timeout_s=20)


def test_with_nobody_to_ask_a_person_is_told_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.app.providers", lambda environ: [])
    with Worker() as server, witan(tmp_path, server, monkeypatch) as app:
        submit(app)
        events = until(app, task.PersonAsked)
    question = next(event.question for event in events if isinstance(event, task.PersonAsked))
    assert "ollama" in question.lower() or "API_KEY" in question


def over_a_cap(records: list[Record]) -> list[str]:
    """P5: what is spent and reserved never exceeds a cap, at every prefix of the log."""
    state, wrong = Budget(), []
    for record in records:
        if record.subject == SUBJECT:
            for event in read_commit(record).events:
                state = evolve(state, event)
            wrong += [f"{record.seq}: {day} has {micro}" for day, micro in state.days.items() if micro > state.caps.day]
    return wrong


def test_twenty_runs_at_once_share_a_cap_that_only_one_call_fits_under(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for the money that another's settlement gives back; nobody is forgotten, nothing is overspent."""
    many: dict[str, Any] = {"pipelines": 20, "agent_capacity": 20, "daily_usd": 0.15, "task_usd": 1.0}
    with Worker(models=[MODEL]) as server, witan(tmp_path, server, monkeypatch, **many) as app:
        for number in range(20):
            submit(app, f"say hello {number}")
        events = until(app, task.TaskCompleted, task.PersonAsked, count=20)

        async def whole() -> list[Record]:
            return [record async for batch in replay(app.log) for record in batch]

        records = app.bridge.run(whole(), timeout_s=20)
    assert sum(isinstance(event, task.TaskCompleted) for event in events) == 20
    assert sum(isinstance(event, call.CallParked) for event in events) > 0
    assert over_a_cap(records) == []
    assert len(server.bill) == 60


def test_spending_over_a_cap_is_found() -> None:
    caps = budget.CapsRevised(day=10, month=100, task=100, council=0)
    reserved = budget.FundsReserved(reservation="r", task="t", model="m", role="r", micro=11, at_day="2026-11-21")
    body = encode(Commit("c", "", "x", "x", "", 1, "", [caps, reserved]))
    assert over_a_cap([Record(SUBJECT, 1, body)])
