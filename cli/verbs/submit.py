"""`witan submit TEXT`: say what to build."""

import sys

import click

from bus.ids import fresh_id
from cli.config import Settings
from cli.options import placed
from cli.output import Form, formatted, print_one, talk
from cli.pieces import pieces_of
from cli.reach import send


@click.command("submit")
@click.argument("text")
@click.option("--workflow", metavar="NAME", help="The phases to go through; as configured if not said.")
@click.option("--phases", metavar="A,B", help="Only these phases of the workflow.")
@click.option("--priority", type=click.IntRange(0, 9), default=0, help="9 is admitted first.")
@click.option("--context", "words", multiple=True, metavar="KEY=VALUE|JSON", help="Given to every agent; repeatable.")
@click.option("--id", "id", help="Repeat a submission under its id: it is executed once.")
@click.option("--watch", "stay", is_flag=True, help="Stay until the task has ended; fails when it does.")
@placed
@formatted
def verb(
    text: str,
    workflow: str | None,
    phases: str | None,
    priority: int,
    words: tuple[str, ...],
    id: str | None,
    stay: bool,
    settings: Settings,
    form: Form,
) -> int:
    """Say what to build. TEXT `-` reads it from stdin.

    witan submit "A parser for ISO 8601 durations" --phases design,implement --context language=python
    """
    body: dict[str, object] = {"task": sys.stdin.read() if text == "-" else text}
    body["workflow"] = workflow or settings.workflow
    if phases:
        body["phases"] = [phase.strip() for phase in phases.split(",") if phase.strip()]
    if priority:
        body["priority"] = priority
    if words:
        body["context"] = pieces_of(words, "--context")
    answer = send(settings, "cmd.orchestrator.submit_task", body, id or fresh_id())
    task = str(answer["task_id"])
    if stay:
        from cli.verbs.watch import watch_task

        return watch_task(settings, task, form)
    print_one({name: value for name, value in answer.items() if name != "ok"}, form)
    talk(f"Follow it with: witan watch {task}")
    return 0
