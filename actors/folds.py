"""How events become a state, by kind and for single entities by subject: the one table that all desks share."""

from actors.agent import run, steps
from actors.council import state as council
from actors.decider import Fold
from actors.executor import execs, workspace
from actors.guardian import orders
from actors.librarian import playbook
from actors.orchestrator import roster, slots, task
from actors.treasurer import budget, call, health

FOLDS = {
    "task": Fold(task.Task, task.evolve),
    "slots": Fold(slots.Slots, slots.evolve, long=True),
    "agent": Fold(object, lambda queue, _: queue, newest_only=True),
    roster.SUBJECT: Fold(roster.Roster, roster.evolve),
    "run": Fold(run.Run, run.evolve),
    "guardian": Fold(orders.Order, orders.evolve),
    "step": Fold(steps.Steps, steps.evolve),
    "call": Fold(call.Calls, call.evolve),
    "exec": Fold(execs.Execs, execs.evolve),
    "workspace": Fold(workspace.Workspace, workspace.evolve),
    "playbook": Fold(playbook.Kept, playbook.evolve),
    "budget": Fold(budget.Budget, budget.evolve, long=True),
    "provider": Fold(health.Health, health.evolve),
    "council": Fold(council.Council, council.evolve),
    "trial": Fold(council.Trials, council.evolve_trials),
    "sandbox": Fold(object, lambda sandbox, _: sandbox, newest_only=True),
}
