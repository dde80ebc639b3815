"""What is done about a phase that failed: once more with a strategy, a fresh agent, a council, a person."""

from actors.orchestrator.task import Task
from actors.orchestrator.workflow import Phase
from actors.recovery import STRATEGIES, TRIES_MAX, Classified, recovery_of, wait_s
from bus.messages import task as said

RECOVERIES_MAX = 30
"""A task costs no more recoveries than this without a person's word."""
LOSSES_MAX = 3
"""An assignment that is lost so often in a row is a failure of its own."""
REASON_CHARS = 2000


def phase_failed(task: Task, plan: Phase, found: Classified, reason: str, *, now_s: float) -> list[said.TaskEvent]:
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
    return [failed, *ended(task, plan.name, ok=False), *_next(task, plan, found, now_s)]


def ended(task: Task, phase: str = "", ok: bool = False) -> list[said.TaskEvent]:
    """The recoveries that are under way for a phase, or for all of them, are over."""
    return [
        said.RecoveryEnded(phase=each.phase, failure=each.failure, strategy=each.strategy, tier=each.tier, ok=ok)
        for each in task.trouble.under_way(phase)
    ]


def _next(task: Task, plan: Phase, found: Classified, now_s: float) -> list[said.TaskEvent]:
    trouble = task.trouble
    tries = trouble.tries(plan.name, found.failure) + 1
    if found.failure == "help":
        return [said.PersonAsked(phase=plan.name, failure=found.failure, question=found.error[:REASON_CHARS])]
    if trouble.reviewed(plan.name) or len(trouble.attempts) >= RECOVERIES_MAX:
        return _give_up(task, plan, found)
    tier = 1 if found.recoverable and tries <= TRIES_MAX else 2
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
    reopens = STRATEGIES[found.failure].reopens_tier <= tier and any(
        plan.on_failure == each.phase for each in task.done
    )
    if reopens:
        return [started, said.PhaseReopened(phase=plan.on_failure, because=f"{plan.name}: {found.failure}")]
    return [started]


def _give_up(task: Task, plan: Phase, found: Classified) -> list[said.TaskEvent]:
    """Nobody answers for a council in this release, so a person is asked in the same breath."""
    reason = f"{plan.name} failed ({found.failure}) after {len(task.trouble.attempts)} recoveries: {found.error}"
    return [
        said.CouncilAsked(phase=plan.name, failure=found.failure, reason=reason[:REASON_CHARS]),
        said.PersonAsked(phase=plan.name, failure=found.failure, question=reason[:REASON_CHARS]),
    ]
