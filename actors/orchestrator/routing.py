"""Routing: how hard a task is, from 1 to 10, and which role should have it, each with its reason."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from actors.orchestrator.checklist import steps_of
from bus.subjects import Token

SCORE_MIN, SCORE_MAX = 1.0, 10.0
Points = Annotated[float, Meta(ge=0, le=10)]
Share = Annotated[float, Meta(ge=0, le=1)]
Word = Annotated[str, Meta(min_length=1, max_length=100)]
_SAID_STEP = re.compile(r"\bstep \d+:", re.IGNORECASE)


class Keywords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Each of these words that begins a word of the text counts so much, once."""

    points: Points
    words: list[Word]


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What counts how much."""

    start: Points
    step: Points
    priority: Points
    usual_priority: Annotated[int, Meta(ge=0, le=9)]
    """A lower one counts like this one: 0 is what is said when nothing is said."""
    failure: Points
    required_roles: dict[Token, Points]
    work_types: dict[Token, Points]
    keywords: dict[Token, Keywords]


class WorkType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A type of work is known by the role that has it, or else by how the task's text begins."""

    roles: list[Token]
    begins: list[Word]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When all that it names is so, the first of its roles that there is has the task; `any`: else whoever there is."""

    confidence: Share
    roles: list[Token] = []
    complexity_over: float | None = None
    failures_over: int | None = None
    required: bool = False
    work_type: str = ""
    any: bool = False


class Goal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many calls of the others for each call of an architect; looked at from `calls_min` calls on."""

    architects: list[Token]
    workers_per_architect: Annotated[float, Meta(gt=0)]
    calls_min: Annotated[int, Meta(ge=1)]


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `routing.toml`. The first rule that fits and has somebody decides."""

    weights: Weights
    work_types: dict[Token, WorkType]
    goal: Goal
    stand_in: Share
    """What is left of the confidence when the role that a rule asked for does not exist here."""
    rules: list[Rule]


class Part(NamedTuple):
    name: str
    points: float
    why: str


class Score(NamedTuple):
    """The total is the sum of the parts."""

    total: float
    parts: tuple[Part, ...]


class Facts(NamedTuple):
    """What the rules ask about a task. The two numbers are calls among the last hundred."""

    required_role: str = ""
    work_type: str = ""
    failures: int = 0
    worker_calls: int = 0
    architect_calls: int = 0


class Routed(NamedTuple):
    """`role` is empty when there is nobody at all."""

    role: str
    reason: str
    confidence: float
    score: Score


def complexity(
    text: str,
    weights: Weights,
    *,
    required_role: str = "",
    work_type: str = "",
    priority: int = 0,
    failures: int = 0,
    steps: int = 0,
) -> Score:
    """How hard the task is. `steps` are those that its submission names beside the text."""
    steps = max(steps, len(steps_of(text)), len(_SAID_STEP.findall(text)))
    counted = max(priority, weights.usual_priority)
    usual = f"; {priority} counts as the usual {counted}" if counted > priority else ""
    parts = [
        Part("start", weights.start, "every task begins with this"),
        Part("steps", steps * weights.step, f"{_many(steps, 'step')} at {weights.step:g} each"),
        *_keyword_parts(text, weights.keywords),
        Part(
            "required role",
            weights.required_roles.get(required_role, 0),
            f"it requires the {required_role}" if required_role else "it requires no role",
        ),
        Part("work type", weights.work_types.get(work_type, 0), work_type or "not known"),
        Part("priority", counted * weights.priority, f"priority {counted} at {weights.priority:g} each{usual}"),
        Part(
            "failures", failures * weights.failure, f"{_many(failures, 'earlier failure')} at {weights.failure:g} each"
        ),
    ]
    return _summed(parts)


def _keyword_parts(text: str, groups: Mapping[str, Keywords]) -> Iterable[Part]:
    lowered = text.lower()
    for name, group in groups.items():
        words = dict.fromkeys(word.lower() for word in group.words)
        found = [word for word in words if re.search(rf"(?<![^\W_]){re.escape(word)}", lowered)]
        why = f"{', '.join(found)}: {len(found)} at {group.points:g} each" if found else "none of its words"
        yield Part(f"keywords: {name}", len(found) * group.points, why)


def _summed(parts: list[Part]) -> Score:
    parts = [Part(name, round(float(points), 2), why) for name, points, why in parts]
    whole = round(sum(part.points for part in parts), 2)
    total = min(max(whole, SCORE_MIN), SCORE_MAX)
    if total != whole:
        limit = "more than 10" if whole > total else "less than 1"
        parts.append(Part("limit", round(total - whole, 2), f"no task counts {limit}"))
    return Score(total, tuple(parts))


def work_type_of(text: str, role: str, types: Mapping[str, WorkType]) -> str:
    """The type of the role's work, else the type that the text begins with; empty when neither says."""
    for name, kind in types.items():
        if role in kind.roles:
            return name
    words = " ".join(re.findall(r"[^\W_]+", text[:500].lower()))
    for name, kind in types.items():
        if any(f"{words} ".startswith(f"{begin.lower()} ") for begin in kind.begins):
            return name
    return ""


def route(facts: Facts, score: Score, roles: Collection[str], rules: Rules) -> Routed:
    """The role that should have the task, among those that there are."""
    missed: list[str] = []
    sure = 1.0
    for rule in rules.rules:
        because = _because(rule, facts, score, rules.goal)
        if because is None:
            continue
        sure = min(sure, rule.confidence)
        wanted = [facts.required_role] if rule.required else rule.roles
        there = [role for role in wanted if role in roles] or (sorted(roles) if rule.any else [])
        if there and not missed and there[0] == (wanted or there)[0]:
            return Routed(there[0], f"{because}, so it is for the {there[0]}", sure, score)
        if wanted and wanted[0] not in roles:
            because += f", which is for the {wanted[0]}, but there is none here"
        if there:
            reason = f"{'; '.join([*missed, because])}; the best there is: the {there[0]}"
            return Routed(there[0], reason, round(sure * rules.stand_in, 2), score)
        missed.append(because)
    return Routed("", "; ".join([*missed, "there is no role at all"]), 0.0, score)


def _because(rule: Rule, facts: Facts, score: Score, goal: Goal) -> str | None:
    """Why the rule applies, or None when it does not."""
    told = []
    if rule.complexity_over is not None:
        over, raised = _limit(rule, rule.complexity_over, facts, goal)
        if score.total <= over:
            return None
        told.append(f"its complexity of {score.total:g} is over {over:g}{raised}")
    if rule.failures_over is not None:
        if facts.failures <= rule.failures_over:
            return None
        told.append(f"it has failed {facts.failures} times")
    if rule.required:
        if not facts.required_role:
            return None
        told.append(f"it requires the role {facts.required_role}")
    if rule.work_type:
        if facts.work_type != rule.work_type:
            return None
        told.append(f"it is work of the type {rule.work_type}")
    return " and ".join(told) or "nothing about it asks for anybody else"


def _limit(rule: Rule, over: float, facts: Facts, goal: Goal) -> tuple[float, str]:
    """Architects who work more than their share get only what is harder by a point."""
    calls = facts.worker_calls + facts.architect_calls
    many = facts.architect_calls * goal.workers_per_architect > facts.worker_calls
    if calls < goal.calls_min or not many or not set(rule.roles) & set(goal.architects):
        return over, ""
    return over + 1, (
        f" (a point more than usual: {facts.architect_calls} of the last {calls} calls were an architect's, "
        f"and the goal is one for every {goal.workers_per_architect:g} of the others)"
    )


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
