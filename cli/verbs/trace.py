"""`witan trace ID`: a task's runs step by step: thought, action, input, observation."""

from typing import Any

import click
import msgspec

from bus.errors import Missing
from cli.config import Settings
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, formatted, print_json, print_rows
from cli.reading import Value, Views

PAGE = 200


@click.command("trace")
@click.argument("id", metavar="ID", type=TASK)
@click.option("--run", "only", metavar="RUN", help="Only this run of the task.")
@click.option("--full", is_flag=True, help="Nothing shortened; long outputs are fetched from the blob store.")
@placed
@formatted
def verb(id: str, only: str | None, full: bool, settings: Settings, form: Form) -> None:
    """The runs of task ID, or the one run whose id it is, as a tree: phase, run, turn, thought, action, observation.

    A council that was asked after a run stands with it. Below the tree, for each run, the files, commands, attempts,
    successes and test results. With --json all of it in one
    object; with --csv the steps.
    """
    views = Views(settings)
    filters: dict[str, Value] = {"run": id}
    if only or not views.ask("runs", filters).rows:
        filters = {"task": task_of(settings, id), "run": only}
    if not print_trace(settings, filters, full, form):
        raise Missing(f"nothing has run for {id} yet", "See how far it is with `witan status`.")


def print_trace(settings: Settings, filters: dict[str, Value], full: bool, form: Form) -> bool:
    """The runs that the filters pick. False: there are none."""
    views = Views(settings, quiet=True)
    runs, steps = paged(views, "runs", filters), paged(views, "steps", filters)
    if not runs:
        return False
    for step in steps:
        step["input"] = step["input"] if form is Form.TABLE else _read(step["input"])
    if full:
        _complete(settings, steps)
    for run in runs:
        run["test_results"] = _read(run["test_results"])
        run["steps"] = [step for step in steps if step["run"] == run["run"]]
    councils = paged(views, "councils", {"task": runs[0]["task"]}) if form is not Form.CSV else []
    for run in runs:
        run["councils"] = [council for council in reversed(councils) if council["run"] == run["run"]]
    _print(views, runs, steps, full, form)
    return True


def paged(views: Views, view: str, filters: dict[str, Value]) -> list[dict[str, Any]]:
    """All rows of a view, however many answers it takes."""
    rows: list[dict[str, Any]] = []
    while True:
        answer = views.ask(view, {**filters, "limit": PAGE, "offset": len(rows)})
        rows += answer.dicts
        if not answer.truncated or not answer.rows:
            return rows


def _complete(settings: Settings, steps: list[dict[str, Any]]) -> None:
    from cli.contents import fetched

    whole = fetched(settings, (step["sha256"] for step in steps if step["sha256"]))
    for step in steps:
        if step["sha256"] in whole:
            step["observation"] = whole[step["sha256"]].decode(errors="replace")


def _read(text: str | None) -> Any:
    try:
        return None if text is None else msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _print(views: Views, runs: list[dict[str, Any]], steps: list[dict[str, Any]], full: bool, form: Form) -> None:
    task = runs[0]["task"]
    facts = next(iter(views.ask("tasks", {"id": task}).dicts), None)
    if form is Form.JSON:
        print_json({"task": facts, "runs": runs})
    elif form is Form.CSV:
        columns = list(steps[0]) if steps else ["task"]
        print_rows(columns, [[step[name] for name in columns] for step in steps], form)
    else:
        from rich.console import Console

        from cli.trace import summary_of, tree_of

        title = f"{task}  {facts['status']}  {' '.join(facts['text'].split())[:200]}" if facts else str(task)
        Console().print(tree_of(title, runs, full))
        print_rows(["run", "what", "entries"], summary_of(runs), form)
