"""`witan assign [ID] [AGENT]`: say who does a task's next phase, or let the rules say it."""

from typing import Any

import click

from bus.errors import Missing
from bus.ids import fresh_id
from cli.config import Settings
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, formatted, print_one, talk
from cli.reach import send
from cli.reading import Views

LOOKED_AT_MAX = 100_000


@click.command("assign")
@click.argument("task", metavar="[ID]", type=TASK, required=False)
@click.argument("agent", metavar="[AGENT]", required=False)
@click.option("--role", metavar="NAME", help="Anybody of this role.")
@click.option("--auto", is_flag=True, help="Let the rules decide; without an ID, about the task that waits first.")
@click.option("--reason", default="", help="Kept with the event.")
@click.option("--id", "id", help="Repeat this command under its id: it is executed once.")
@placed
@formatted
def verb(task: str | None, agent: str | None, settings: Settings, form: Form, **said: Any) -> None:
    """Say who does the next phase of task ID, or the present one while nobody has begun it.

    An AGENT that does not take it within a lease is not waited for. The cto does not do the phase of somebody else: it
    looks at it first, and what it says is told to whoever does it. Why the rules decide as they do: witan route ID.

    witan assign 01JD coder-02 --reason "knows the parser"
    """
    if said["auto"] == bool(agent or said["role"]):
        raise click.UsageError("Name an AGENT, or a --role, or say --auto.")
    if task is None and not said["auto"]:
        raise click.UsageError("Say which task is meant; only --auto finds one itself.")
    id = _first(settings) if task is None else task_of(settings, task)
    body: dict[str, object] = {"task_id": id, "auto": said["auto"], "reason": said["reason"]}
    body |= {name: value for name, value in (("agent", agent), ("role", said["role"])) if value}
    answer = send(settings, "cmd.orchestrator.assign_task", body, said["id"] or fresh_id())
    facts = {"task_id": id, **answer}
    print_one({name: value for name, value in facts.items() if form is not Form.TABLE or value != ""}, form)
    if answer.get("review"):
        talk(f"{answer.get('agent') or 'The ' + str(answer['role'])} looks at the phase first, and does not do it.")


def _first(settings: Settings) -> str:
    """The task that waits for its turn or for an agent: the highest priority, then the longest wait."""
    rows = Views(settings).ask("tasks", {"limit": LOOKED_AT_MAX}).dicts
    waiting = [
        row for row in rows if row["status"] == "pending" or (row["status"] == "running" and row["agent"] is None)
    ]
    if not waiting:
        raise Missing("no task waits for its turn or for an agent", "Name one: `witan assign ID --auto`.")
    first = max(waiting, key=lambda row: (row["priority"] or 0, -row["first_seq"]))
    return str(first["id"])
