"""Councils held by a real Witan in this process: tasks brought to where they are stuck, and what the log says after."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from bus.commands import request
from bus.envelope import Record, open_envelope
from bus.ids import fresh_id
from bus.messages import task
from bus.messages.kinds import read_commit
from cli.app import App
from cli.config import Settings
from tests.council_models import surrounded
from tests.council_problems import Seeded, planted

E = TypeVar("E")
PATIENCE_S = 60.0


@contextmanager
def holding(folder: Path, variables: Mapping[str, str], **settings: Any) -> Iterator[App]:
    """A Witan that asks these servers."""
    known: dict[str, Any] = {"workflow": "direct", "log_level": "error", "pipelines": 100, "agent_capacity": 100}
    with surrounded(variables):
        app = App(Settings(state_dir=folder, **{**known, **settings}), projections=False).open()
        try:
            yield app
        finally:
            app.close()


def ask(app: App, actor: str, command: str, **wish: Any) -> dict[str, Any]:
    body = json.dumps(wish).encode()
    return app.bridge.run(request(app.connection, actor, command, body, fresh_id(), 20), timeout_s=30)


def stuck(app: App, seeded: Seeded, folder: Path) -> str:
    """A task about this problem that waits for a person."""
    repo = folder if folder.is_dir() else planted(folder, seeded)
    wish = {"task": f"mend {seeded.name}", "workflow": "direct", "repo": str(repo)}
    id = str(ask(app, "orchestrator", "submit_task", **wish)["task_id"])
    until(app, f"evt.task.{id}", task.PersonAsked)
    return id


def read(app: App, subject: str) -> list[Record]:
    return app.bridge.run(app.log.read(subject), timeout_s=20)


def until(app: App, subject: str, *kinds: type[E]) -> E:
    """The first event of these kinds, when it is there."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_S:
        if found := [event for _, event in timed(read(app, subject)) if isinstance(event, kinds)]:
            return found[0]
        app.bridge.run(asyncio.sleep(0.02))
    raise AssertionError([type(event).__name__ for _, event in timed(read(app, subject))])


def timed(records: list[Record]) -> list[tuple[float, Any]]:
    """The events, each with its time in seconds."""
    return [(at_s(record), event) for record in records for event in read_commit(record).events]


def of(records: list[Record], kind: type[E]) -> list[E]:
    return [event for _, event in timed(records) if isinstance(event, kind)]


def at_s(record: Record) -> float:
    return datetime.fromisoformat(open_envelope(record).at).timestamp()
