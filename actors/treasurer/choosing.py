"""Choosing a model for one call: a local one first, a paid one when a rule says so, and always with the reason."""

from collections.abc import Sequence
from typing import NamedTuple

from actors.treasurer.asking import Model, Standing
from actors.treasurer.patterns import could_be, in_one_line, matches, meant, newest, place_of
from actors.treasurer.presets import Effort, Preset, Presets

TOLD_MAX = 5
FREE_TRIES_MAX = 3
"""A free model that failed so often to give a reply is not asked for it once more because there is no money."""
TOOLS = "`ollama pull qwen3-coder` brings a local model with tools."
ROOM = "Give the local model more context, or use a model that has more."
PRICE = "Upgrade `genai-prices`, or use a model whose price it knows."
NOBODY = "nobody can be asked here (why: `witan auth status`)"
INSTALL = (
    "Install Ollama and pull a model with tools (`ollama pull qwen3-coder`), or export ANTHROPIC_API_KEY, "
    "OPENAI_API_KEY, DEEPSEEK_API_KEY or GEMINI_API_KEY, or put `claude` or `codex` on PATH; "
    "`witan demo` needs none of them."
)


class Price(NamedTuple):
    """Millionths of a dollar for a million tokens."""

    input_micro: int
    output_micro: int


class Candidate(NamedTuple):
    """A model, how its provider stands, its price if it is known, and whether it has to be left alone for now."""

    model: Model
    standing: Standing
    price: Price | None = None
    rests: bool = False

    @property
    def name(self) -> str:
        return f"{self.model.provider}/{self.model.name}"


class Tried(NamedTuple):
    """A model, as `provider/model`, that was asked for this very reply and failed."""

    model: str
    failure: str


class Mix(NamedTuple):
    """The last hundred calls."""

    local: int = 0
    paid: int = 0


class Facts(NamedTuple):
    """What is known about the call. `pin` are globs of `provider/model`, one of which the model must match."""

    role: str
    phase: str = ""
    work_type: str = ""
    complexity: float = 1.0
    priority: int = 0
    turn: int = 1
    failed_turns: int = 0
    loops: int = 0
    tried: tuple[Tried, ...] = ()
    avoid: tuple[str, ...] = ()
    """Models that failed in the run that this one is to make good."""
    tools: bool = True
    prompt_tokens: int = 0
    mix: Mix = Mix()
    pin: str = ""


class Chosen(NamedTuple):
    provider: str
    model: str
    effort: Effort
    output_max_tokens: int
    reason: str


class Unable(NamedTuple):
    """Nothing can take the call. `rests`: something could, once it may be asked again."""

    reason: str
    what_next: str
    rests: bool = False


class _Bar(NamedTuple):
    """Why a model cannot take the call, and what would help."""

    why: str
    what_next: str = ""


def choose(
    candidates: Sequence[Candidate], facts: Facts, presets: Presets, standings: Sequence[Standing] = ()
) -> Chosen | Unable:
    """The model for the call. `standings` are of providers whose models nobody knows, because they cannot be used."""
    name = presets.work_types.get(facts.work_type, presets.preset)
    preset = presets.presets[name]
    barred = [(each, _bar(each, facts, preset, presets.never)) for each in sorted(candidates, key=_identity)]
    fits = [each for each, bar in barred if bar is None]
    ready = [each for each in fits if not each.rests]
    if not fits:
        return _unable([(each, bar) for each, bar in barred if bar], facts, standings)
    if not ready:
        names = ", ".join(each.name for each in fits)
        return Unable(
            in_one_line(f"all that can take this call rest: {names}"), "Wait; they are asked again.", rests=True
        )
    paid_because, steered = _paid_because(facts, presets)
    best = min(ready, key=lambda each: _rank(each, facts, preset, bool(paid_because)))
    why = _why(best, facts, paid_because, any(each.model.local for each in ready))
    told = f"{best.name}: {why}; preset {name}{f' for {facts.work_type}' if facts.work_type else ''}{steered}"
    return Chosen(
        best.model.provider, best.model.name, preset.effort, _room(best.model, facts, preset), in_one_line(told)
    )


def without_money(candidates: Sequence[Candidate], facts: Facts, presets: Presets) -> Chosen | Unable | None:
    """Who takes the call when whoever was chosen cannot be paid: a free one. None: it has to be a paid one.

    Where a rule says so, or where the free ones have had no room for it twice, money is waited for.
    """
    cramped = sum(tried.failure == "context" for tried in facts.tried)
    if cramped > 1 or _paid_because(facts, presets)[0]:
        return None
    tries = [tried.model for tried in facts.tried]
    free = [each for each in candidates if each.model.local and tries.count(each.name) < FREE_TRIES_MAX]
    found = choose(free, facts, presets)
    return None if isinstance(found, Unable) and not found.rests else found


def _identity(candidate: Candidate) -> tuple[object, ...]:
    """An order that does not depend on who listed what first."""
    return (candidate.name, candidate.model, candidate.price or (-1, -1), candidate.rests, candidate.standing)


def _bar(candidate: Candidate, facts: Facts, preset: Preset, never: Sequence[str]) -> _Bar | None:
    """What keeps the model from taking the call, beside that it rests."""
    model = candidate.model
    if not meant(facts.pin, candidate.name):
        return _Bar(f"is not {facts.pin}")
    if any(matches(glob, candidate.name) for glob in never):
        return _Bar("is never asked")
    if not candidate.standing.usable:
        return _Bar(candidate.standing.why, candidate.standing.what_next)
    if facts.tools and not model.tools:
        return _Bar("has no tools", TOOLS)
    if _room(model, facts, preset) < max(1, min(preset.output_min_tokens, model.output_max_tokens)):
        return _Bar(f"has no room for a prompt of {facts.prompt_tokens} tokens and a reply", ROOM)
    if not model.local and candidate.price is None:
        return _Bar("has no known price", PRICE)
    return None


def _room(model: Model, facts: Facts, preset: Preset) -> int:
    return min(preset.output_max_tokens, model.output_max_tokens, model.context_max_tokens - facts.prompt_tokens)


def _paid_because(facts: Facts, presets: Presets) -> tuple[str, str]:
    """Why the call is one for a paid model, empty when it is not; and how the goal has moved that."""
    rule, goal, mix = presets.paid, presets.goal, facts.mix
    calls = mix.local + mix.paid
    over, steered = rule.complexity_over, ""
    if calls >= goal.calls_min and mix.paid * 100 > goal.paid_percent * calls:
        over += 1
        steered = (
            f"; {mix.paid} of the last {calls} calls were paid and the goal is {goal.paid_percent:g} %, "
            f"so a paid model is for a complexity over {over:g}, not {rule.complexity_over:g}"
        )
    if facts.failed_turns >= rule.failed_turns:
        return f"{facts.failed_turns} turns have failed", steered
    if facts.loops >= rule.loops:
        return "the run goes round in circles", steered
    if facts.complexity > over:
        return f"the complexity of {facts.complexity:g} is over {over:g}", steered
    if facts.priority >= rule.priority:
        return f"priority {facts.priority} is urgent", steered
    return "", steered


def _rank(candidate: Candidate, facts: Facts, preset: Preset, paid: bool) -> tuple[object, ...]:
    """The smallest is chosen: least tried, then of the right side, then preferred and cheap, then the newest."""
    model, name = candidate.model, candidate.name
    tries = sum(tried.model == name for tried in facts.tried)
    # Where there was no room, the same model is asked for less at first, and then one that has more.
    cramped = sum(tried.failure == "context" for tried in facts.tried)
    tries -= cramped > 0 and Tried(name, "context") in facts.tried
    wider = -model.context_max_tokens if cramped > 1 else 0
    tries += 100 * (name in facts.avoid)
    place, cost = place_of(name, preset.prefer), _cost(candidate, facts, preset)
    taste = (place, cost) if model.local or paid or facts.pin else (place == len(preset.prefer), cost)
    return (tries, wider, model.local == paid, taste, newest(model.name), name)


def _cost(candidate: Candidate, facts: Facts, preset: Preset) -> int:
    """The most that the call can cost, but for a factor of a million that is the same for all."""
    price = candidate.price
    if candidate.model.local or price is None:
        return 0
    return facts.prompt_tokens * price.input_micro + _room(candidate.model, facts, preset) * price.output_micro


def _why(best: Candidate, facts: Facts, paid_because: str, local_there: bool) -> str:
    """In one sentence, why this one."""
    if facts.pin:
        why = f"pinned by {facts.pin}"
    elif paid_because:
        why = f"local though {paid_because}, because no paid model can" if best.model.local else paid_because
    elif best.model.local:
        why = "local first"
    else:
        why = "the next in order" if local_there else "no local model can"
    if facts.avoid:
        alone = " and there is no other" if best.name in facts.avoid else ""
        why = f"{', '.join(facts.avoid)} failed in the run before{alone}; {why}"
    if not facts.tried:
        return why
    last = facts.tried[-1]
    again = " once more" if any(tried.model == best.name for tried in facts.tried) else ""
    return f"after {last.model} failed ({last.failure}){again}, {why}"


def _unable(barred: Sequence[tuple[Candidate, _Bar]], facts: Facts, standings: Sequence[Standing]) -> Unable:
    """What is in the way of each, and what to type."""
    near = [(each, bar) for each, bar in barred if each.standing.usable and meant(facts.pin, each.name)]
    down = {each.provider: each for each in [*standings, *(each.standing for each, _ in barred)] if not each.usable}
    listed = {each.model.provider for each, _ in barred}
    empty = {each.provider: each for each in standings if each.usable and each.provider not in listed}
    absent = [each for _, each in sorted({**empty, **down}.items()) if could_be(facts.pin, each.provider)]
    pinned = f"it is pinned by {facts.pin}, and " if facts.pin else ""
    if len(absent) > TOLD_MAX and not near and not facts.pin:
        return Unable(f"no model can take this call: {NOBODY}", INSTALL)
    told = [
        *(f"{each.name} {bar.why}" for each, bar in near),
        *(f"{each.provider}: {'it has no model' if each.usable else each.why}" for each in absent),
    ]
    more = f" and {len(told) - TOLD_MAX} more" if len(told) > TOLD_MAX else ""
    reason = f"{pinned}no model can take this call: {'; '.join(told[:TOLD_MAX]) or 'there is none'}{more}"
    hints = dict.fromkeys([*(bar.what_next for _, bar in near), *(each.what_next for each in absent)])
    ways = [hint for hint in hints if hint][:TOLD_MAX] or [INSTALL]
    return Unable(in_one_line(reason), ", or ".join([*(way.rstrip(".") for way in ways[:-1]), ways[-1]]))
