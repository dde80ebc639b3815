"""The daemon: one App in one folder, until a signal says stop."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from bus.errors import Refused
from cli import logs
from cli.config import Settings
from cli.head_start import HeadStart

if TYPE_CHECKING:
    from cli.app import App

CARD = "daemon.json"


def run(settings: Settings) -> int:
    """Hold the folder, open the App, wait for the signal, close it."""
    logs.configure(settings)
    import structlog  # as it was loaded there

    settings.state_dir.mkdir(parents=True, exist_ok=True)
    (settings.state_dir / ".gitignore").write_text("*\n")  # it often stands in somebody's repository
    stop = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)  # before the threads begin, so that they all leave them to us
    with _held(settings.state_dir):
        began = time.perf_counter()
        app = _begin(settings).open()
        try:
            _write_card(settings.state_dir / CARD, app)
            log = structlog.get_logger().bind(actor="daemon")
            log.info("ready", url=app.public_url, ms=round((time.perf_counter() - began) * 1000))
            caught = signal.sigwait(stop)
            log.info("stopping", signal=signal.Signals(caught).name)
        finally:
            (settings.state_dir / CARD).unlink(missing_ok=True)
            app.close()
    return 0


def _begin(settings: Settings) -> "App":
    """What takes its time comes up while the rest is imported."""
    begun = HeadStart(settings)
    try:
        from cli.app import App

        return App(settings, begun=begun)
    except BaseException:
        begun.close()
        raise


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The folder belongs to one daemon at a time; the lock goes with the process, however it ends."""
    with open(folder / "lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise Refused(
                f"another Witan holds {folder}: pid {lock.read().strip() or 'unknown'}",
                "Use it, stop it with `witan down`, or choose another --state-dir.",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _write_card(path: Path, app: "App") -> None:
    """Where this daemon is to be found; it holds the operator's password, so nobody else may read it."""
    try:
        number = version("witan")
    except PackageNotFoundError:
        number = "0"
    card = {
        "pid": os.getpid(),
        "url": app.url,
        "public_url": app.public_url,
        "monitor_url": app.server.monitor_url if app.server else "",
        "version": number,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(card, file)
    fresh.replace(path)
