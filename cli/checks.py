"""What can be wrong on this machine and with this Witan, each with what to type."""

import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from bus.errors import Missing, WitanError
from cli.config import Settings
from cli.exits import Absent
from cli.reach import answer_to, connected, daemon_of

if TYPE_CHECKING:
    from actors.executor.sandbox.attest import Attestation
    from bus.connection import Connection

PACKAGES = ("click", "duckdb", "msgspec", "nats-py", "pyarrow", "pykka", "rich")
TIGHT_BYTES, FULL_BYTES = 2 * 10**9, 200 * 10**6
LAG_SEQS = 5000
SKEW_S = 2.0

State = Literal["ok", "warn", "bad", "absent"]


class Finding(NamedTuple):
    """One line: `absent` is what is not running, `bad` is what is wrong."""

    what: str
    state: State
    told: str
    type_next: str = ""


def on_this_machine(settings: Settings) -> Iterator[Finding]:
    """What can be seen without a server."""
    yield from (
        finding
        for check in (_python, _packages, _server, _folder, _shelf, _git, _sandbox)
        for finding in check(settings)
    )


def _python(_: Settings) -> Iterator[Finding]:
    yield Finding("python", "ok", sys.version.split()[0])


def _packages(_: Settings) -> Iterator[Finding]:
    told, missing = [], []
    for package in PACKAGES:
        try:
            told.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        yield Finding("packages", "bad", f"missing: {', '.join(missing)}", "Install Witan again.")
    else:
        yield Finding("packages", "ok", ", ".join(told))


def _server(settings: Settings) -> Iterator[Finding]:
    from bus.server_process import find_binary

    try:
        yield Finding("nats-server", "ok", str(find_binary()))
    except Missing as error:
        yield Finding("nats-server", "warn" if settings.nats_url else "bad", str(error), error.what_next)


def _unfinished(folder: Path) -> list[str]:
    from actors.executor.git.opening import unfinished

    return unfinished(folder / "work")


def _git(_: Settings) -> Iterator[Finding]:
    import subprocess

    try:
        told = subprocess.run(["git", "version"], capture_output=True, text=True, check=True).stdout.split()[2]
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        yield Finding("git", "bad", f"cannot be run: {error}", "Install git 2.38 or later: work is done in worktrees.")
        return
    old = tuple(int(part) for part in told.split(".")[:2] if part.isdigit()) < (2, 38)
    yield Finding("git", "bad" if old else "ok", told, "Install git 2.38 or later." if old else "")


def _sandbox(_: Settings) -> Iterator[Finding]:
    """What would hold commands in, tried from inside in a folder of its own."""
    import asyncio

    try:
        found = asyncio.run(_attested())
    except WitanError as error:
        yield Finding("sandbox", "warn", str(error), error.what_next)
        return
    told = f"level {found.level}: {found.about}; {len(found.passed)} checks held"
    missed = f"; not level A: {found.failed[0].removeprefix('A: ')}" if found.failed else ""
    next = "Install bubblewrap, or accept it with `witan guardian waive-sandbox --reason …`."
    yield Finding("sandbox", "warn" if found.level == "C" else "ok", told + missed, next if found.level == "C" else "")


async def _attested() -> "Attestation":
    import tempfile

    from actors.executor.sandbox.attest import attest
    from actors.executor.sandbox.warden import Warden

    with tempfile.TemporaryDirectory(prefix="witan-doctor-") as folder:
        warden = Warden(Path(folder))
        await warden.open()
        try:
            return await attest(warden, Path(folder))
        finally:
            await warden.close()


def _folder(settings: Settings) -> Iterator[Finding]:
    import tempfile

    folder = settings.state_dir
    there = next(up for up in (folder, *folder.parents) if up.exists())
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        yield Finding("state folder", "bad", f"{folder}: {error}", "Choose another with --state-dir.")
        return
    for left in _unfinished(folder):
        yield Finding("workspaces", "warn", left, "witan up: what was begun is completed when the task goes on")
    free = shutil.disk_usage(there).free
    told = f"{folder}, {free / 10**9:.1f} GB free"
    if free < FULL_BYTES:
        yield Finding("state folder", "bad", told, "Make room: appends are refused when the disk is full.")
    else:
        yield Finding("state folder", "warn" if free < TIGHT_BYTES else "ok", told)


def _shelf(settings: Settings) -> Iterator[Finding]:
    from cli.shelf import read_shelf

    try:
        shelf = read_shelf(settings)
    except WitanError as error:
        yield Finding("files of the team", "bad", str(error), error.what_next)
    else:
        told = f"{len(shelf.roles)} roles, {len(shelf.workflows)} workflows, {len(shelf.playbooks)} playbooks"
        yield Finding("files of the team", "ok", told)


async def on_this_witan(settings: Settings) -> list[Finding]:
    """What can be asked of the daemon and its server."""
    daemon = None if settings.nats_url else daemon_of(settings)
    if daemon is None and not settings.nats_url:
        return [Finding("daemon", "absent", f"no Witan runs in {settings.state_dir}", "witan up --detach")]
    told = f"pid {daemon.pid}, {daemon.public_url}, since {daemon.started}" if daemon else settings.nats_url
    try:
        async with connected(settings) as connection:
            findings = [Finding("daemon" if daemon else "NATS server", "ok", told.rsplit("@", 1)[-1])]
            for check in (_streams, _durability, _lag):
                findings += await check(settings, connection)
            return findings
    except WitanError as error:
        return [Finding("NATS server", "absent", str(error), error.what_next)]


async def _streams(settings: Settings, connection: "Connection") -> list[Finding]:
    from bus.topology import streams

    findings: list[Finding] = []
    now = ""
    for name, wanted in streams().items():
        reply = await connection.request(f"$JS.API.STREAM.INFO.{name}", b"")
        told: dict[str, Any] = {} if reply.status else msgspec.json.decode(reply.body)
        if "config" not in told:
            findings.append(Finding(f"stream {name}", "bad", "is not there", "witan up"))
            continue
        now = told["ts"]
        config = told["config"]
        differing = [key for key, value in wanted.items() if key != "num_replicas" and config.get(key) != value]
        if differing:
            findings.append(Finding(f"stream {name}", "bad", f"differs in {', '.join(differing)}", "witan up"))
        else:
            size = f"{told['state']['messages']} messages, {told['state']['bytes'] / 10**6:.1f} MB"
            findings.append(Finding(f"stream {name}", "ok", size))
    return findings + ([_clock(now)] if now else [])


def _clock(now: str) -> Finding:
    skew_s = abs((datetime.now(UTC) - datetime.fromisoformat(now)).total_seconds())
    state: State = "ok" if skew_s <= SKEW_S else "warn"
    return Finding("clock", state, f"{skew_s:.3f} s from the server's", "" if state == "ok" else "Set the clock.")


async def _durability(settings: Settings, connection: "Connection") -> list[Finding]:
    from bus.varz import sync_always

    daemon = None if settings.nats_url else daemon_of(settings)
    always = await sync_always(daemon.monitor_url) if daemon and daemon.monitor_url else None
    if always:
        return [Finding("sync_always", "ok", "an acknowledged event is on the disk")]
    told = "a power cut can take acknowledged events" if always is False else "the server does not say"
    if settings.durability == "relaxed":
        return [Finding("sync_always", "warn", told + "; durability is relaxed")]
    what = 'Set `sync_interval: always` in its jetstream block, or durability = "relaxed" to accept that.'
    return [Finding("sync_always", "bad" if always is False else "warn", told, what)]


async def _lag(settings: Settings, connection: "Connection") -> list[Finding]:
    from bus.jetstream import JetStreamLog

    try:
        told = await answer_to(connection, "counts", {})
    except Absent as error:
        return [Finding("projections", "absent", str(error), error.what_next)]
    except WitanError as error:
        return [Finding("projections", "bad", str(error), "witan rebuild")]
    lag = max(0, await JetStreamLog(connection).head() - told["seq"])
    return [Finding("projections", "ok" if lag <= LAG_SEQS else "warn", f"at seq {told['seq']}, {lag} behind the log")]
