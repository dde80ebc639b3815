"""`witan up`: start Witan in this folder, here or in the background."""

import os
import subprocess
import sys
from pathlib import Path

import click
import msgspec
from msgspec.structs import asdict

from bus.errors import Refused
from cli.config import Settings
from cli.exits import Absent
from cli.options import placed
from cli.output import Form, formatted, print_one, talk
from cli.reach import Daemon, card_of, daemon_of

LOOK_S = 0.02
START = "import sys; sys.path.append(sys.argv.pop(1)); from cli.main import main; main()"
"""Run with -P: a folder named `cli` in the user's project must not be taken for ours."""


@click.command("up")
@click.option("--detach", "-d", is_flag=True, help="Run in the background; return when it is ready.")
@placed
@formatted
def verb(detach: bool, settings: Settings, form: Form) -> int:
    """Start Witan: its NATS server (unless --nats names one), its actors, its tables. Stop it with Ctrl-C.

    witan up --detach
    """
    holder = daemon_of(settings)
    if holder:
        raise Absent(
            f"Witan runs in {settings.state_dir} already: pid {holder.pid}, since {holder.started}",
            "Use it as it is, stop it with `witan down`, or choose another --state-dir.",
        )
    if not detach:
        from cli.daemon import run

        try:
            return run(settings)
        except Refused as error:
            raise Absent(str(error), error.what_next) from error
    daemon = start(settings)
    print_one({"pid": daemon.pid, "url": daemon.public_url or daemon.url, "log": str(log_of(settings))}, form)
    talk('Ready. Next: witan submit "what to build" --watch | witan status | witan down')
    return 0


def log_of(settings: Settings) -> Path:
    """Where a daemon in the background writes what it has to say."""
    return settings.state_dir / "witan.log"


def start(settings: Settings) -> Daemon:
    """A daemon in a session of its own, with these settings, ready for work."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with open(log_of(settings), "ab") as said:
        begin = said.tell()
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", START, str(Path(__file__).parents[2]), "up"],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            env={**os.environ, **_as_environment(settings)},
        )
    try:
        daemon = _when_ready(settings, child)
    except BaseException:
        child.terminate()
        child.wait()
        raise
    if daemon is None:
        raise _failure(settings, log_of(settings).read_bytes()[begin:].decode(errors="replace"))
    child.returncode = 0  # it lives on without us
    return daemon


def _when_ready(settings: Settings, child: "subprocess.Popen[bytes]") -> Daemon | None:
    """Its card, which it writes when it is ready; nothing if it ended first."""
    while True:
        daemon = card_of(settings)
        if daemon and daemon.pid == child.pid:
            return daemon
        try:
            child.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            continue
        return None


def _failure(settings: Settings, said: str) -> Absent:
    """Why it did not start, in its own words."""
    lines = said.splitlines()
    first = next((number for number, line in enumerate(lines) if line.startswith("witan: ")), None)
    if first is None:
        return Absent("Witan did not start", f"Read {log_of(settings)}.")
    hint = " ".join(line.strip() for line in lines[first + 1 :])
    return Absent(f"Witan did not start: {lines[first].removeprefix('witan: ')}", hint)


def _as_environment(settings: Settings) -> dict[str, str]:
    """The settings so that the daemon reads the same: it gets them all, wherever they were said."""
    told = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(settings).items()}
    return {
        f"WITAN_{name.upper()}": value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in told.items()
    }
