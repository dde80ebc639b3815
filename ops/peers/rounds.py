"""Peers and Witan taking turns, each in a process of its own, and what each run printed."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ops.peers.environment import ROOT, Failed, python_of
from ops.peers.work import Figure

PATIENCE_S = 300


class Run(Figure):
    """A figure, and the cores that others kept busy meanwhile, which spoils it (None where the system does not say)."""

    others_cores: float | None


class Skipped(Exception):
    """There is nothing to run yet."""


def rounds(peers: list[str], count: int, workflows: int) -> Iterator[list[Run] | Failed | Skipped]:
    """Peer, Witan, next peer, Witan, and so on, so that whatever the machine does meanwhile happens to all of them."""
    for peer in peers * count:
        for system in (peer, "witan"):
            try:
                yield _runs(system, _command(system, workflows))
            except (Failed, Skipped) as reason:
                yield reason


def _command(system: str, workflows: int) -> list[str | Path]:
    if system != "witan":
        return [python_of(system), "-m", f"ops.peers.{system}", str(workflows)]
    if find_spec("ops.bench") is None:
        raise Skipped("witan: skipped, there is no ops.bench yet")
    return [sys.executable, "-m", "ops.bench", "--only", "pipelines", "--json"]


def _runs(system: str, command: list[str | Path]) -> list[Run]:
    began, others = time.perf_counter(), _others_s()
    printed = _output(system, command)
    wall_s, meanwhile = time.perf_counter() - began, _others_s()
    cores = None if others is None or meanwhile is None else round(max(0.0, meanwhile - others) / wall_s, 2)
    return [Run({**figure, "system": system, "others_cores": cores}) for figure in _figures(system, printed)]


def _output(system: str, command: list[str | Path]) -> str:
    """An interrupt, unlike a kill, lets a peer stop the server that it started."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        printed, said = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.communicate()
        raise Failed(f"{system}: not done after {PATIENCE_S} s") from None
    if process.returncode:
        raise Failed(f"{system}: {' '.join(map(str, command))}\n{said.strip()}")
    return printed


def _figures(system: str, printed: str) -> list[Figure]:
    """The JSON lines that have all that a figure has; other lines may stand between them."""
    try:
        lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    except ValueError as error:
        raise Failed(f"{system}: printed something other than JSON lines ({error})") from error
    wanted = Figure.__required_keys__ - {"system"}
    figures: list[Figure] = [line for line in lines if wanted <= line.keys()]
    if not figures:
        raise Failed(f"{system}: printed no line with {', '.join(sorted(wanted))}")
    return figures


def _others_s() -> float | None:
    """The seconds that all cores were busy, less those of our own children that have ended."""
    try:
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    except FileNotFoundError:
        return None
    ours = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK") - ours.ru_utime - ours.ru_stime
