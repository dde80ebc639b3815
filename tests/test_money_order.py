"""In which order money is reserved, settled and told of, and who is asked when: as sentences about the treasurer."""

from actors.treasurer.asking import Asking
from actors.treasurer.decide import GUARDIAN
from bus.messages import budget, call, step
from bus.messages.guardian import FreezeOrdered, ThawOrdered
from tests.buying_ground import BUDGET, CALL, LOCAL, PAID, STEP, Desk


def subjects(desk: Desk) -> list[str]:
    return [subject for subject, _ in desk.told()]


def test_funds_are_reserved_before_the_call_begins_and_settled_before_its_end_is_told() -> None:
    desk = Desk(PAID)
    desk.asks()
    assert subjects(desk) == [BUDGET, CALL]
    desk.says("hello")
    assert subjects(desk) == [BUDGET, CALL]


def test_who_crashes_between_settlement_and_end_has_paid_for_a_call_that_is_lost() -> None:
    desk = Desk(PAID)
    desk.asks()
    key = desk.key.removeprefix("evt.call.").replace(".", "/", 1)
    desk.given(BUDGET, budget.FundsSettled(reservation=key, micro=7))
    desk.crash()
    assert desk.decider.thinking is not None  # type: ignore[attr-defined]
    desk.hears(step.ModelRequested(turn=1), STEP, again=True)
    assert [event.failure for event in desk.events(call.ModelFailed)] == ["lost"]
    assert desk.events(budget.FundsSettled) == []


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
