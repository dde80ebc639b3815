"""An actor that has died: what still comes for it is dropped without a word, and told to the one that begins anew."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from actors.shell import Failed, Shell
from bus.commands import request
from bus.envelope import Record
from bus.messages.agent import Alive
from cli.app import App
from tests.bus_app import an_app, restarts


async def die_while_mail_comes(app: App) -> None:
    """The orchestrator is dead and still lets go of the bus, and the loop has more to hand over to it."""
    assert app.supervisor is not None
    ref = app.supervisor.proxy().running.get(timeout=10)["orchestrator"]
    shell: Shell = ref._actor_weakref()
    follower: Any = shell.outbox.follower
    ref.tell(Failed(RuntimeError("killed by the test")))
    while not ref.actor_stopped.is_set():
        await asyncio.sleep(0)
    follower._sink([Record("evt.run.a.b", 1, b"")], 0)
    shell.outbox.failed(RuntimeError("one more"))
    shell._heard_heartbeat(b"live.heartbeat.a", b"", None, msgspec.json.encode(Alive("a", [])))
    shell._tell_beat()


def test_mail_for_an_actor_that_has_died_raises_nothing_and_the_next_one_goes_on(tmp_path: Path) -> None:
    troubles: list[dict[str, Any]] = []
    with an_app(tmp_path) as app:
        app.bridge.loop.set_exception_handler(lambda _, trouble: troubles.append(trouble))
        app.bridge.run(die_while_mail_comes(app), timeout_s=60)
        answer = app.bridge.run(request(app.connection, "orchestrator", "submit_task", b'{"task": "x"}', "once", 60))
        assert answer["status"] in ("running", "queued") and restarts(app) == 1
    assert troubles == []


def test_an_actor_that_dies_while_everything_is_closed_is_not_started_again(tmp_path: Path) -> None:
    troubles: list[dict[str, Any]] = []
    with an_app(tmp_path) as app:
        app.bridge.loop.set_exception_handler(lambda _, trouble: troubles.append(trouble))
        assert app.supervisor is not None
        supervisor = app.supervisor.proxy()
        supervisor.running.get(timeout=10)["guardian"].tell(Failed(RuntimeError("killed by the test")))
    assert troubles == []
