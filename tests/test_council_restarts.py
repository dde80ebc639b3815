"""What a council does in a freeze, after a thaw and after a start, as sentences about events."""

import pytest

from actors.decider import Effect, Hold
from bus.messages import council as said
from bus.messages import guardian
from bus.messages.trial import CandidateTried
from tests.council_ground import (
    CONVENE,
    COUNCIL,
    GREEN,
    LIMIT_S,
    TRIAL,
    effects,
    end_of,
    fail,
    gather,
    offer,
    play,
    proposal,
    reply,
    sent,
    sitting,
    time_over,
    tried,
)
from tests.given import NOW

GUARDIAN = "evt.guardian.main"
FREEZE, THAW = guardian.FreezeOrdered(order="f1", actors=["council"]), guardian.ThawOrdered(order="f2")


def test_a_freeze_holds_what_it_would_begin_and_the_time_counts_on() -> None:
    told = sitting().hears(FREEZE, GUARDIAN)
    assert sent(told) == ["acknowledge_freeze"]
    with pytest.raises(Hold):
        reply(told, "m1", proposal())
    with pytest.raises(Hold):
        play().given(GUARDIAN, FREEZE).hears(CONVENE)
    assert end_of(time_over(told)).outcome == "too_late"


def test_after_a_thaw_it_goes_on() -> None:
    told = gather(play().hears(CONVENE)).hears(FREEZE, GUARDIAN)
    with pytest.raises(Hold):
        offer(told)
    told.begin()
    assert sent(told) == ["join_watch", "acknowledge_freeze"]
    assert sent(told.hears(THAW, GUARDIAN)) == ["list_models"]
    assert offer(told).events(said.MembersChosen)


def test_a_start_sets_the_clock_again_and_goes_on_where_it_was() -> None:
    told = gather(play().hears(CONVENE)).begin()
    assert sent(told) == ["join_watch", "list_models"]
    assert effects(told) == [Effect(f"time/{COUNCIL}", NOW + LIMIT_S)]
    offer(told).begin()
    assert told.events() == [] and sent(told) == ["join_watch"]
    for member in ("m1", "m2", "m3"):
        fail(told, member)
    assert end_of(told).outcome == "no_answer"
    assert told.begin().events() == [] and effects(told) == []


def test_a_start_decides_on_what_was_tried_meanwhile() -> None:
    told = sitting()
    for member in ("m1", "m2"):
        fail(told, member)
    reply(told, "m3", proposal())
    told.given(TRIAL, CandidateTried(candidate="m3", applies=True, tests=GREEN))
    assert end_of(told.begin()).winner == "m3"


def test_a_start_after_its_time_begins_nothing_and_lets_the_clock_end_it() -> None:
    told = gather(play().hears(CONVENE))
    told.now_s = NOW + LIMIT_S + 1
    assert sent(told.begin()) == ["join_watch"] and told.events() == []
    assert effects(told) == [Effect(f"time/{COUNCIL}", NOW + LIMIT_S)]
    assert end_of(time_over(told)).outcome == "too_late"


def test_what_was_tried_in_a_freeze_counts_after_it() -> None:
    told = reply(sitting(), "m1", proposal())
    fail(told, "m2")
    fail(told, "m3")
    told.hears(FREEZE, GUARDIAN)
    assert tried(told, "m1").events() == []
    assert end_of(told.hears(THAW, GUARDIAN)).winner == "m1"
