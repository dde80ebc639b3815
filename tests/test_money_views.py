"""The tables of money and models say what the treasurer's own fold says, at every place of the log."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.treasurer.budget import WARN_PERCENT, Budget, evolve
from bus.messages import budget as money
from bus.messages import call as said
from bus.messages import provider, run
from bus.messages.call import Usage
from bus.messages.kinds import read_commit
from projections import store as kept
from projections.statements import VIEWS, making
from projections.store import Store
from tests.projected_histories import START, rows
from tests.projected_money import TODAY, Till

MONEY = ("budget", "calls", "mix", "providers", "spend")
NOW_S = START.timestamp()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "live.duckdb")
    yield store
    store.close()


@pytest.fixture
def till() -> Till:
    till = Till()
    till.caps(2_000_000)
    return till


def seen(store: Store, till: Till, view: str, **params: Any) -> list[dict[str, Any]]:
    store.take(till.history.records)
    return rows(store, view, **params)


def one(store: Store, till: Till, view: str, **params: Any) -> dict[str, Any]:
    (row,) = seen(store, till, view, **params)
    return row


def test_what_is_reserved_and_what_is_spent_count_against_day_month_and_task(store: Store, till: Till) -> None:
    first = till.begin("a", micro=300_000)
    till.end(first, 123_457)
    till.begin("a", "tester", micro=200_000)
    for scope, window, cap in (("day", TODAY, 2.0), ("month", TODAY[:7], 20.0), ("task", "a", 0.5)):
        row = one(store, till, "budget", scope=scope)
        assert (row["window"], row["spent_usd"], row["reserved_usd"], row["cap_usd"]) == (window, 0.123457, 0.2, cap)
    assert one(store, till, "budget", scope="day")["percent"] == 16.2
    assert one(store, till, "budget", scope="council")["spent_usd"] == 0


def test_at_80_percent_a_cap_is_warned_and_a_call_that_does_not_fit_exhausts_it(store: Store, till: Till) -> None:
    till.begin("a", micro=400_000)
    assert WARN_PERCENT == 80
    assert one(store, till, "budget", scope="task")["state"] == "warned"
    assert one(store, till, "budget", scope="day")["state"] == "ok"
    till.park("a", "tester", scope="task")
    row = one(store, till, "budget", scope="task")
    assert (row["state"], row["left_usd"]) == ("exhausted", 0.1)
    till.money(money.TaskToppedUp("a", 10_000_000), flow="a")
    row = one(store, till, "budget", scope="task")
    assert (row["state"], row["cap_usd"], row["percent"]) == ("ok", 10.5, 3.8)


def test_a_task_that_never_had_money_is_shown_all_the_same(store: Store, till: Till) -> None:
    till.park("b", scope="task")
    row = one(store, till, "budget", scope="task")
    assert (row["window"], row["spent_usd"], row["state"]) == ("b", 0, "exhausted")


def test_the_rate_is_that_of_the_last_hour_and_says_how_long_the_rest_lasts(store: Store, till: Till) -> None:
    till.end(till.begin("a", micro=300_000), 250_000)
    row = one(store, till, "budget", scope="day")
    assert (row["usd_per_hour"], row["hours_to_exhaustion"]) == (0.25, 7)
    for _ in range(3700):
        till.history.raw("evt.task.odd", b"{}")
    till.begin("a", micro=1)
    row = one(store, till, "budget", scope="day")
    assert (row["usd_per_hour"], row["hours_to_exhaustion"], row["spent_usd"]) == (0, None, 0.25)


def test_a_call_is_told_from_its_reservation_to_its_end(store: Store, till: Till) -> None:
    started = till.begin("a", micro=300_000)
    row = one(store, till, "calls")
    assert (row["outcome"], row["reserved_usd"], row["cost_usd"]) == ("under way", 0.3, None)
    till.end(started, 12_345, usage=Usage(100, 20, 300, 50), ms=800.5)
    row = one(store, till, "calls")
    assert (row["task"], row["run"], row["agent"], row["role"]) == ("a", "a-coder", "coder-1", "coder")
    assert (row["phase"], row["turn"], row["again"]) == ("implement", 1, 0)
    assert (row["provider"], row["model"], row["side"]) == ("anthropic", "claude-sonnet-5", "paid")
    assert row["reason"] == "anthropic/claude-sonnet-5: because"
    assert (row["outcome"], row["failure"], row["cost_usd"], row["ms"]) == ("replied", None, 0.012345, 800.5)
    assert [row[name] for name in ("input", "output", "cache_read", "cache_write")] == [100, 20, 300, 50]
    assert (row["prices"], row["stop"], row["charged_in_full"]) == ("prices 1", "end", False)


def test_a_call_whose_cost_nobody_knows_is_charged_in_full(store: Store, till: Till) -> None:
    till.end(till.begin("a", micro=300_000), failure="timeout", unknown=True)
    row = one(store, till, "calls")
    assert (row["outcome"], row["failure"], row["error"]) == ("failed", "timeout", "it says timeout")
    assert (row["cost_usd"], row["charged_in_full"]) == (0.3, True)
    assert one(store, till, "budget", scope="day")["spent_usd"] == 0.3


def test_a_parked_call_says_for_what_until_it_goes_on_or_its_run_ends(store: Store, till: Till) -> None:
    till.park("a", scope="day", until_s=NOW_S + 86_400)
    row = one(store, till, "calls", parked="budget")
    assert (row["outcome"], row["parked_scope"], row["provider"], row["cost_usd"]) == ("parked", "day", None, None)
    assert (row["parked_until"] - row["parked_until"].min).days >= 0
    till.call("a", "coder", said.CallStarted(1, "ollama", "qwen3:8b", "local first", ""))
    row = one(store, till, "calls")
    assert (row["outcome"], row["side"], row["parked"], row["waits"]) == ("under way", "local", "budget", 1)
    till.call("free", "coder", said.CallStarted(1, "openrouter", "free", "it costs nothing", "", local=False))
    assert one(store, till, "calls", task="free")["side"] == "paid", "it is not one's own, whatever it costs"
    till.park("b", scope="day", until_s=float("1e300"))
    till.history.commit("evt.run.coder-1.b-coder", run.RunStopped("cancelled"), flow="b")
    row = one(store, till, "calls", task="b")
    assert (row["outcome"], row["parked_until"]) == ("given up", None)


def test_spend_is_cut_every_way_and_knows_what_came_from_a_cache(store: Store, till: Till) -> None:
    till.end(till.begin("a", micro=300_000), 100_000, usage=Usage(100, 20, 300, 0), ms=100)
    till.end(till.begin("b", "tester", micro=300_000), 50_000, usage=Usage(100, 10), ms=300)
    till.end(till.begin("b", "tester"), 0, usage=Usage(50, 5), ms=7)
    told = {(row["what"], row["name"]): row for row in seen(store, till, "spend")}
    assert {name for what, name in told if what == "model"} == {"anthropic/claude-sonnet-5", "ollama/qwen3:8b"}
    assert (told["day", TODAY]["usd"], told["month", TODAY[:7]]["calls"]) == (0.15, 3)
    assert (told["task", "b"]["usd"], told["role", "coder"]["usd"]) == (0.05, 0.1)
    row = told["provider", "anthropic"]
    assert (row["input"], row["output"], row["cache_read"], row["cache_share"]) == (200, 30, 300, 0.6)
    assert row["ms_p50"] == 200
    assert (told["provider", "ollama"]["usd"], told["provider", "ollama"]["cache_share"]) == (0, 0)


def test_a_scripted_call_costs_nothing_and_is_no_part_of_the_mix(store: Store, till: Till) -> None:
    till.call("a", "coder", said.ModelReplied(1, "script:demo", "a thought"))
    row = one(store, till, "calls")
    assert (row["provider"], row["model"], row["side"], row["cost_usd"], row["ms"]) == (
        "script",
        None,
        "script",
        0,
        None,
    )
    assert seen(store, till, "mix") == []


def test_the_health_of_a_model_is_its_calls_and_its_rests(store: Store, till: Till) -> None:
    for ms in (100, 200, 300):
        till.end(till.begin("a", micro=9), 1, ms=ms)
    till.end(till.begin("a", micro=9), 1, failure="model_error")
    name = ("anthropic", "claude-sonnet-5")
    row = one(store, till, "providers")
    assert (row["provider"], row["model"], row["calls"], row["rate"]) == (*name, 4, 0.75)
    assert (row["ms_p50"], row["ms_p95"], row["last_failure"]) == (200, 290, "model_error")
    assert (row["breaker"], row["rests_until"]) == ("closed", None)
    till.rest(*name, provider.BreakerOpened(*name, 4, 4e9, "it fails"))
    row = one(store, till, "providers")
    assert (row["breaker"], row["rests_until"].year) == ("open", 2096)
    till.rest(*name, provider.BreakerClosed(*name))
    row = one(store, till, "providers")
    assert (row["breaker"], row["rests_until"]) == ("closed", None)
    till.rest("openai", "gpt-6", provider.RateLimited("openai", "gpt-6", 4e9))
    row = one(store, till, "providers", provider="openai")
    assert (row["calls"], row["rate"], row["breaker"], row["rests_until"].year) == (0, None, "closed", 2096)


def test_the_mix_stands_beside_its_goals(store: Store, till: Till) -> None:
    for _ in range(5):
        till.end(till.begin("a"))
    till.end(till.begin("a", "cto", micro=9), 1)
    everything, coder, cto = seen(store, till, "mix")
    assert (everything["local"], everything["paid"], everything["local_share"]) == (5, 1, 0.8333)
    assert (everything["workers_to_architect"], everything["workers_to_architect_goal"]) == (5, 5)
    assert (coder["local_share"], cto["paid_share"], cto["local_share_goal"]) == (1, 1, 0.8)


def as_folded(budget: Budget) -> dict[tuple[str, str], tuple[int, int]]:
    """What is taken and what the cap is, by scope and window."""
    caps = budget.caps
    told = {("day", name): (micro, caps.day) for name, micro in budget.days.items()}
    told |= {("month", name): (micro, caps.month) for name, micro in budget.months.items()}
    told |= {("council", name): (micro, caps.council) for name, micro in budget.council.items()}
    return told | {
        ("task", name): (micro, caps.task + budget.extra.get(name, 0)) for name, micro in budget.tasks.items()
    }


@given(st.integers(0, 10**9))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_budget_is_what_the_treasurer_remembers_at_every_place(store: Store, seed: int) -> None:
    store.clear()
    till = Till(seed).grow(30)
    store.take(till.history.records)
    budget = Budget()
    for record in till.history.records:
        if not record.subject.startswith("evt.budget."):
            continue
        for event in read_commit(record).events:
            budget = evolve(budget, event)
        found = {(row["scope"], row["window"]): row for row in rows(store, "budget", record.seq, limit=1000)}
        held = sum(row["reserved_micro"] for row in found.values() if row["scope"] == "task")
        for cut, (taken, cap) in as_folded(budget).items():
            row = found.pop(cut)
            assert (row["spent_micro"] + row["reserved_micro"], row["cap_micro"]) == (taken, cap), cut
        assert all(row["spent_micro"] + row["reserved_micro"] == 0 for row in found.values())
        assert held == sum(each.micro for each in budget.open.values())


@given(st.integers(0, 10**9))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_cut_of_spend_is_all_that_was_settled(store: Store, seed: int) -> None:
    store.clear()
    till = Till(seed).grow(80)
    store.take(till.history.records)
    cuts: dict[str, int] = {}
    for row in rows(store, "spend", limit=1000):
        cuts[row["what"]] = cuts.get(row["what"], 0) + row["micro"]
    total = sum(till.settled.values())
    assert all(micro == total for micro in cuts.values()) and (len(cuts) == 6 or not total)
    assert sum(row["spent_micro"] for row in rows(store, "budget", scope="task", limit=1000)) == total


def places_that_differ(live: Store, whole: Store, till: Till, dice: random.Random) -> Iterator[int]:
    """Feed in random pieces, fold at random moments, and compare with the whole log as of the same place."""
    whole.take(till.history.records)
    whole.fold()
    reached = 0
    while reached < len(till.history.records):
        reached = min(len(till.history.records), reached + dice.choice((1, 4, 9, 14)))
        live.take(till.history.records[:reached])
        if dice.random() < 0.4:
            live.fold()
        if live.fingerprint(names=MONEY) != whole.fingerprint(reached, MONEY):
            yield reached


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_live_is_rebuilt_and_the_past_is_what_it_was(store: Store, tmp_path: Path, seed: int) -> None:
    whole = Store(tmp_path / "whole.duckdb")
    assert list(places_that_differ(store, whole, Till(seed).grow(60), random.Random(seed))) == []
    whole.close()


def test_a_view_that_looks_beyond_its_place_is_found(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = VIEWS["budget"]
    planted = honest.made.replace("FROM events\n    WHERE kind = 'budget'", "FROM facts\n    WHERE kind = 'budget'")
    assert planted != honest.made
    monkeypatch.setattr(kept, "making", lambda: making().replace(honest.made, planted))
    whole = Store(tmp_path / "whole.duckdb")
    assert next(places_that_differ(store, whole, Till(5).grow(60), random.Random(1)))
    whole.close()


@pytest.mark.parametrize("view", MONEY)
def test_hostile_events_leave_the_tables_of_money_readable(store: Store, till: Till, view: str) -> None:
    odd = [
        b'{"type":"FundsReserved","micro":"many","reservation":7}',
        b'{"type":"FundsReserved","micro":99999999999999999999,"reservation":"x","at_day":[]}',
        b'{"type":"CapsRevised","day":"x","task":{}}',
        b'{"type":"BudgetExhausted","scope":3,"wanted":"x"}',
    ]
    calls = [
        b'{"type":"CallParked","turn":1,"until_s":1e999}',
        b'{"type":"ModelReplied","turn":2,"usage":[],"micro":-1}',
        b'{"type":"CallStarted","turn":3,"reservation":"x"}',
    ]
    rests = [b'{"type":"BreakerOpened","until_s":"x"}', b'{"type":"RateLimited","until_s":-1e300}']
    for subject, events in (("evt.budget.main", odd), ("evt.call.a.b", calls), ("evt.provider.x.y", rests)):
        for event in events:
            body = b'{"id":"x","at":"2026-11-20T12:00:00Z","by":"x","v":1,"events":[' + event + b"]}"
            till.history.raw(subject, body)
    till.begin("a", micro=5)
    assert seen(store, till, view) or view == "mix"


def test_every_view_of_money_says_what_it_is_for() -> None:
    for name in MONEY:
        assert VIEWS[name].about.endswith(".") and VIEWS[name].filters
