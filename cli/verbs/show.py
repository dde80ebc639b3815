"""`witan show ID`: all that is known about one task."""

import click

from cli.config import Settings
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, formatted, print_json, print_one, print_rows
from cli.reading import Views

PARTS = {
    "phases": ("phase", "status", "agent", "attempts", "seconds", "reason"),
    "runs": ("phase", "run", "outcome", "turns", "steps", "failed_steps", "seconds", "failure"),
    "checklist": ("item", "done", "text", "done_by", "seconds"),
    "recoveries": ("level", "phase", "failure", "strategy", "tries", "outcome"),
    "councils": ("council", "phase", "kind", "stage", "outcome", "by_whom", "helped", "cost_usd"),
    "workspaces": ("status", "repo", "branch", "target", "passed", "failed", "deployed", "refusal"),
    "artifacts": ("phase", "name", "type", "bytes", "agent"),
    "guardian": ("what", "state", "reason", "override", "ordered"),
    "activity": ("seq", "happened", "line"),
}
FILTER = {"guardian": "pipeline"}


@click.command("show")
@click.argument("task", metavar="ID", type=TASK)
@click.option("--limit", type=click.IntRange(0), default=100, help="So many rows of each part; 100 if not said.")
@placed
@formatted
def verb(task: str, limit: int, settings: Settings, form: Form) -> None:
    """All about task ID: phases, runs, checklist, recoveries, councils, workspace, artifacts, orders, what happened.

    With --json one object; with --csv the events alone.
    """
    task = task_of(settings, task)
    views = Views(settings)
    facts = views.ask("tasks", {"id": task})
    parts = {name: views.ask(name, {FILTER.get(name, "task"): task, "limit": limit}) for name in PARTS}
    match form:
        case Form.JSON:
            whole = {name: part.dicts for name, part in parts.items()}
            print_json({"seq": facts.seq, "task": next(iter(facts.dicts), None), **whole})
        case Form.CSV:
            print_rows(parts["activity"].columns, parts["activity"].rows, form)
        case Form.TABLE:
            for row in facts.dicts:
                print_one({name: value for name, value in row.items() if value is not None}, form)
            for name, part in parts.items():
                if part.rows:
                    rows = [[row.get(column) for column in PARTS[name]] for row in part.dicts]
                    print_rows(PARTS[name], rows[::-1] if name == "activity" else rows, form, title=name)
