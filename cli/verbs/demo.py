"""`witan demo`: a scripted team at work, from the first word to the proof of its history."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from bus.ids import fresh_id
from cli.config import Settings
from cli.follow import following, picture_of
from cli.output import Form, formatted, print_one, talk
from cli.progress import Progress
from cli.reach import command, connected
from cli.reading import Answer, Views, print_answer
from cli.verbs.down import stop
from cli.verbs.log_verify import summary, verified
from cli.verbs.run import STEPS
from cli.verbs.status import SHOWN
from cli.verbs.trace import print_trace
from cli.verbs.up import start

TEXT = """A command line tool that says ISO 8601 durations in plain words
1. find out how both sides write durations
2. write the tool and its tests
3. run the tests
4. deploy it"""
PAUSE_IN = "design"
ENVIRONMENT = """[local]
about = "the demo's own"
health = "python durations.py P1DT2H"
files = ["durations.py"]
"""


@click.command("demo")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Work in this folder and keep it; a temporary one that is removed if not said.",
)
@formatted
def verb(folder: Path | None, form: Form) -> int:
    """See a team research, design, write, test, mend and deploy a small real program.

    No model is called and nothing is spent: every agent's mind is a script. All the rest is the real thing: the NATS
    server, the log, the actors, the tables, the files, the sandbox, the tests that fail at first, the deployment.
    """
    room = folder or Path(tempfile.mkdtemp(prefix="witan-demo-"))
    settings = Settings(state_dir=room.absolute() / ".witan", script="demo")
    try:
        return _run(settings, form, kept=folder is not None)
    finally:
        if folder is None:
            shutil.rmtree(room, ignore_errors=True)


def _run(settings: Settings, form: Form, kept: bool) -> int:
    talk("Scripted demo: no model is called, nothing is spent. Starting a Witan of its own …")
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    (settings.state_dir / "environments.toml").write_text(ENVIRONMENT)
    daemon = start(settings)
    try:
        progress = asyncio.run(_tell(settings, form))
        board = _board(settings, progress.seq)
        _show_the_repair(settings, form, progress.id)
        talk("\nThe board:")
        print_answer(board, form, SHOWN)
        talk("\nThe log, verified from its first commit:")
        print_one(summary(verified(settings)), form)
        deployed = settings.state_dir / "deployed" / "local" / "current" / "durations.py"
        said = subprocess.run([sys.executable, str(deployed), "P1DT2H"], capture_output=True, text=True, check=False)
        talk(f"\nWhat was deployed, asked for P1DT2H, says: {said.stdout.strip() or said.stderr.strip()}")
    finally:
        stop(daemon.pid)
    talk(_next(settings, progress.id, kept))
    return 0 if progress.status == "completed" and said.returncode == 0 else 1


def _show_the_repair(settings: Settings, form: Form, task: str) -> None:
    """The two runs that say how a failing test was made good; all of them are in `witan trace`."""
    views = Views(settings)
    runs = views.ask("runs", {"task": task}).dicts
    failed = next((place for place, run in enumerate(runs) if run["outcome"] == "failed"), None)
    if failed is not None:
        talk("\nA test failed, and this is how it was mended (witan trace shows every run like this):")
        for run in runs[failed : failed + 2]:
            print_trace(settings, {"run": run["run"]}, full=False, form=form)


async def _tell(settings: Settings, form: Form) -> Progress:
    """Submit, follow, pause in the middle, see it wait, resume, and follow to the end."""
    from bus.jetstream import JetStreamLog

    async with connected(settings) as connection:
        body: dict[str, object] = {"task": TEXT, "workflow": "tiered", "context": {"mind": "scripted"}}
        answer = await command(connection, "cmd.orchestrator.submit_task", body, fresh_id())
        progress = Progress(str(answer["task_id"]))
        order = {"pipeline_id": progress.id, "reason": "the demo shows what a pause does"}
        talk(f"Submitted task {progress.id}: {TEXT.splitlines()[0]}\n")
        paused = resumed = False
        with picture_of(form) as picture:
            async for record in following(JetStreamLog(connection), [f"evt.task.{progress.id}", *STEPS]):
                picture.show(record, progress)
                if progress.rests:
                    return progress
                if progress.task.phase == PAUSE_IN and not paused:
                    paused = bool(await command(connection, "guardian.pause_pipeline", order, fresh_id()))
                    talk(f"Guardian: pause. {PAUSE_IN} may finish, and nothing else begins.")
                if progress.status == "paused" and progress.task.assignment is None and not resumed:
                    talk(f"Guardian: {PAUSE_IN} is done and {progress.task.next_phase} waits. Resume.")
                    resumed = bool(await command(connection, "guardian.resume_pipeline", order, fresh_id()))
    raise AssertionError("a follower never ends by itself")


def _board(settings: Settings, seq: int) -> Answer:
    """The board as soon as it knows of the task's last event."""
    views = Views(settings)
    while (answer := views.ask("tasks")).seq < seq:
        pass
    return answer


def _next(settings: Settings, task: str, kept: bool) -> str:
    if kept:
        place = f"--state-dir {settings.state_dir}"
        return f"\nIt is stopped and kept. Next: witan up --detach {place} | witan trace {task} {place}"
    return '\nEverything is stopped and removed. Next: witan up --detach, then witan run "what to build"'
