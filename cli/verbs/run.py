"""`witan run TEXT`: say what to build, stay while it is built, and see what was made."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from bus.errors import WitanError
from bus.ids import fresh_id
from cli.config import Settings
from cli.follow import picture_of
from cli.options import placed
from cli.output import Form, formatted, print_json, print_one, print_rows, talk
from cli.pieces import pieces_of
from cli.progress import Progress
from cli.reach import command, connected, send
from cli.reading import Views

STEPS = ("evt.step.>", "evt.exec.>")


@click.command("run")
@click.argument("text")
@click.option(
    "--repo",
    metavar="PATH",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="The git repository to work on; the one that the current folder is in if not said.",
)
@click.option("--fresh", is_flag=True, help="Work in a new, empty repository of the task's own.")
@click.option("--base", metavar="BRANCH", default="", help="Begin at this branch, and merge into it one day.")
@click.option("--workflow", metavar="NAME", help="The phases to go through; as configured if not said.")
@click.option("--phases", metavar="A,B", help="Only these phases of the workflow.")
@click.option("--context", "words", multiple=True, metavar="KEY=VALUE|JSON", help="Given to every agent; repeatable.")
@click.option("--detach", is_flag=True, help="Submit it and do not stay.")
@click.option("--id", "id", help="Repeat a submission under its id: it is executed once.")
@placed
@formatted
def verb(text: str, settings: Settings, form: Form, detach: bool, id: str | None, **wish: Any) -> int:
    """Let the team work on TEXT in a branch and a working tree of its own, and see each step. `-` reads stdin.

    Without --repo the work is about the git repository that you are in; outside of one, or with --fresh, it is in a
    new repository. Your branches are touched by `witan apply` alone. Ends with 0 completed, 1 failed or cancelled,
    4 waits for money, 5 waits for a person. Ctrl-C ends the watching, not the work.

    witan run "Add a --version flag" --base main
    """
    body = body_of(sys.stdin.read() if text == "-" else text, settings, **wish)
    if detach:
        answer = send(settings, "cmd.orchestrator.submit_task", body, id or fresh_id())
        _say_where(body)
        print_one({name: value for name, value in answer.items() if name != "ok"}, form)
        talk(f"Follow it with: witan watch {answer['task_id']}")
        return 0
    from cli.verbs.watch import outcome_of

    progress = asyncio.run(_stay(settings, form, body, id or fresh_id()))
    outcome = outcome_of(progress)
    _tell_what_was_made(settings, form, progress)
    return outcome


def body_of(
    text: str,
    settings: Settings,
    repo: Path | None,
    fresh: bool,
    base: str,
    workflow: str | None,
    phases: str | None,
    words: tuple[str, ...],
) -> dict[str, object]:
    """The command to send."""
    if fresh and (repo or base):
        raise click.UsageError("--fresh begins with nothing; leave --repo and --base out.")
    place = None if fresh else repository_of(repo or Path.cwd(), sure=repo is not None)
    body: dict[str, object] = {"task": text, "workflow": workflow or settings.workflow}
    if phases:
        body["phases"] = [phase.strip() for phase in phases.split(",") if phase.strip()]
    if words:
        body["context"] = pieces_of(words, "--context")
    if place:
        body["repo"] = str(place)
    if base:
        body["base"] = base
    return body


def repository_of(folder: Path, sure: bool) -> Path | None:
    """The top of the repository that a folder is in; the folder itself when somebody is sure that it is one."""
    folder = folder.resolve()
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder if sure else None)


async def _stay(settings: Settings, form: Form, body: dict[str, object], id: str) -> Progress:
    """Submit, and follow the task and the steps of its runs until nothing more comes by itself."""
    from cli.patience import PatientLog
    from cli.verbs.watch import stay

    async with connected(settings) as connection:
        log = PatientLog(connection)
        head = await log.head()
        answer = await log.again(lambda: command(connection, "cmd.orchestrator.submit_task", body, id))
        _say_where(body)
        progress = Progress(str(answer["task_id"]))
        with picture_of(form) as picture:
            await stay(log, progress, picture, head, *STEPS)
        return progress


def _say_where(body: dict[str, object]) -> None:
    """Once the work is taken on, and not before."""
    talk(f"Working on {body['repo']}." if body.get("repo") else "Working in a new repository of the task's own.")


def _tell_what_was_made(settings: Settings, form: Form, progress: Progress) -> None:
    """Artifacts, changed files, and what to type next."""
    views = Views(settings)
    while (answer := views.ask("artifacts", {"task": progress.id, "limit": 1000})).seq < progress.seq:
        pass
    made = [{name: row[name] for name in ("phase", "name", "type", "bytes", "sha256")} for row in answer.dicts]
    changed = _changed(views, progress.id)
    if form is Form.JSON:
        print_json({"task_id": progress.id, "status": progress.status, "artifacts": made, "changed_files": changed})
    elif form is Form.TABLE:
        if made:
            print_rows(list(made[0]), [list(row.values()) for row in made], form, title="artifacts")
        if changed:
            print_rows(["changed"], [[path] for path in changed], form)
    from cli.verbs.budget import warn

    warn(views)
    verbs = ("trace", "artifacts", *(("diff", "apply", "discard") if changed else ()))
    talk("Next: " + " | ".join(f"witan {verb} {progress.id}" for verb in verbs))


def _changed(views: Views, task: str) -> list[str]:
    from cli.changes import changed_files, workspace_of

    try:
        return changed_files(workspace_of(views, task))
    except WitanError:
        return []
