"""`witan down`: stop the Witan of this folder."""

import os
import select
import signal
import time

import click

from bus.errors import Unavailable
from cli.config import Settings
from cli.options import placed
from cli.output import Form, formatted, print_one, talk
from cli.reach import daemon_of

LOOK_S = 0.05


@click.command("down")
@click.option(
    "--timeout", "timeout_s", type=float, default=30.0, help="Wait so many seconds for its end; 30 if not said."
)
@placed
@formatted
def verb(timeout_s: float, settings: Settings, form: Form) -> None:
    """Stop Witan, and wait until it is gone. What was going on continues at the next `witan up`."""
    daemon = daemon_of(settings)
    if daemon is None:
        talk(f"No Witan runs in {settings.state_dir}; there is nothing to stop.")
        return
    if not stop(daemon.pid, timeout_s):
        raise Unavailable(
            f"pid {daemon.pid} was asked to stop and has not ended within {timeout_s:g} s",
            f"Wait, or end it with: kill -9 {daemon.pid} (nothing that was acknowledged is lost)",
        )
    print_one({"stopped": daemon.pid, "since": daemon.started}, form)


def stop(pid: int, timeout_s: float = 30.0) -> bool:
    """Ask a process to end, and wait; whether it has."""
    try:
        watch = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return True
    if watch is None:
        return _look_until_gone(pid, timeout_s)
    ended = select.select([watch], [], [], timeout_s)[0]
    os.close(watch)
    return bool(ended)


def _look_until_gone(pid: int, timeout_s: float) -> bool:
    """Where the kernel does not tell, look."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(LOOK_S)
    return False
