"""A call whose cap is reached goes to a free model that can take it, and waits for money where none can or may."""

from typing import Any

import pytest

from actors.treasurer.asking import Asking
from bus.messages import step
from bus.messages.budget import BudgetExhausted, BudgetWarned, FundsReserved, SetCaps, TopUp
from bus.messages.call import CallParked, CallStarted
from bus.messages.provider import BreakerOpened
from bus.messages.timers import CallsDue
from tests.buying_ground import LOCAL, PAID, Desk
from tests.given import NOW

HEALTH = "evt.provider.ollama.qwen3-coder_3a30b"


def poor(*models: Any, **about: Any) -> Desk:
    desk = Desk(*models, **about)
    desk.hears(SetCaps(daily_usd=0.0001))
    return desk


def again(desk: Desk, turn: int, again: int) -> None:
    desk.hears(step.ModelRequested(turn=turn, again=again), "evt.step.c.t-1")
    desk.key = f"evt.call.c.t-1/{turn}/{again}"


def test_a_call_that_a_free_model_failed_is_asked_of_it_again_when_there_is_no_money() -> None:
    desk = poor(LOCAL, PAID)
    assert desk.asks().provider == "ollama"
    desk.fails("model_error")
    assert desk.asks(1, 1).prompt.model == LOCAL.name
    (started,) = desk.events(CallStarted)
    assert "openai/gpt-4o there is no money: it can cost $" in started.reason
    assert desk.events(FundsReserved, BudgetExhausted, CallParked) == []


def test_with_money_the_other_one_is_asked() -> None:
    desk = Desk(LOCAL, PAID)
    desk.asks()
    desk.fails("model_error")
    assert desk.asks(1, 1).provider == "openai"


def test_a_free_model_that_rests_is_waited_for_no_longer_than_it_rests() -> None:
    desk = poor(LOCAL, PAID)
    desk.given(HEALTH, BreakerOpened("ollama", LOCAL.name, 4, NOW + 30, "down"))
    desk.crash()
    again(desk, 1, 0)
    (parked,) = desk.events(CallParked)
    assert (parked.why, parked.scope, parked.until_s) == ("budget", "day", NOW + 30)
    desk.now_s += 31
    desk.hears(CallsDue())
    assert [each.provider for each in desk.done() if isinstance(each, Asking)] == ["ollama"]


def test_one_that_failed_three_times_for_a_reply_is_not_asked_a_fourth_time_and_money_is_waited_for() -> None:
    desk = poor(LOCAL, PAID)
    for number in range(3):
        assert desk.asks(1, number).provider == "ollama"
        desk.fails("model_error")
    again(desk, 1, 3)
    (parked,) = desk.events(CallParked)
    assert (parked.why, parked.scope) == ("budget", "day") and desk.done() == []
    desk.hears(SetCaps(daily_usd=2.0))
    assert [each.provider for each in desk.done() if isinstance(each, Asking)] == ["openai"]


def test_what_a_rule_wants_to_be_paid_waits_for_money_though_a_free_model_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scored: Any = type("Score", (), {"total": 9.5})
    monkeypatch.setattr("actors.treasurer.thinking.complexity", lambda *_, **__: scored)
    desk = poor(LOCAL, PAID)
    again(desk, 1, 0)
    assert [event.why for event in desk.events(CallParked)] == ["budget"] and desk.done() == []


def test_a_call_that_has_had_no_room_twice_waits_for_money_for_a_model_with_more() -> None:
    desk = poor(LOCAL, PAID)
    for number in range(2):
        assert desk.asks(1, number).provider == "ollama"
        desk.fails("context")
    again(desk, 1, 2)
    assert [event.why for event in desk.events(CallParked)] == ["budget"]
    desk.hears(TopUp(task_id="t", usd=1.0))
    assert desk.done() == [], "the cap of the day still holds"


def test_who_waits_for_those_that_rest_is_not_told_so_every_second() -> None:
    """A model that cannot take the call does not rest, and is no reason to look again at once."""
    tiny = LOCAL._replace(name="tiny", context_max_tokens=100)
    desk = Desk(LOCAL, tiny)
    desk.given(HEALTH, BreakerOpened("ollama", LOCAL.name, 4, NOW + 30, "down"))
    desk.crash()
    again(desk, 1, 0)
    assert [event.until_s for event in desk.events(CallParked)] == [NOW + 30]


def test_under_a_new_cap_80_percent_are_warned_of_again() -> None:
    desk = Desk(PAID)
    desk.hears(SetCaps(daily_usd=0.12))
    for turn, warned in ((1, 1), (2, 0)):
        desk.asks(turn)
        assert len([each for each in desk.events(BudgetWarned) if each.scope == "day"]) == warned
        desk.says("So.")
    desk.hears(SetCaps(daily_usd=0.1))
    desk.asks(3)
    assert [each.scope for each in desk.events(BudgetWarned)] == ["day"]
