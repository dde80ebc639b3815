"""Calls as a treasurer would buy them, written down by hand: reserved, started, ended, settled, or parked."""

import random
from typing import Any

from actors.treasurer.budget import SUBJECT, Budget, evolve
from actors.treasurer.health import subject_of
from bus.messages import budget as money
from bus.messages import call as said
from bus.messages import provider, run
from bus.messages.base import Event
from bus.messages.call import Usage
from tests.projected_histories import START, History

TODAY = START.date().isoformat()
TASKS, ROLES = ("a", "b", "c"), ("coder", "tester", "cto")
MODELS = (("anthropic", "claude-sonnet-5", False), ("ollama", "qwen3:8b", True), ("openai", "gpt-6", False))
FAILURES = ("rate_limit", "model_error", "timeout")


class Till:
    """A history of calls, and the budget as the treasurer's own fold sees it."""

    def __init__(self, seed: int = 0) -> None:
        self.history = History(seed)
        self.random = self.history.random
        self.budget = Budget()
        self.turns: dict[str, int] = {}
        self.under_way: list[tuple[str, str, said.CallStarted]] = []
        self.settled: dict[str, int] = {}

    def money(self, *events: Any, flow: str = "") -> None:
        """What the budget says."""
        for event in events:
            self.budget = evolve(self.budget, event)
        self.history.commit(SUBJECT, *events, flow=flow, by="treasurer")

    def caps(self, day: int, month: int = 20_000_000, task: int = 500_000, council: int = 1_000_000) -> None:
        self.money(money.CapsRevised(day=day, month=month, task=task, council=council))

    def call(self, task: str, role: str, *events: Event) -> None:
        """What is said of the run's calls."""
        self.history.commit(f"evt.call.{role}-1.{task}-{role}", *events, flow=task, by="treasurer")

    def begin(self, task: str, role: str = "coder", **wish: Any) -> said.CallStarted:
        """Reserve and start; a run is opened by its first call. Without `micro` the model is a local one."""
        micro, purpose, day = wish.get("micro", 0), wish.get("purpose", "run"), wish.get("day", TODAY)
        name, model = wish.get("model") or (("anthropic", "claude-sonnet-5") if micro else ("ollama", "qwen3:8b"))
        turn = self.turn(task, role)
        reservation = f"{role}-1/{task}-{role}/{turn}/0"
        if micro:
            reserved = money.FundsReserved(reservation, task, f"{name}/{model}", role, micro, day, purpose)
            self.money(reserved, flow=task)
        started = said.CallStarted(turn, name, model, f"{name}/{model}: because", reservation)
        self.call(task, role, started)
        self.under_way.append((task, role, started))
        return started

    def turn(self, task: str, role: str) -> int:
        """The number of the run's next turn."""
        if f"{task}-{role}" not in self.turns:
            opened = run.RunStarted(task, "implement", role, "model")
            self.history.commit(f"evt.run.{role}-1.{task}-{role}", opened, flow=task, by=f"{role}-1")
        turn = self.turns[f"{task}-{role}"] = self.turns.get(f"{task}-{role}", 0) + 1
        return turn

    def end(self, started: said.CallStarted, micro: int = 0, **told: Any) -> None:
        """It replied, or failed with `failure`; what it did not cost is given back."""
        place = next(place for place, each in enumerate(self.under_way) if each[2] is started)
        task, role, _ = self.under_way.pop(place)
        names: dict[str, Any] = {"provider": started.provider, "model": started.model, "micro": micro}
        if failure := told.get("failure"):
            self.call(task, role, said.ModelFailed(started.turn, "mind", failure, f"it says {failure}", **names))
        else:
            used, ms = told.get("usage", Usage(100, 20)), told.get("ms", 1500.0)
            prices = "prices 1" if started.provider != "ollama" else ""
            told_as = {**names, "usage": used, "ms": ms, "prices": prices, "stop": "end"}
            self.call(task, role, said.ModelReplied(started.turn, "mind", "a thought", **told_as))
        if started.reservation in self.budget.open:
            unknown = told.get("unknown", False)
            cost = self.budget.open[started.reservation].micro if unknown else micro
            self.settled[started.reservation] = cost
            self.money(money.FundsSettled(started.reservation, cost, unknown), flow=task)

    def park(
        self, task: str, role: str = "coder", why: str = "budget", scope: Any = "day", until_s: float = 2e9
    ) -> None:
        """The run's next turn has to wait."""
        turn = self.turn(task, role)
        if why == "budget":
            window = {"day": TODAY, "council": TODAY, "month": TODAY[:7]}.get(scope, task)
            self.money(money.BudgetExhausted(scope, window, wanted=900_000, left=100), flow=task)
        self.call(task, role, said.CallParked(turn, why, scope, until_s))

    def rest(self, name: str, model: str, *events: Event) -> None:
        self.history.commit(subject_of(name, model), *events, by="treasurer")

    def grow(self, steps: int) -> "Till":
        """Some random steps; not all of them would have been allowed, and the tables must not care."""
        for _ in range(steps):
            self._step(self.random)
        return self

    def _step(self, dice: random.Random) -> None:
        task, role, (name, model, local) = dice.choice(TASKS), dice.choice(ROLES), dice.choice(MODELS)
        day = dice.choice((TODAY, TODAY, "2026-11-19", "2026-10-31"))
        match dice.randrange(10):
            case 0:
                self.caps(dice.randrange(3_000_000), task=dice.randrange(900_000))
            case 1:
                self.money(money.TaskToppedUp(task, dice.randrange(10**6), "more"), flow=task)
            case 2:
                self.park(
                    task, role, *dice.choice((("budget", "task"), ("budget", "day"), ("provider", "openai/gpt-6")))
                )
            case 3:
                self.rest(name, model, provider.RateLimited(name, model, 1_795_176_000.0 + dice.randrange(200)))
            case 4:
                opened = provider.BreakerOpened(name, model, 4, 1_795_176_000.0 + dice.randrange(200), "it fails")
                self.rest(name, model, dice.choice((opened, provider.BreakerClosed(name, model))))
            case 5 | 6 if self.under_way:
                started = dice.choice(self.under_way)[2]
                held = self.budget.open.get(started.reservation)
                failed = {"failure": dice.choice(FAILURES)} if dice.random() < 0.3 else {"usage": Usage(7, 5, 3, 1)}
                cost = dice.randrange(held.micro + 1) if held else 0
                self.end(started, cost, unknown=dice.random() < 0.2, ms=dice.randrange(1, 9000) / 10, **failed)
            case 7:
                self._lost_before_it_began(task, role, day)
            case _:
                wish = {} if local else {"micro": dice.randrange(1, 10**6)}
                purpose = dice.choice(("run", "run", "council"))
                self.begin(task, role, model=(name, model), day=day, purpose=purpose, **wish)

    def _lost_before_it_began(self, task: str, role: str, day: str) -> None:
        """A crash between the reservation and the start: settled with nothing, and made again under the same name."""
        turn = self.turn(task, role)
        reserved = money.FundsReserved(f"{role}-1/{task}-{role}/{turn}/0", task, "openai/gpt-6", role, 5000, day)
        self.money(reserved, flow=task)
        self.money(money.FundsSettled(reserved.reservation, 0), flow=task)
        self.money(reserved, flow=task)
        started = said.CallStarted(turn, "openai", "gpt-6", "again", reserved.reservation)
        self.call(task, role, started)
        self.under_way.append((task, role, started))
