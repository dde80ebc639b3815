"""`witan artifacts ID`: what a task has produced, and its contents as files."""

import os
import re
from pathlib import Path
from typing import Any

import click

from bus.errors import Missing
from cli.config import Settings
from cli.ids import TASK, task_of
from cli.options import placed
from cli.output import Form, formatted, talk
from cli.reading import Views, print_answer

SHOWN = ("phase", "name", "type", "bytes", "playbook", "run", "sha256")
NAME_MAX = 120
_strange = re.compile(r"[^\w.,+@=()\[\] -]")


@click.command("artifacts")
@click.argument("task", metavar="ID", type=TASK)
@click.option(
    "--save",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write each into DIR/<phase>/<name>; of the same name, the newest.",
)
@placed
@formatted
def verb(task: str, folder: Path | None, settings: Settings, form: Form) -> int:
    """List what task ID has produced: which phase, run and playbook made it, and its sha256; --json says all of it.

    witan artifacts 01JD --save made
    """
    task = task_of(settings, task)
    views = Views(settings)
    answer = views.ask("artifacts", {"task": task, "limit": 10_000})
    print_answer(answer, form, SHOWN)
    if folder is None:
        return 0
    from cli.contents import of_artifacts

    newest = {(row["phase"] or "run", row["name"]): row for row in answer.dicts}
    contents = of_artifacts(settings, views, task, (row["sha256"] for row in newest.values()))
    written = save(folder, list(newest.values()), contents)
    talk(f"{len(written)} file{'' if len(written) == 1 else 's'} in {folder}")
    return 0 if len(written) == len(newest) else 1


def save(folder: Path, rows: list[dict[str, Any]], contents: dict[str, bytes]) -> list[Path]:
    """Write them below the folder and nowhere else, whatever they are called and whatever links stand there."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for row in rows:
        if row["sha256"] not in contents:
            continue
        path = Path(_plain(row["phase"] or "run"), _plain(row["name"]))
        if path in written:
            path = path.with_name(f"{row['sha256'][:8]}-{path.name}")
        _write(folder, path, contents[row["sha256"]])
        written.append(path)
    return written


def _plain(name: str) -> str:
    """The name as one that any folder can hold."""
    return _strange.sub("_", name).lstrip(". ")[-NAME_MAX:].strip() or "_"


def _write(folder: Path, path: Path, content: bytes) -> None:
    top = os.open(folder, os.O_DIRECTORY)
    try:
        if not os.path.lexists(folder / path.parent):
            os.mkdir(path.parent.name, dir_fd=top)
        try:
            inner = os.open(path.parent.name, os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
        except OSError:
            raise Missing(f"{folder / path.parent} is not a folder of its own", "Name an empty DIR.") from None
        try:
            if os.path.lexists(folder / path):
                os.unlink(path.name, dir_fd=inner)
            file = os.open(path.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=inner)
            with open(file, "wb") as out:
                out.write(content)
        finally:
            os.close(inner)
    finally:
        os.close(top)
