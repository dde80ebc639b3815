"""The council as the settings want it."""

from collections.abc import Callable
from functools import partial

from actors.agent.mind import Script
from actors.agent.team import Team
from actors.council.clock import Clock
from actors.council.decide import Council
from actors.council.judging import Weights
from actors.council.rules import Rules
from actors.orchestrator.workflow import Workflow
from cli.config import Settings


def rules_of(settings: Settings, script: Script) -> Rules:
    """With a script there is no council, but what waited for one from before is answered."""
    return Rules(
        enabled=settings.council_enabled and script.is_models,
        models=settings.council_models,
        judge=settings.council_judge,
        limit_s=settings.council_timeout_ms / 1000,
        size=settings.council_size,
        strategy=settings.council_strategy,
        weights=Weights(**settings.council_weights),
    )


def new_council(rules: Rules, team: Team, workflows: dict[str, Workflow], now_s: Callable[[], float]) -> Council:
    """It runs whether it is enabled or not: a council costs nothing that nobody convenes."""
    return Council(team, partial(_blamed, workflows), rules, Clock(now_s))


def _blamed(workflows: dict[str, Workflow], name: str, phase: str) -> str:
    """The phase that is done once more when this one fails for its sake; empty: none."""
    phases = workflows[name].phases if name in workflows else []
    return next((each.on_failure for each in phases if each.name == phase), "")
