"""What the executor has to know of a run before it does anything for it."""

from collections.abc import Callable
from typing import NamedTuple

from actors.agent.steps import Steps
from actors.desk import Desk
from actors.orchestrator.task import Task


class About(NamedTuple):
    """It stays as it is while the run lasts."""

    task: str
    phase: str
    role: str
    repo: str
    base: str
    produces: str
    environment: str
    closed: bool


def read_about(desk: Desk, steps_of: str, produces: Callable[[str, str], str]) -> About:
    """From the run's steps and its task, as they are on the log."""
    steps: Steps = desk.peek(steps_of)
    task: Task = desk.peek(f"evt.task.{steps.task}")
    overrides = task.context.get("overrides")
    wanted = overrides.get("deployment_environment", "") if isinstance(overrides, dict) else ""
    made = produces(task.workflow, steps.phase)
    return About(steps.task, steps.phase, steps.role, task.repo, task.base, made, str(wanted), steps.closed)
