"""The embedded server: comes back after every way of dying, and lets the public do only what the public may."""

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from string import Template

import nats
import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError

from bus import server_conf, server_process
from bus.errors import Missing, Refused, Unavailable
from bus.server import Server
from bus.server_conf import ports_of
from bus.varz import sync_always

ROOT = Path(__file__).parent.parent
PARENT = """
import asyncio, sys
from pathlib import Path
from bus.server import Server

async def main():
    server = Server(Path(sys.argv[1]))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def on_a_server(folder: Path, story: Callable[[Server], Awaitable[None]]) -> None:
    async def told() -> None:
        server = Server(folder)
        await server.start()
        try:
            await asyncio.wait_for(story(server), 30)
        finally:
            await server.stop()

    asyncio.run(told())


async def connected(url: str, complaints: asyncio.Queue[str] | None = None) -> Client:
    async def complain(error: Exception) -> None:
        if complaints is not None:
            complaints.put_nowait(str(error))

    return await nats.connect(url, error_cb=complain, max_reconnect_attempts=-1, reconnect_time_wait=0.02)


async def settled(client: Client) -> None:
    """The server has seen all that this client said; the client's own flush overtakes what it has not sent yet."""
    with pytest.raises(NoRespondersError):
        await client.request("ask.nobody", b"", timeout=5)


async def until(true: Callable[[], bool], limit_s: float = 15) -> None:
    async with asyncio.timeout(limit_s):
        while not true():
            await asyncio.sleep(0.005)


def is_back(server: Server, deaths: int, killed: int) -> bool:
    return server.restarts == deaths and server.pid not in (0, killed)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_a_killed_server_is_started_again_on_its_port_with_its_data(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        client = await connected(server.url)
        stream = client.jetstream()
        await stream.add_stream(name="EVENTS", subjects=["evt.>"])
        kept = await stream.publish("evt.task.one", b"kept")
        killed, address = server.pid, server.url
        os.kill(killed, signal.SIGKILL)
        await until(partial(is_back, server, 1, killed))
        assert server.url == address
        await until(lambda: client.is_connected)
        message = await stream.get_last_msg("EVENTS", "evt.task.one")
        assert (message.seq, message.data) == (kept.seq, b"kept")
        await client.close()

    on_a_server(tmp_path, story)


def test_a_second_death_is_answered_too(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        for deaths in (1, 2):
            killed = server.pid
            os.kill(killed, signal.SIGKILL)
            await until(partial(is_back, server, deaths, killed))

    on_a_server(tmp_path, story)


def test_a_stopped_server_stays_stopped_and_starts_again_on_its_port(tmp_path: Path) -> None:
    async def story() -> None:
        server = Server(tmp_path)
        await server.start()
        first, address = server.pid, server.public_url
        await server.stop()
        assert gone(first) and server.pid == 0 and server.restarts == 0
        again = Server(tmp_path)
        await again.start()
        assert again.public_url == address
        await again.stop()
        await again.stop()

    asyncio.run(story())


@pytest.mark.parametrize("dies_with_parent", [True, False])
def test_what_a_killed_parent_left_is_cleaned_up(tmp_path: Path, dies_with_parent: bool) -> None:
    script = PARENT if dies_with_parent else "import sys; sys.platform = 'other'\n" + PARENT
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        left = int(parent.stdout.readline())
        parent.kill()
    if dies_with_parent and sys.platform == "linux":
        asyncio.run(until(lambda: gone(left)))
    else:
        assert not gone(left)

    async def story(server: Server) -> None:
        assert gone(left)
        await (await connected(server.url)).close()

    on_a_server(tmp_path, story)


def test_a_pid_that_now_belongs_to_somebody_else_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        (tmp_path / "nats.pid").write_text(str(stranger.pid))

        async def story(server: Server) -> None:
            assert stranger.poll() is None

        on_a_server(tmp_path, story)
        assert stranger.poll() is None
        stranger.kill()


def test_one_folder_has_one_server_and_two_folders_have_two(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        with pytest.raises(Refused):
            await Server(tmp_path / "one").start()
        other = Server(tmp_path / "two")
        await other.start()
        assert len({server.public_url, server.monitor_url, other.public_url, other.monitor_url}) == 4
        await other.stop()
        assert not gone(server.pid)

    on_a_server(tmp_path / "one", story)


def test_a_taken_port_is_given_up_and_a_free_one_kept(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        (tmp_path / "other").mkdir()
        taken = int(server.public_url.rsplit(":", 1)[1])
        (tmp_path / "other" / "nats.ports").write_text(f"{taken} 0\n")
        ports = ports_of(tmp_path / "other")
        assert ports.client != taken
        assert ports_of(tmp_path / "other") == ports

    on_a_server(tmp_path / "one", story)


@pytest.mark.parametrize(
    "subject", ["evt.task.one", "timer.one", "fired.one", "live.tokens", "_INBOX.any", "$JS.API.STREAM.NAMES", "other"]
)
def test_the_public_cannot_publish(tmp_path: Path, subject: str) -> None:
    async def story(server: Server) -> None:
        complaints: asyncio.Queue[str] = asyncio.Queue()
        client = await connected(server.public_url, complaints)
        await client.publish(subject, b"{}")
        await client.flush()
        assert "permissions violation" in (await asyncio.wait_for(complaints.get(), 5)).lower()
        await client.close()

    on_a_server(tmp_path, story)


@pytest.mark.parametrize("subject", ["cmd.orchestrator.submit_task", "guardian.freeze", "ask.tasks"])
def test_the_public_can_publish_and_is_heard_and_answered(tmp_path: Path, subject: str) -> None:
    async def story(server: Server) -> None:
        operator, public = await connected(server.url), await connected(server.public_url)
        heard = await operator.subscribe(subject)
        await settled(operator)
        asked = asyncio.create_task(public.request(subject, b"{}", timeout=5))
        await (await heard.next_msg(5)).respond(b"yes")
        assert (await asked).data == b"yes"
        await operator.close()
        await public.close()

    on_a_server(tmp_path, story)


def test_the_public_hears_events_but_not_commands(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        complaints: asyncio.Queue[str] = asyncio.Queue()
        operator, public = await connected(server.url), await connected(server.public_url, complaints)
        events = await public.subscribe("evt.>")
        await settled(public)
        await operator.publish("evt.task.one", b"x")
        assert (await events.next_msg(5)).data == b"x"
        assert complaints.empty()
        await public.subscribe("cmd.>")
        assert "permissions violation" in (await asyncio.wait_for(complaints.get(), 5)).lower()
        await operator.close()
        await public.close()

    on_a_server(tmp_path, story)


def test_the_operator_may_do_everything_and_a_wrong_password_nothing(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        operator = await connected(server.url)
        answer = await operator.request("$JS.API.STREAM.NAMES", b"", timeout=5)
        assert "error" not in json.loads(answer.data)
        with pytest.raises(NoRespondersError):
            await operator.request("evt.task.one", b"", timeout=5)
        await operator.close()
        host = server.public_url.removeprefix("nats://").split(":")
        reader, writer = await asyncio.open_connection(host[0], int(host[1]))
        writer.write(b'CONNECT {"user":"operator","pass":"wrong","verbose":true}\r\n')
        assert b"Authorization Violation" in await reader.read()
        writer.close()
        await writer.wait_closed()

    on_a_server(tmp_path, story)


def test_files_with_secrets_are_private(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        for name in ("nats.conf", "nats.password"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert "operator" not in server.public_url

    on_a_server(tmp_path, story)


def test_the_monitor_says_whether_every_write_is_synced(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        assert await sync_always(server.monitor_url) is True
        assert await sync_always("http://127.0.0.1:1") is None

    on_a_server(tmp_path, story)


def test_a_server_that_does_not_sync_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lax = server_conf._CONF.template.replace("sync_interval: always", "sync_interval: 2m")
    monkeypatch.setattr(server_conf, "_CONF", Template(lax))

    async def story(server: Server) -> None:
        assert await sync_always(server.monitor_url) is False

    on_a_server(tmp_path, story)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "jetstream").write_text("in the way")
    with pytest.raises(Unavailable, match=r"JetStream|directory"):
        asyncio.run(Server(tmp_path).start())


def test_a_missing_binary_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(Missing, match="no nats-server"):
        server_process.find_binary()
