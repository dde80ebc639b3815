"""`witan route ID|TEXT`: how hard a task is, who should have it, which model would take it, and why."""

import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from actors.orchestrator.checklist import steps_of
from actors.orchestrator.routing import Facts, Routed, complexity, route, work_type_of
from actors.orchestrator.rules import read_rules
from actors.treasurer import choosing
from actors.treasurer.asking import Standing
from actors.treasurer.presets import read_presets
from bus.errors import Missing
from cli.config import Settings
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, formatted, print_json, print_one, print_rows
from cli.reading import Views
from cli.shelf import Shelf, read_shelf, shelves

CHARACTERS_PER_TOKEN = 4
STEPS_MAX = 10_000
Models = tuple[list[choosing.Candidate], list[Standing]]
LIMIT_S = 3.0


def _models_here(settings: Settings) -> Models:
    """Everything that the providers say they have, with its price; whether one rests now only the treasurer knows."""
    from actors.treasurer.prices import read_prices
    from actors.treasurer.providers.all import providers
    from cli.survey import survey

    found = survey(providers(os.environ), LIMIT_S, with_models=True)
    prices = read_prices(folder / "prices.toml" for folder in shelves(settings))
    candidates = []
    for each in found:
        for model in each.models:
            price = None if model.local else prices.per_million(model.provider, model.name)
            candidates.append(choosing.Candidate(model, each.standing, choosing.Price(*price) if price else None))
    return candidates, [each.standing for each in found]


models_here: Callable[[Settings], Models] | None = _models_here
"""Asks the providers what they have; None: nobody may be asked."""


class Task(NamedTuple):
    """What is known about the task. `role` is the one that its phase, or the person, requires."""

    text: str
    id: str | None = None
    phase: str = ""
    role: str = ""
    priority: int = 0
    failures: int = 0
    steps: int = 0
    failed_turns: int = 0
    loops: int = 0


@click.command("route")
@click.argument("what", metavar="ID|TEXT", type=TASK)
@click.option("--explain", is_flag=True, help="Show the score part by part.")
@click.option("--role", metavar="NAME", help="Require this role; a task's phase requires its own.")
@click.option("--type", "work_type", metavar="TYPE", help="The type of work; else the role or the text says it.")
@click.option("--priority", type=click.IntRange(0, 9), help="As if it had this priority.")
@click.option("--failures", type=click.IntRange(0, 1000), help="As if it had failed so often.")
@placed
@formatted
def verb(what: str, explain: bool, work_type: str | None, settings: Settings, form: Form, **as_if: Any) -> None:
    """Say which role task ID, or a task of this TEXT, is for, and which model would take its next call.

    A TEXT has more than one word; `-` reads it from stdin. The rules are `routing.toml` and `models.toml`, Witan's own
    with those of the project's witan/ and of .witan/ laid over them.

    witan route "Refactor multi-file architecture" --explain
    """
    shelf = read_shelf(settings)
    task = _task(settings, shelf, what)._replace(**{name: value for name, value in as_if.items() if value is not None})
    rules = read_rules(*shelves(settings))
    kind = work_type or work_type_of(task.text, task.role, rules.work_types)
    score = complexity(
        task.text,
        rules.weights,
        required_role=task.role,
        work_type=kind,
        priority=task.priority,
        failures=task.failures,
        steps=task.steps,
    )
    roles = [role for role in shelf.roles if settings.agents.get(role)]
    routed = route(Facts(task.role, kind, task.failures), score, roles, rules)
    _tell(task, kind, routed, _model(settings, shelf, task, (kind, routed)), (form, explain))


def _task(settings: Settings, shelf: Shelf, what: str) -> Task:
    """A task of the log, or one that has not been submitted."""
    if not what.strip():
        raise click.UsageError("Say a task's id, or what is to be done in more than one word.")
    if what == "-" or len(what.split()) > 1:
        text = sys.stdin.read() if what == "-" else what
        if not text.strip():
            raise click.UsageError("There is no text on stdin.")
        return Task(text, steps=len(steps_of(text)))
    id = task_of(settings, what)
    views = Views(settings)
    row = next(iter(views.ask("tasks", {"id": id}).dicts), None)
    if row is None:
        raise Missing(f"task {id} is on the log, but not yet in the tables", "Ask again in a moment.")
    runs = views.ask("runs", {"task": id, "limit": STEPS_MAX}).dicts
    steps = views.ask("steps", {"run": runs[-1]["run"], "limit": STEPS_MAX}).dicts if runs else []
    return Task(
        text=row["text"],
        id=id,
        phase=row["phase"] or "",
        role=_role_of(shelf, row["workflow"], row["phase"]),
        priority=row["priority"],
        failures=sum(run["outcome"] == "failed" for run in runs),
        steps=int((row["checklist"] or "0/0").split("/")[1]),
        failed_turns=len({step["turn"] for step in steps if step["ok"] is False}),
        loops=sum(step["loop"] for step in steps),
    )


def _role_of(shelf: Shelf, workflow: str, phase: str | None) -> str:
    """The role of the phase where the task is; empty when it is in none, or nobody knows its workflow any more."""
    phases = shelf.workflows[workflow].what.phases if workflow in shelf.workflows else []
    return next((each.role for each in phases if each.name == phase), "")


def _model(settings: Settings, shelf: Shelf, task: Task, decided: tuple[str, Routed]) -> dict[str, object]:
    """Which model would take the next call; nothing is made up about providers that were not asked."""
    presets = read_presets(*shelves(settings))
    if settings.script:
        return {"model": None, "model_reason": f"no model is asked: the script {settings.script} thinks"}
    if models_here is None:
        return {"model": None, "model_reason": "unknown: the providers have not been asked what they have"}
    kind, routed = decided
    role = shelf.roles[routed.role].what if routed.role else None
    prompt = role.prompt if role else ""
    facts = choosing.Facts(
        role=routed.role,
        phase=task.phase,
        work_type=kind,
        complexity=routed.score.total,
        priority=task.priority,
        failed_turns=task.failed_turns,
        loops=task.loops,
        prompt_tokens=(len(prompt) + len(task.text)) // CHARACTERS_PER_TOKEN,
        pin=role.model if role else "",
    )
    candidates, standings = models_here(settings)
    match choosing.choose(candidates, facts, presets, standings):
        case choosing.Chosen() as chosen:
            told = {"effort": chosen.effort, "output_max_tokens": chosen.output_max_tokens}
            return {"model": f"{chosen.provider}/{chosen.model}", "model_reason": chosen.reason, **told}
        case choosing.Unable() as unable:
            return {"model": None, "model_reason": unable.reason, "what_next": unable.what_next}


def _tell(task: Task, kind: str, routed: Routed, model: dict[str, object], how: tuple[Form, bool]) -> None:
    form, explain = how
    parts = [part._asdict() for part in routed.score.parts]
    facts = {"task": task.id, "role": routed.role or None, "reason": routed.reason, "confidence": routed.confidence}
    told = {**facts, "complexity": routed.score.total, "work_type": kind or None, **model}
    match form:
        case Form.JSON:
            asked = task._asdict()
            asked["required_role"] = asked.pop("role") or None
            del asked["id"]
            print_json({**told, "parts": parts, "facts": asked})
        case Form.CSV:
            print_rows(["name", "points", "why"], [list(part.values()) for part in parts], form)
        case Form.TABLE:
            print_one({name: value for name, value in told.items() if value is not None or name == "model"}, form)
            if explain:
                rows = [list(part.values()) for part in parts]
                print_rows(["part", "points", "why"], [*rows, ["complexity", routed.score.total, ""]], form)
