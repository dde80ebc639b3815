"""A conversation that has no room in a model: every provider says so in its own way, and one thing is done about it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.recovery import TRIES_MAX
from actors.treasurer.asking import Asking, ProviderFailed
from actors.treasurer.providers.anthropic_faults import fault
from actors.treasurer.providers.anthropic_stream import Telling
from actors.treasurer.providers.program_lines import ClaudeLines, CodexLines
from bus.messages import call, exec, step, task
from bus.messages.base import Excerpt, ToolCall
from bus.messages.call import ModelFailed, TranscriptCondensed, Usage
from bus.messages.provider import BreakerOpened
from tests.buying_ground import LOCAL, PAID, ROOMY, STEP, Desk
from tests.fake_openai import refused
from tests.test_models_at_work import MODEL, Worker, submit, until, witan

LONG = "They said a lot about everything. " * 600


def talked(desk: Desk, rounds: int = 8) -> Desk:
    """A conversation of so many long rounds."""
    for turn in range(1, rounds + 1):
        desk.asks(turn)
        desk.says(LONG, ToolCall("read", {"path": "a"}))
        desk.given(STEP, step.ToolRequested(f"{turn}-1", "read", {"path": "a"}))
        desk.given("evt.exec.c.t-1", exec.ToolEnded(f"{turn}-1", True, Excerpt(LONG), 1))
        desk.given(STEP, step.StepEnded(f"{turn}-1", True))
    return desk


def size(asking: Asking) -> int:
    return len(repr(asking.prompt.turns))


def told(desk: Desk) -> tuple[str, str]:
    (failed,) = desk.events(ModelFailed)
    return failed.failure, failed.model


def test_what_has_no_room_is_condensed_further_and_asked_again_and_after_that_somebody_with_more_room_is() -> None:
    desk = talked(Desk(LOCAL, ROOMY), 3)
    sizes, models = [], []
    for again in range(TRIES_MAX + 1):
        asking = desk.asks(4, again)
        sizes.append(size(asking))
        models.append(asking.prompt.model)
        desk.says(stop="context", usage=Usage())
        assert told(desk) == ("context", asking.prompt.model)
        if again == 1:
            desk.crash()
    assert sizes[1] < sizes[0] and sizes[3] < sizes[2]
    assert models[:2] == [LOCAL.name] * 2 and models[2] == ROOMY.name


def test_what_was_condensed_stays_so_and_is_the_same_after_a_crash() -> None:
    desk = talked(Desk(PAID), 8)
    desk.asks(9)
    desk.fails("context", "prompt is too long: 208310 tokens > 200000 maximum")
    again = desk.asks(9, 1)
    assert desk.events(TranscriptCondensed)
    assert again.prompt.cached_turns == 0 and len(again.prompt.turns) < 17
    desk.says("It fits.")
    desk.crash()
    then = desk.asks(10)
    assert then.prompt.turns[: len(again.prompt.turns)] == again.prompt.turns


def test_no_room_is_not_a_fault_of_the_model_that_opens_its_breaker() -> None:
    desk = Desk(PAID)
    for again in range(6):
        desk.asks(1, again)
        desk.fails("context")
        assert not desk.events(BreakerOpened)


def test_what_it_cost_until_then_is_paid() -> None:
    desk = Desk(PAID)
    desk.asks()
    (failed,) = desk.says("So", stop="context", usage=Usage(100_000, 10)).events(call.ModelFailed)
    assert failed.micro > 0


def test_claude_says_so_before_and_in_the_middle() -> None:
    too_long = "prompt is too long: 208310 tokens > 200000 maximum"
    both = "input length and `max_tokens` exceed context limit: 197202 + 21333 > 200000, decrease input length"
    for words in (too_long, both):
        assert fault(400, "invalid_request_error", words)[::3] == ("context", "nothing")
    assert fault(413, "request_too_large", "Request exceeds the maximum size").failure == "context"
    assert fault(400, "invalid_request_error", "messages.1: roles must alternate").failure == "model_error"
    telling = Telling(100)
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"model": "c", "usage": {"input_tokens": 5}}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "model_context_window_exceeded"},
            "usage": {"output_tokens": 7},
        },
        {"type": "message_stop"},
    ]
    for event in events:
        telling.hear(json.dumps(event).encode())
    assert (telling.reply().stop, telling.reply().usage) == ("context", Usage(5, 7))


def failure_of(hear: Callable[[], Any]) -> str:
    with pytest.raises(ProviderFailed) as failed:
        hear()
    return failed.value.failure


def test_the_programs_say_so_too() -> None:
    line = {"type": "result", "subtype": "success", "is_error": True, "result": "Prompt is too long"}
    assert failure_of(lambda: ClaudeLines().hear(json.dumps(line).encode(), 0)) == "context"
    line["api_error_status"] = 400
    assert failure_of(lambda: ClaudeLines().hear(json.dumps(line).encode(), 0)) == "context"
    words = "Codex ran out of room in the model's context window. Start a new thread."
    codex = {"type": "turn.failed", "error": {"message": words}}
    assert failure_of(lambda: CodexLines("m").hear(json.dumps(codex).encode(), 0)) == "context"


def test_a_run_goes_on_when_openai_has_no_room_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens."
    with Worker(models=[MODEL]) as server, witan(tmp_path, server, monkeypatch) as app:
        server.say(refused(400, words, "context_length_exceeded"))
        submit(app)
        events = until(app, task.TaskCompleted, task.PersonAsked)
    assert [event.failure for event in events if isinstance(event, ModelFailed)] == ["context"]
    assert any(isinstance(event, task.TaskCompleted) for event in events)
