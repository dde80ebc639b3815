"""A task's phases on a terminal, drawn anew with every commit."""

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bus.envelope import Record
from cli.follow import taken
from cli.output import clean
from cli.progress import Progress

if TYPE_CHECKING:
    from rich.console import RenderableType

STYLES = {
    "waiting": "dim",
    "pending": "yellow",
    "paused": "magenta",
    "requested": "yellow",
    "reopened": "yellow",
    "running": "cyan",
    "council": "magenta",
    "completed": "green",
    "failed": "red",
    "cancelled": "red",
}
MARKS = {
    "waiting": "·",
    "reopened": "↻",
    "requested": "…",
    "running": "▶",
    "council": "⚖",
    "completed": "✔",
    "failed": "✘",
}


class Screen:
    """The picture of one task; use it as a context."""

    def __init__(self) -> None:
        self._live = Live(console=Console(), auto_refresh=False)

    def __enter__(self) -> "Screen":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, record: Record, progress: Progress) -> None:
        """Take the record in and draw."""
        taken(record, progress)
        self._live.update(picture(progress), refresh=True)


def picture(progress: Progress) -> "RenderableType":
    """The task's text, its state, and a line for each phase."""
    state = progress.status
    text = clean(" ".join(progress.task.text.split()))[:200]
    style = "bold magenta" if state == "waiting" else STYLES.get(state, "")
    head = Text.assemble((progress.id, "bold"), "  ", text, "  ", (state, style))
    if progress.reason:
        head.append(f"  ({clean(progress.reason)[:200]})", "dim")
    table = Table("phase", "state", "agent", "took", "", box=SIMPLE_HEAD, pad_edge=False)
    for line in progress.phases.values():
        style = STYLES.get(line.status, "")
        took = "" if line.took_s is None else f"{line.took_s:.2f} s"
        note = line.note or (f"attempt {line.attempt}" if line.attempt > 1 else "")
        mark = f"{MARKS.get(line.status, ' ')} {line.status}"
        table.add_row(Text(line.name), Text(mark, style), Text(line.agent), Text(took), Text(clean(note)[:200]))
    steps = Text("\n".join(clean(" ".join(line.split()))[:160] for line in progress.steps), "dim")
    return Group(head, table, steps) if progress.steps else Group(head, table)
