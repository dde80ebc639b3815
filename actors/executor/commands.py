"""Commands of a run: their environment, what they may write, their limits, and the warden that runs them."""

import asyncio
import math
import shutil
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from actors.executor import reports
from actors.executor.files.looking import listing
from actors.executor.jobs import Job
from actors.executor.sandbox.attest import Sandbox, open_sandbox
from actors.executor.sandbox.orders import Ended, Order
from actors.executor.sandbox.warden import Warden
from actors.territory import Territory, kernel_parts
from bus.errors import Refused
from bus.messages.base import TestResults
from bus.messages.exec import EndedBy
from bus.messages.sandbox import SandboxAttested

Begun = Callable[[], Awaitable[Sandbox]]
PATH = f"{Path(sys.prefix, 'bin')}:/usr/local/bin:/usr/bin:/bin"


class Limits(msgspec.Struct, frozen=True):
    """The five layers of safety, as configured."""

    warn_s: float = 30
    kill_s: float = 60
    cap_s: float = 300
    background_s: float = 5
    output_max_bytes: int = 1024 * 1024
    memory_max_bytes: int = 4 * 1024**3


class Commands:
    """Runs them, one folder of scratch space each."""

    def __init__(self, folder: Path, readable: list[str], limits: Limits, begun: Begun | None = None) -> None:
        self._folder, self._readable, self.limits = folder, readable, limits
        self._begun = begun
        """A sandbox that is being opened already; it can be had once."""
        self._warden: Warden | None = None
        self._stopped: dict[str, EndedBy] = {}
        """What was to be stopped, perhaps before it had begun."""
        self.attested = SandboxAttested(level="C", about="not attested yet")

    async def open(self) -> int:
        """Find out what holds commands in, and see that nothing of an earlier life runs. Answers how much was left."""
        begun, self._begun = self._begun, None
        self._warden, leftovers, found = await (begun() if begun else open_sandbox(self._folder))
        self.attested = SandboxAttested(level=found.level, about=found.about, passed=found.passed, failed=found.failed)
        for old in self._folder.glob("scratch-*"):
            shutil.rmtree(old, ignore_errors=True)
        return leftovers

    async def close(self) -> None:
        if self._warden is not None:
            await self._warden.close()

    def stop(self, key: str, why: EndedBy) -> None:
        """End it, or do not begin it."""
        self._stopped[key] = why
        if self._warden is not None:
            self._warden.stop(key, why)

    def forget(self, key: str) -> None:
        """Nothing more is done under this key."""
        self._stopped.pop(key, None)

    def sweep(self) -> bool:
        """Whether anything still runs."""
        return bool(self._warden and self._warden.running())

    async def run(
        self,
        job: Job,
        cwd: Path,
        command: str,
        said: Callable[[bytes], None],
        silent: Callable[[float], None],
        *,
        cap_s: float = math.inf,
        readable: Sequence[str] = (),
    ) -> Ended:
        """One command in the workspace, with what its agent's territory lets it write."""
        territory = Territory(job.territory)
        parts = ["./"] if territory.covers(".") else kernel_parts(territory, await asyncio.to_thread(listing, cwd))
        writable = [str(cwd / part) for part in parts]
        return await self._order(job, cwd, command, writable, said, silent, cap_s=cap_s, readable=readable)

    async def run_in(self, job: Job, command: str, cwd: Path, writable: list[str]) -> tuple[int, str]:
        """A command of a deployment; its exit and what it said."""
        ended = await self._order(job, cwd, command, writable, lambda _: None, lambda _: None)
        exit = ended.exit if ended.ended_by == "exit" and ended.exit is not None else 1
        return exit, (ended.head + ended.tail).decode(errors="replace")

    async def _order(
        self,
        job: Job,
        cwd: Path,
        command: str,
        writable: list[str],
        said: Callable[[bytes], None],
        silent: Callable[[float], None],
        *,
        cap_s: float = math.inf,
        readable: Sequence[str] = (),
    ) -> Ended:
        if self._warden is None:
            raise Refused("commands cannot be run here", self.attested.about)
        scratch = self._scratch(job.key)
        scratch.mkdir(parents=True, exist_ok=True)
        limits = self.limits
        order = Order(
            id=job.key,
            command=command,
            cwd=str(cwd),
            env=self._environment(scratch),
            readable=[*self._readable, *readable],
            writable=writable,
            scratch=str(scratch),
            network=job.network,
            warn_s=limits.warn_s,
            kill_s=limits.kill_s,
            cap_s=min(cap_s, limits.cap_s),
            output_max_bytes=limits.output_max_bytes,
            memory_max_bytes=limits.memory_max_bytes,
        )
        try:
            if why := self._stopped.get(job.key):
                return Ended(ended_by=why, exit=None, ms=0, head=b"", tail=b"", bytes=0, swept=0)
            return await self._warden.run(order, said, silent)
        finally:
            if job.name != "test":
                shutil.rmtree(scratch, ignore_errors=True)

    def report(self, key: str, ended: Ended) -> TestResults:
        """What the tests came to, from their own report or from what they said."""
        scratch = self._scratch(key)
        output = (ended.head + ended.tail).decode(errors="replace")
        try:
            return reports.read_report(scratch / "report.xml", ended.exit, output)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _scratch(self, key: str) -> Path:
        return self._folder / f"scratch-{key.replace('/', '_')}"

    def _environment(self, scratch: Path) -> dict[str, str]:
        """The whole environment of a command: nothing of the daemon's own goes in."""
        return {
            **reports.polite_env(str(scratch / "report.xml")),
            "PATH": PATH,
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "LANG": "C.UTF-8",
        }
