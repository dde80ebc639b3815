"""What is done about a phase that failed: once more with a strategy, a fresh agent, a council, a person."""

from typing import NamedTuple

from actors.orchestrator.task import Task
from actors.orchestrator.trouble import COUNCIL_TIER
from actors.orchestrator.workflow import Phase
from actors.recovery import STRATEGIES, TRIES_MAX, Classified, classified, recovery_of, wait_s
from bus.messages import task as said
from bus.messages.council import CouncilEnded

RECOVERIES_MAX = 30
"""A task costs no more recoveries than this without a person's word."""
LOSSES_MAX = 3
"""An assignment that is lost so often in a row is a failure of its own."""
REASON_CHARS = 2000
ADVISED = (
    "Several models were asked and what they proposed was tried; the best of it, by {by}, is applied to your working "
    "tree already. Read what it changed, run the tests, mend what is still wrong, and finish."
)


class Council(NamedTuple):
    """Whether there is one, the name that the next would have, and how many tries of one kind come before it."""

    name: str = ""
    after_tries: int = TRIES_MAX


NO_COUNCIL = Council()


def phase_failed(
    task: Task, plan: Phase, found: Classified, reason: str, *, now_s: float, council: Council = NO_COUNCIL
) -> list[said.TaskEvent]:
    """The failure, the end of the recovery that it belongs to, and what comes next."""
    assert task.assignment is not None
    failed = said.PhaseFailed(
        phase=plan.name,
        agent=task.assignment.agent,
        run=task.assignment.run,
        reason=reason[:REASON_CHARS],
        attempt=task.attempt,
        failure=found.failure,
    )
    return [failed, *ended(task, plan.name, ok=False), *_next(task, plan, found, now_s, council)]


def ended(task: Task, phase: str = "", ok: bool = False) -> list[said.TaskEvent]:
    """The recoveries that are under way for a phase, or for all of them, are over."""
    return [
        said.RecoveryEnded(phase=each.phase, failure=each.failure, strategy=each.strategy, tier=each.tier, ok=ok)
        for each in task.trouble.under_way(phase)
    ]


def advised(task: Task, plan: Phase, ended: CouncilEnded) -> list[said.TaskEvent]:
    """A council has answered: the phase, or the one that it builds on, is done once more with its solution."""
    found = classified(ended.failure, ended.reason)
    started = said.RecoveryStarted(
        phase=plan.name,
        failure=found.failure,
        severity=found.severity,
        strategy="council",
        tier=COUNCIL_TIER,
        tries=1,
        hint=ADVISED.format(by=ended.by),
        error=found.error,
        solution=ended.solution,
        tests=ended.tests,
    )
    return [started, *_reopening(task, plan, found, COUNCIL_TIER)]


def _reopening(task: Task, plan: Phase, found: Classified, tier: int) -> list[said.TaskEvent]:
    """Where the work of an earlier phase is to blame, that is done once more."""
    strategy = STRATEGIES.get(found.failure)
    to_blame = strategy is not None and strategy.reopens_tier <= tier
    reopens = to_blame and any(plan.on_failure == each.phase for each in task.done)
    return [said.PhaseReopened(phase=plan.on_failure, because=f"{plan.name}: {found.failure}")] if reopens else []


def _next(task: Task, plan: Phase, found: Classified, now_s: float, council: Council) -> list[said.TaskEvent]:
    trouble = task.trouble
    tries = trouble.tries(plan.name, found.failure) + 1
    if found.failure == "help":
        return [said.PersonAsked(phase=plan.name, failure=found.failure, question=found.error[:REASON_CHARS])]
    if trouble.reviewed(plan.name) or len(trouble.attempts) >= RECOVERIES_MAX:
        return _give_up(task, plan, found, council)
    tier = 1 if found.recoverable and tries <= council.after_tries else 2
    recovery = recovery_of(
        found, tries=min(tries, TRIES_MAX), tier=tier, so_far=trouble.story(plan.name) if tier == 2 else ()
    )
    started = said.RecoveryStarted(
        phase=plan.name,
        failure=found.failure,
        severity=found.severity,
        strategy=recovery.strategy,
        tier=tier,
        tries=recovery.tries,
        hint=recovery.hint,
        error=recovery.error,
        not_before_s=now_s + wait_s(found.failure, recovery.tries),
    )
    return [started, *_reopening(task, plan, found, tier)]


def _give_up(task: Task, plan: Phase, found: Classified, council: Council) -> list[said.TaskEvent]:
    """A council, once for each phase; then, or where there is none, a person."""
    reason = f"{plan.name} failed ({found.failure}) after {len(task.trouble.attempts)} recoveries: {found.error}"
    if council.name and plan.name not in task.trouble.counselled:
        asked = said.CouncilAsked(
            phase=plan.name, failure=found.failure, reason=reason[:REASON_CHARS], council=council.name
        )
        return [asked]
    return [said.PersonAsked(phase=plan.name, failure=found.failure, question=reason[:REASON_CHARS])]
