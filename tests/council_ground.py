"""A council on its own desk: what it is told, what it says, and the short ways to say it in a test."""

from collections.abc import Sequence
from typing import Any

import msgspec

from actors.agent.team import Team
from actors.council.decide import Council
from actors.council.problem import Change, Problem, Proposal, Source
from actors.council.rules import Rules
from actors.decider import Answer, Done, Effect
from bus.messages import call, task
from bus.messages import council as said
from bus.messages.base import TestResults
from bus.messages.trial import CandidateTried, ProblemGathered
from tests.given import NOW, Play

T1, COUNCIL = "evt.task.t1", "t1-c1"
ENTITY, TRIAL = f"evt.council.{COUNCIL}", f"evt.trial.{COUNCIL}"
LIMIT_S = 30.0
SUBMITTED = task.TaskSubmitted(
    task="add a clock", workflow="build", phases=["code", "test"], repo="/srv/one", checklist=["it ticks"]
)
CODING = [
    task.PhaseRequested(phase="code", role="coder"),
    task.PhaseAssigned(phase="code", agent="coder-1", run="t1-1", epoch=1),
]
FAILED = task.PhaseFailed(phase="code", agent="coder-1", run="t1-1", reason="NameError: tick", failure="unknown")
ASKED = task.CouncilAsked(phase="code", failure="unknown", reason="three times", council=COUNCIL)
QUESTION = task.PersonAsked(phase="code", failure="unknown", question="what now?")
RED, GREEN = TestResults(passed=1, failed=2), TestResults(passed=3)


class NoClock:
    """Whoever sets it looks at the effects."""

    async def open(self, tell: Any) -> None: ...

    def perform(self, effect: Effect) -> None: ...

    async def close(self) -> None: ...


def blamed(workflow: str, phase: str) -> str:
    return {"test": "code"}.get(phase, phase)


TEAM = Team(roles={}, territories={"coder-1": ["src/**"], "tester-1": ["tests/**"]})
CONVENE = said.Convene(task_id="t1", council=COUNCIL)
BY_HAND = said.Convene(task_id="t1")


def new_council(rules: Rules | None = None) -> Council:
    return Council(TEAM, blamed, rules or Rules(limit_s=LIMIT_S), NoClock())


def play(rules: Rules | None = None, *, asked: Sequence[Any] = (ASKED,)) -> Play:
    """A task that waits for its council, or for whatever else the last events say."""
    told = Play(lambda: new_council(rules))
    return told.given(T1, SUBMITTED, task.PipelineStarted(), *CODING, FAILED, *asked)


def model(name: str, micro: int = 0, **more: Any) -> dict[str, Any]:
    provider, _, rest = name.partition("/")
    told = {"local": provider == "ollama", "rests": False, "input_micro": micro, "output_micro": micro}
    return {"model": name, "family": rest, "context_max_tokens": 200_000, "output_max_tokens": 8000, **told, **more}


FOUR = [model(f"p/{name}", 100_000) for name in ("ant", "bee", "cat", "dog")]


def proposal(text: str = "tick = 1\n", confidence: float = 0.5) -> Proposal:
    return Proposal([Change("src/clock.py", text)], f"because {text}", confidence)


def gather(told: Play, fingerprint: str = "same", id: str = COUNCIL, tests: str = "pytest -q", **more: Any) -> Play:
    problem = Problem("exception", "add a clock", "code", "unknown", "NameError", files=[Source("src/clock.py", "")])
    content = msgspec.json.encode(problem)
    digest = told.given_blob(content)
    gathered = ProblemGathered(digest, len(content), fingerprint, "exception", tests, **more)
    return told.hears(gathered, f"evt.trial.{id}")


def offer(told: Play, models: Sequence[dict[str, Any]] = FOUR) -> Play:
    return told.hears(Answer("list_models", {"ok": True, "models": list(models)}))


def sitting(rules: Rules | None = None, models: Sequence[dict[str, Any]] = FOUR, **more: Any) -> Play:
    """A council whose members have been asked."""
    return offer(gather(play(rules).hears(CONVENE), **more), models)


def reply(told: Play, member: str, said_text: str | Proposal = "", id: str = COUNCIL, **more: Any) -> Play:
    """What the treasurer says that somebody said."""
    text = msgspec.json.encode(said_text).decode() if isinstance(said_text, Proposal) else said_text
    return told.hears(call.ModelReplied(turn=1, mind="m", text=text, **more), f"evt.call.council.{id}-{member}")


def fail(told: Play, member: str, failure: str = "model_error", id: str = COUNCIL) -> Play:
    failed = call.ModelFailed(turn=1, mind="m", failure=failure, reason="it said no")
    return told.hears(failed, f"evt.call.council.{id}-{member}")


def verdicts(order: Sequence[str], scores: dict[str, float]) -> str:
    told = [
        {"label": label, "reason": f"I like {scores[each]:g}", "score": scores[each]}
        for label, each in zip("ABCDEF", order, strict=False)
    ]
    return msgspec.json.encode({"verdicts": told}).decode()


def tried(told: Play, candidate: str, tests: TestResults | None = GREEN, id: str = COUNCIL, **more: Any) -> Play:
    fields: dict[str, Any] = {"applies": True, "syntax": True, "likeness": candidate, "lines": 1, **more}
    return told.hears(CandidateTried(candidate=candidate, tests=tests, **fields), f"evt.trial.{id}")


def time_over(told: Play, id: str = COUNCIL) -> Play:
    told.now_s = NOW + LIMIT_S
    return told.hears(Done(f"time/{id}", None))


def end_of(told: Play) -> said.CouncilEnded:
    (end,) = told.events(said.CouncilEnded)
    assert isinstance(end, said.CouncilEnded)
    return end


def members(told: Play) -> list[str]:
    return [asked.member for asked in told.events(said.OpinionAsked)]


def sent(told: Play) -> list[str]:
    assert told.outcome is not None
    return [sending.command for sending in told.outcome.sendings]


def all_tried(told: Play, *tests: Any) -> Play:
    """Three members propose different things, and this is what the trials say."""
    for number, results in enumerate(tests, 1):
        reply(told, f"m{number}", proposal(f"tick = {number}\n"))
        tried(told, f"m{number}", results)
    return told


def effects(told: Play) -> list[Effect]:
    assert told.outcome is not None
    return told.outcome.effects
