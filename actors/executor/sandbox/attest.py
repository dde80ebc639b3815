"""The attestation: what really holds commands in on this machine, found out from inside."""

import json
import os
import select
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from actors.executor.sandbox import confine, sweep
from actors.executor.sandbox.orders import Level, Order
from actors.executor.sandbox.warden import Warden
from bus.errors import Refused, WitanError

LEVELS: tuple[Level, ...] = ("A", "B")
ABOUT = {
    "A": "bubblewrap: namespaces of its own, a filter of system calls, limits",
    "B": "Landlock, a filter of system calls, limits",
    "C": "nothing holds a command in",
}
CAP_S = 20.0
ENV = {"PATH": "/usr/bin:/bin", "WITAN_PROBE": "1"}


class Attestation(NamedTuple):
    """The best level at which every check held; at C, `failed` says what is missing at the levels above it."""

    level: Level
    about: str
    passed: list[str]
    failed: list[str]


class Sandbox(NamedTuple):
    """A warden at work and the level it works at; without a warden nothing is run, and `found` says why."""

    warden: Warden | None
    leftovers: int
    found: Attestation

    async def close(self) -> None:
        if self.warden is not None:
            await self.warden.close()


async def open_sandbox(folder: Path) -> Sandbox:
    """Find out what holds commands in, and see that nothing of an earlier life runs."""
    warden = Warden(folder)
    try:
        leftovers = await warden.open()
    except Refused as refused:
        return Sandbox(None, 0, Attestation("C", str(refused), [], []))
    try:
        found = await attest(warden, folder)
    except BaseException:
        await warden.close()
        raise
    warden.level = found.level
    return Sandbox(warden, leftovers, found)


async def attest(warden: Warden, folder: Path) -> Attestation:
    """Try the levels from the best to the worst. The warden's own level stays as it is; `folder` is for the probes."""
    missed: list[str] = []
    for level in LEVELS:
        held = await _probe(warden, folder, level)
        failed = [f"{level}: {name}" for name, ok in held.items() if not ok]
        if not failed:
            return Attestation(level, ABOUT[level], list(held), missed)
        missed += failed
    return Attestation("C", ABOUT["C"], [], missed)


async def _probe(warden: Warden, folder: Path, level: Level) -> dict[str, bool]:
    if level == "A" and not warden.bwrap:
        return {"bubblewrap is installed": False}
    if not confine.supported():
        return {"the system is known": False}
    place = Path(tempfile.mkdtemp(prefix="probe-", dir=folder)).resolve()
    try:
        with _targets(place) as (told, udp):
            held = await _run(warden, place, level, told)
            return {**held, "sends no datagram": not select.select([udp], [], [], 0)[0]}
    except (OSError, WitanError) as error:
        return {f"the probe ran ({error})": False}
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def _run(warden: Warden, place: Path, level: Level, told: dict[str, Any]) -> dict[str, bool]:
    room, own = place / "room", place / "room" / "own"
    (own / "told.json").write_text(json.dumps(told))
    shutil.copy(Path(__file__).with_name("probe.py"), room / "probe.py")
    python = Path(sys.executable).resolve()
    words = ["cd", str(own)], [str(python), "-I", "-S", str(room / "probe.py"), "told.json"]
    order = Order(
        f"probe-{place.name}-{level}", " && ".join(shlex.join(each) for each in words), str(room), dict(ENV),
        [sys.base_prefix, str(python)], [str(own)], str(own), warn_s=CAP_S, kill_s=CAP_S, cap_s=CAP_S,
    )  # fmt: skip
    said: list[bytes] = []
    ended = await warden.run(order, said.append, lambda _: None, level)
    words_said = (ended.head + ended.tail).decode(errors="replace").strip()
    if ended.exit != 0:
        return {f"the probe ran ({ended.ended_by}: {words_said[-300:]})": False}
    held: dict[str, bool] = json.loads(words_said.splitlines()[-1])
    return held


@contextmanager
def _targets(place: Path) -> Iterator[tuple[dict[str, Any], socket.socket]]:
    """What a probe is to try its hands on: a secret, listeners, this process."""
    for folder in ("outside", "room/own", "room/fixed"):
        (place / folder).mkdir(parents=True)
    (place / "outside" / "secret").write_text("secret")
    (place / "room" / "fixed" / "kept").write_text("kept")
    (place / "room" / "own" / "own").write_text("own")
    abstract = f"\0{place}"[:100]
    with (
        _listen(socket.AF_INET, ("127.0.0.1", 0)) as tcp,
        _bound(socket.AF_INET, ("127.0.0.1", 0)) as udp,
        _named(place / "outside") as (named, datagrams),
        _listen(socket.AF_UNIX, abstract),
    ):
        told = {
            "outside": str(place / "outside"), "fixed": str(place / "room" / "fixed"), "pid": os.getpid(),
            "tcp": tcp.getsockname()[1], "udp": udp.getsockname()[1], "named": named, "datagrams": datagrams,
            "abstract": abstract, "env": [*ENV, sweep.MARK], "namespace": os.readlink("/proc/self/ns/pid"),
        }  # fmt: skip
        yield told, udp


@contextmanager
def _named(folder: Path) -> Iterator[tuple[str, str]]:
    """Two sockets with names. A name is short, so it goes by way of an open folder."""
    opened = os.open(folder, os.O_PATH)
    here = f"/proc/self/fd/{opened}"
    try:
        with _listen(socket.AF_UNIX, f"{here}/stream"), _bound(socket.AF_UNIX, f"{here}/datagrams"):
            yield str(folder / "stream"), str(folder / "datagrams")
    finally:
        os.close(opened)


def _listen(family: int, address: Any) -> socket.socket:
    line = socket.socket(family, socket.SOCK_STREAM)
    line.bind(address)
    line.listen()
    return line


def _bound(family: int, address: Any) -> socket.socket:
    line = socket.socket(family, socket.SOCK_DGRAM)
    line.bind(address)
    return line
