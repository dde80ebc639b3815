"""Councils at work: a server plays three models for a real task that is stuck, and what they say is tried."""

import json
from pathlib import Path
from typing import Any

import pytest

from bus.commands import request
from bus.messages import call, task
from bus.messages import council as said_of
from bus.messages.exec import ToolEnded
from cli.app import App
from tests.fake_http import Answer, Request
from tests.fake_openai import FakeOpenAI, said
from tests.test_models_at_work import submit, until, witan

MODELS = [{"id": each, "object": "model", "owned_by": "openai"} for each in ("gpt-4o", "gpt-4o-mini", "gpt-4.1")]
BROKEN, RIGHT = "def double(x):\n    return x + 3\n", "def double(x):\n    return x * 2\n"
TESTS = (
    "import unittest\nfrom calc import double\n\n\nclass Doubling(unittest.TestCase):\n"
    "    def test_two(self):\n        self.assertEqual(double(2), 4)\n\n"
    "    def test_five(self):\n        self.assertEqual(double(5), 10)\n"
)
STUCK: list[Answer] = [
    said(
        "I write it.",
        ("write", json.dumps({"path": "calc.py", "content": BROKEN})),
        ("write", json.dumps({"path": "test_calc.py", "content": TESTS})),
    ),
    said("I test it.", ("test", json.dumps({"command": "python3 -m unittest -v"}))),
    said("I do not know.", ("ask_for_help", json.dumps({"question": "why do my tests fail?"}))),
]
DONE = said("It works.", ("finish", json.dumps({"summary": "doubled"})))


def proposal(new: str) -> str:
    change = {"path": "calc.py", "old": "", "new": new}
    return json.dumps({"explanation": "the operator is wrong", "changes": [change], "confidence": 0.9})


SAID = {
    "gpt-4o": proposal(BROKEN.replace("3", "4")),
    "gpt-4o-mini": proposal(RIGHT),
    "gpt-4.1": "I give you 10 points.",
}


class Stuck(FakeOpenAI):
    """The coder is stuck until a council has helped; of three models one knows how."""

    def usual(self, request: Request) -> Answer:
        if request.method != "POST":
            usual: Answer = super().usual(request)
            return usual
        body = request.json
        if "response_format" in body:
            return said(SAID[body["model"]], model=body["model"])
        if "council's solution" in request.body.decode():
            return DONE
        before = int(sum(each["role"] == "assistant" for each in body["messages"]))
        return STUCK[min(before, len(STUCK) - 1)]


def convene(app: App, id: str, **more: Any) -> str:
    body = json.dumps({"task_id": id, **more}).encode()
    answer = app.bridge.run(request(app.connection, "council", "convene", body, f"convene-{id}", 20), timeout_s=30)
    return str(answer["council"])


def of(events: list[Any], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_a_task_that_is_stuck_is_helped_by_the_one_model_that_knows_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Stuck(models=MODELS) as server, witan(tmp_path, server, monkeypatch) as app:
        id = submit(app, "double numbers")
        until(app, task.PersonAsked)
        names = [f"openai/{each['id']}" for each in MODELS]
        council = convene(app, id, members=names, strategy="test_winner")
        events = until(app, said_of.OutcomeRecorded)
    (end,), (outcome,) = of(events, said_of.CouncilEnded), of(events, said_of.OutcomeRecorded)
    assert (end.outcome, end.by) == ("answered", "openai/gpt-4o-mini"), end
    assert "model_error" in end.reason and council == f"{id}-c1-h1"
    tests = {each.candidate: each.tests for each in end.scores}
    assert tests[end.winner] == 1.0 and sorted(tests.values()) == [0.0, 1.0]
    assert of(events, ToolEnded) and [each.ok for each in of(events, ToolEnded) if each.call == "0-1"] == [True]
    assert outcome.outcome == "success" and of(events, task.TaskCompleted)
    asked = of(events, said_of.OpinionAsked)
    assert len({each.member for each in asked}) == len(asked) == 3


def test_a_council_that_was_sitting_in_a_restart_comes_to_its_one_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Stuck(models=MODELS) as server:
        with witan(tmp_path, server, monkeypatch) as app:
            id = submit(app, "double numbers")
            until(app, task.PersonAsked)
            server.say(*[Answer(before=("hang",))] * 3)
            convene(app, id)
            until(app, call.CallStarted, count=6)
            assert server.hanging.wait(20)
        with witan(tmp_path, server, monkeypatch) as app:
            events = until(app, said_of.CouncilEnded)
            assert app.bridge.run(app.log.read("evt.council.*"), timeout_s=20)
    (end,) = of(events, said_of.CouncilEnded)
    asked = [each.member for each in of(events, said_of.OpinionAsked)]
    assert end.outcome == "no_answer" and "lost" in end.reason
    assert len(asked) == len(set(asked)) == len(of(events, said_of.OpinionMissing))
