"""Task ids as a person types them: any beginning that fits exactly one."""

from typing import TYPE_CHECKING, Any

import click
import msgspec
from click.shell_completion import CompletionItem

from bus.errors import Missing, WitanError
from bus.subjects import token
from cli.config import Settings
from cli.exits import Absent
from cli.reach import daemon_of, on_log, url_of

if TYPE_CHECKING:
    from bus.jetstream import JetStreamLog

CANDIDATES = 8


class TaskId(click.ParamType[str]):
    """A task's id or the beginning of one; the shell completes it from the newest tasks."""

    name = "id"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from cli.config import load
        from cli.reading import Views

        try:
            rows = Views(load().settings, quiet=True).ask("tasks", {"limit": 200}).dicts
        except WitanError:
            return []
        fitting = [row for row in rows if row["id"].startswith(incomplete)]
        return [CompletionItem(row["id"], help=f"{row['status']}: {row['text'][:60]}") for row in fitting]


TASK = TaskId()


def task_of(settings: Settings, beginning: str) -> str:
    """The one task whose id begins so."""
    known = _tasks_like(settings, token(beginning))
    if beginning in known:
        return beginning
    fitting = [task for task in known if task.startswith(beginning)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        newest = ", ".join(known[-CANDIDATES:]) or "none"
        raise Missing(f"no task's id begins with {beginning!r}", f"The newest tasks: {newest}. All: `witan status`.")
    some = ", ".join(fitting[:CANDIDATES]) + (", …" if len(fitting) > CANDIDATES else "")
    raise Missing(f"{len(fitting)} tasks begin with {beginning!r}: {some}", "Type one more letter.")


def _tasks_like(settings: Settings, beginning: str) -> list[str]:
    """The task itself if there is one of that name, else all tasks: from the log if it can be read, else as told."""
    running = settings.nats_url or daemon_of(settings)
    if not running or "@" not in url_of(settings):  # without a password the log is closed, but questions are answered
        try:
            return _from_views(settings, beginning)
        except Absent:
            if not running:
                raise
    return on_log(settings, lambda log: _from_log(log, beginning))


def _from_views(settings: Settings, beginning: str) -> list[str]:
    from cli.reading import Views

    views = Views(settings, quiet=True)
    rows = views.ask("tasks", {"id": beginning}).dicts or views.ask("tasks", {"limit": 100_000}).dicts
    return [row["id"] for row in reversed(rows)]


async def _from_log(log: "JetStreamLog", beginning: str) -> list[str]:
    if await log.last(f"evt.task.{beginning}"):
        return [beginning]
    tasks: list[str] = []
    while True:
        wish = msgspec.json.encode({"subjects_filter": "evt.task.*", "offset": len(tasks)})
        reply = await log.connection.request(f"$JS.API.STREAM.INFO.{log.stream}", wish)
        told: dict[str, Any] = msgspec.json.decode(reply.body)
        page = told.get("state", {}).get("subjects") or {}
        tasks += [subject.split(".")[2] for subject in page]
        if not page or len(tasks) >= told.get("total", 0):
            return sorted(tasks)
