"""In which order money is reserved, settled and told of, and who is asked when: as sentences about the treasurer."""

import pytest

from actors.treasurer.asking import Asking, SettleSoon
from actors.treasurer.decide import GUARDIAN
from bus.messages import budget, call, step
from bus.messages.base import Event
from bus.messages.guardian import FreezeOrdered, ThawOrdered
from tests.buying_ground import BUDGET, CALL, LOCAL, PAID, STEP, Desk


def subjects(desk: Desk) -> list[str]:
    return [subject for subject, _ in desk.told()]


def test_funds_are_reserved_before_the_call_begins_and_settled_soon_after_its_end_is_told() -> None:
    desk = Desk(PAID)
    desk.asks()
    assert subjects(desk) == [BUDGET, CALL]
    desk.says("hello")
    assert subjects(desk) == [CALL] and desk.done() == [SettleSoon()]
    desk.settles()
    assert subjects(desk) == [BUDGET] and len(desk.events(budget.FundsSettled)) == 1


def test_a_settlement_that_is_due_comes_before_the_next_reservation_and_is_not_made_twice() -> None:
    desk = Desk(PAID)
    desk.asks()
    desk.says("hello")
    desk.asks(turn=2)
    assert [type(event) for event in desk.events()] == [
        budget.FundsSettled, budget.FundsReserved, call.CallStarted
    ]  # fmt: skip
    desk.settles()
    assert desk.events() == []


def test_one_settlement_is_awaited_however_many_replies_come_before_it() -> None:
    desk = Desk(PAID)
    for turn in (1, 2, 3):
        desk.asks(turn)
        desk.says("hello")
        assert desk.done() == ([SettleSoon()] if turn == 1 else [])
    desk.settles()
    assert len(desk.events(budget.FundsSettled)) == 1
    desk.asks(4)
    desk.says("hello")
    assert desk.done() == [SettleSoon()]


def test_what_failed_is_settled_at_once() -> None:
    desk = Desk(PAID)
    desk.asks()
    desk.fails("timeout")
    assert subjects(desk)[:2] == [CALL, BUDGET]


@pytest.mark.parametrize(
    ("end", "micro"),
    [
        (call.ModelReplied(turn=1, mind="m", text="hello", calls=[], micro=7), 7),
        (call.ModelFailed(turn=1, mind="m", failure="model_error", reason="", provider="p", model="m", micro=5), 5),
        (call.ModelFailed(turn=1, mind="m", failure="timeout", reason="", provider="p", model="m"), None),
    ],
)
def test_who_crashes_between_end_and_settlement_pays_what_the_end_says_or_all(end: Event, micro: int | None) -> None:
    desk = Desk(PAID)
    desk.asks()
    (reserved,) = desk.events(budget.FundsReserved)
    desk.given(CALL, end)
    desk.begin()
    (settled,) = desk.events(budget.FundsSettled)
    assert (settled.micro, settled.unknown) == ((reserved.micro, True) if micro is None else (micro, False))
    desk.hears(step.ModelRequested(turn=1), STEP, again=True)
    assert desk.events(call.ModelFailed) == desk.events(budget.FundsReserved) == []


def test_after_a_crash_a_call_that_had_begun_is_charged_in_full() -> None:
    desk = Desk(PAID)
    desk.asks()
    (reserved,) = desk.events(budget.FundsReserved)
    desk.begin()
    (settled,) = desk.events(budget.FundsSettled)
    assert settled.unknown and settled.micro == reserved.micro


def test_nobody_is_asked_while_frozen_though_it_is_found_out_just_then_who_is_there() -> None:
    desk = Desk(LOCAL)
    desk.crash()
    desk.begin()
    desk.hears(step.ModelRequested(turn=1), STEP)
    desk.hears(FreezeOrdered(order="f", actors=[]), GUARDIAN)
    desk.look()
    assert [each for each in desk.done() if isinstance(each, Asking)] == []
    desk.hears(ThawOrdered(order="f"), GUARDIAN)
    assert len([each for each in desk.done() if isinstance(each, Asking)]) == 1


def test_a_call_that_waits_for_money_says_so_once() -> None:
    desk = Desk(PAID)
    desk.given(BUDGET, budget.CapsRevised(day=1, month=1, task=1, council=0, by_hand=True))
    desk.crash()
    desk.hears(step.ModelRequested(turn=1), STEP)
    assert len(desk.events(call.CallParked)) == len(desk.events(budget.BudgetExhausted)) == 1
    desk.hears(budget.SetCaps(daily_usd=0.000002))
    assert desk.events(call.CallParked) == desk.events(budget.BudgetExhausted) == []
