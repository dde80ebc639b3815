"""The mix of free and paid calls: seen as it is, also after a restart, and steered toward its goal."""

import json
from typing import Any

import pytest

from actors.treasurer.mixing import RECENT
from actors.treasurer.presets import read_presets
from actors.treasurer.providers.program_lines import ClaudeLines
from bus.messages.base import ToolCall
from bus.messages.call import CallStarted, ModelReplied
from tests.buying_ground import LOCAL, OTHER, OWN, PAID, Desk

GOAL = read_presets(OWN).goal


def begun(desk: Desk, local: int, paid: int) -> Desk:
    """Calls of other runs, some time ago."""
    for number in range(local + paid):
        subject, is_local = f"evt.call.x.r-{number}", number % (local + paid) < local
        desk.given(subject, CallStarted(1, "p", "m", "why", f"x/r-{number}/1/0", local=is_local))
        desk.given(subject, ModelReplied(1, "p/m"))
    desk.crash()
    return desk


@pytest.fixture
def hard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's complexity is just over what a paid model is for."""
    over = read_presets(OWN).paid.complexity_over + 0.5
    scored: Any = type("Score", (), {"total": over})
    monkeypatch.setattr("actors.treasurer.thinking.complexity", lambda *_, **__: scored)


def test_a_call_says_whether_it_is_local() -> None:
    for model, local in ((LOCAL, True), (PAID, False)):
        desk = Desk(model)
        desk.asks()
        assert [event.local for event in desk.events(CallStarted)] == [local]


def test_over_the_goal_a_hard_call_stays_local_and_under_it_it_is_paid(hard: None) -> None:
    many = Desk(LOCAL, PAID)
    begun(many, local=70, paid=30)
    assert many.asks().provider == "ollama"
    assert "the goal is 20 %" in many.events(CallStarted)[0].reason
    few = Desk(LOCAL, PAID)
    begun(few, local=85, paid=15)
    assert few.asks().provider == "openai"


def test_the_mix_of_a_long_load_comes_to_its_goal(hard: None) -> None:
    """Every call is just hard enough to be paid for: a fifth of them are."""
    desk, sides = Desk(LOCAL, PAID), []
    for turn in range(1, 2 * RECENT + 1):
        sides.append(desk.asks(turn).provider)
        desk.says("So.")
    last = sides[-RECENT:]
    assert abs(last.count("openai") - GOAL.paid_percent) <= 2


def test_after_a_restart_the_mix_is_exactly_what_it_was() -> None:
    desk = Desk(LOCAL, PAID)
    begun(desk, local=RECENT + 20, paid=30)
    desk.asks()
    buyer = desk.decider.thinking.buyer  # type: ignore[attr-defined]
    assert len(buyer.recent) == RECENT and sum(buyer.recent) == 30
    before = list(buyer.recent)
    desk.says("So.")
    desk.crash()
    desk.asks(2)
    again = desk.decider.thinking.buyer  # type: ignore[attr-defined]
    assert again.recent == [*before, False][-RECENT:]


def claude_says(cost_usd: float) -> ModelReplied:
    """What becomes of a reply of the `claude` program that tells this cost."""
    line = {"type": "result", "subtype": "success", "result": "So.", "total_cost_usd": cost_usd}
    lines = ClaudeLines()
    lines.hear(json.dumps({**line, "usage": {"input_tokens": 10, "output_tokens": 5}}).encode(), 0)
    heard = lines.heard()
    assert heard is not None and heard.micro is not None
    desk = Desk(OTHER)
    desk.asks()
    desk.says("So.", ToolCall("read", {"path": "a"}), micro=heard.micro)
    replied: ModelReplied = desk.events(ModelReplied)[0]
    desk.settles()
    assert [event.micro for event in desk.events() if type(event).__name__ == "FundsSettled"] == [replied.micro]
    return replied


def test_what_the_claude_program_says_that_it_cost_is_its_cost() -> None:
    replied = claude_says(0.0123)
    assert (replied.micro, replied.prices) == (12_300, "anthropic says 12300")


def test_but_no_more_than_was_reserved_and_that_is_said() -> None:
    replied = claude_says(900.0)
    assert replied.micro < 5_000_000 and replied.prices == "anthropic says 900000000, bounded by what was reserved"
