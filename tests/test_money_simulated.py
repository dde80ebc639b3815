"""Small histories of paid and free models with crashes between any two commits: no cap is broken at any place."""

import os
from pathlib import Path
from typing import Any

import actors
from actors.agent.mind import MODELS
from actors.decider import Decider, Effect
from actors.orchestrator.rules import read_rules
from actors.redaction import Redactor
from actors.treasurer.asking import Asking, Bought, Failed, Model, Prompt, Reply, SettleSoon, Standing, Survey, Surveyed
from actors.treasurer.budget import Caps
from actors.treasurer.buying import Buyer
from actors.treasurer.decide import Treasurer
from actors.treasurer.presets import read_presets
from actors.treasurer.prices import Prices
from actors.treasurer.thinking import SURVEY, Thinking
from bus.messages import budget, call
from bus.messages.call import Usage
from tests import checkers
from tests.conversation import TEAM, TURNS_MAX, World
from tests.conversation_checkers import everything_wrong
from tests.conversation_work import Minds
from tests.money_ground import charged, over_a_cap
from tests.test_bounds import bytes_of

SEEDS = min(int(os.environ.get("SEEDS", "40")), 3000)
OWN = Path(actors.__file__).parent
PRICES, PRESETS, WEIGHTS = Prices(), read_presets(OWN), read_rules(OWN).weights
MODELS_THERE = [
    Model("ollama", "qwen3-coder:30b", True, 32_768, 8192),
    Model("openai", "gpt-4o", False, 128_000, 16_384),
    Model("anthropic", "claude-haiku-4-5", False, 200_000, 64_000),
]
STANDINGS = [Standing(model.provider, True, "it is there") for model in MODELS_THERE]
CAPS = Caps(day=500_000, month=600_000, task=300_000, council=0)
ENOUGH_USD = 1000.0


class Sellers(Minds):
    """Models that are asked, fail, or die with the treasurer; what they began is on the bill."""

    def begin_anew(self) -> None:
        """Who can be asked is looked up at every start."""
        super().begin_anew()
        self.billed = getattr(self, "billed", 0)
        self.density = getattr(self, "density", 0.0) or self.world.random.choice((0.3, 0.6, 1.0))
        self.asked[SURVEY] = (self.world.now, Surveyed(MODELS_THERE, STANDINGS))

    def perform(self, effect: Effect) -> None:
        what = effect.what
        if isinstance(what, Survey):  # it costs nothing, and may be made while all is frozen
            self.asked[effect.key] = (self.world.now, Surveyed(MODELS_THERE, STANDINGS))
        elif isinstance(what, SettleSoon):
            self.asked[effect.key] = (self.world.now + self.world.random.choice((0, 0.02, 60)), what)
        else:
            super().perform(Effect(effect.key, self._asked(effect.key, what)))

    def _asked(self, key: str, asking: Asking) -> Bought:
        rng, prompt = self.world.random, asking.prompt
        most = bytes_of(prompt.turns) + len(prompt.system)
        usage = Usage(input=int(most * self.density), output=rng.choice((rng.randint(1, 8192), 8192)))
        usage = usage if usage.output <= prompt.output_max_tokens else Usage(usage.input, prompt.output_max_tokens)
        micro = 0 if asking.provider == "ollama" else PRICES.micro_of(asking.provider, prompt.model, usage)
        assert micro is not None
        dice = rng.random()
        if self.world.trouble and dice < 0.15:
            failure = rng.choice(("rate_limit", "model_error"))
            return Bought(Failed(failure, "no", 1, "nothing", None), 1)
        self.billed += micro
        if self.world.trouble and dice < 0.25:
            return Bought(Failed("timeout", "silent", 0, "unknown", None), 1)
        if self.world.trouble and dice < 0.35:
            return Bought(Failed("model_error", "broken off", 0, "usage", usage), 1)
        return Bought(self._reply(key, prompt, usage), 1)

    def _reply(self, key: str, prompt: Prompt, usage: Usage) -> Reply:
        subject, turn, _ = key.split("/")
        phase = f"p{subject.rsplit('.', 1)[1].partition('-')[0][1:]}"
        said = self.world.script.turn_of(phase, "", int(turn))
        calls = tuple(said.calls) if said else ()
        return Reply(said.text if said else "done", calls, "tools" if calls else "end", usage, prompt.model)


class Market(World):
    """A world whose treasurer buys."""

    def fresh(self, name: str) -> Decider:
        if name != "treasurer":
            return super().fresh(name)
        self.sellers = self.minds = Sellers(self)
        thinking = Thinking(Buyer(PRICES, PRESETS, Redactor({})), TEAM, WEIGHTS, Redactor({}))
        return Treasurer(MODELS, self.sellers, thinking, CAPS)

    def begin_task(self) -> None:
        super().begin_task()
        treasurer: Any = self.actors["treasurer"].decider
        treasurer.script = MODELS

    def relieve(self) -> None:
        """There is money enough now, and peace until nothing is left to do."""
        self.actors["treasurer"].mail.append(
            budget.SetCaps(daily_usd=ENOUGH_USD, monthly_usd=ENOUGH_USD, task_usd=ENOUGH_USD)
        )
        self.run(tasks=0, turns=0)


def test_no_history_breaks_a_cap_at_any_place_and_with_money_each_comes_to_its_end() -> None:
    crashes = parked = unknown = 0
    for seed in range(SEEDS):
        world = Market(seed, crashes=0.03)
        world.run()
        records = list(world.log.records)
        assert over_a_cap(records) == [], f"seed {seed}"
        spent, reserved = charged(records)
        assert world.sellers.billed <= spent + reserved <= CAPS.month, f"seed {seed}"
        world.relieve()
        records = world.log.records
        spent, reserved = charged(records)
        wrong = [*world.wrong, *over_a_cap(records), *everything_wrong(records, TURNS_MAX)]
        wrong += [f"{run} never ends" for run in world.staff.open]
        assert not wrong, f"seed {seed}: {wrong[:5]}"
        assert world.sellers.billed <= spent and reserved == 0, f"seed {seed}"
        crashes += world.crash_count
        for told in checkers.told(records):
            parked += isinstance(told.event, call.CallParked) and told.event.why == "budget"
            unknown += isinstance(told.event, budget.FundsSettled) and told.event.unknown
    print(f"{SEEDS} seeds, {crashes} crashes, {parked} calls that waited for money, {unknown} charged in full")
    assert crashes and parked and unknown
