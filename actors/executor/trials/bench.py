"""Where candidates are tried: each in a tree of its own, that is gone when it is told what came of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog

from actors import tools
from actors.executor.commands import Commands
from actors.executor.git.removing import remove_folder
from actors.executor.git.workspaces import tree_of
from actors.executor.jobs import Job, Place, excerpt
from actors.executor.sandbox.orders import Ended
from actors.executor.telling import ms_since
from actors.executor.trials.changes import Planned
from actors.executor.trials.checking import Syntax, syntax_of
from actors.executor.trials.gathering import gathered
from actors.executor.trials.likeness import likeness as likeness_of
from actors.executor.trials.likeness import lines_changed
from actors.executor.trials.scratch import Scratch, known_small, make, place_in, remove
from actors.executor.trials.wanted import Found, Gather, Trial
from actors.redaction import Redactor
from bus.errors import WitanError
from bus.messages.base import TestResults
from bus.messages.trial import CandidateTried, GatheringFailed, ProblemGathered

COMMANDS_AT_ONCE = 2
ASKED_S = 0.02
"""So long the members' own requests go first: reading ahead for their trials would hold them up."""
BEGUN_S = 0.005
"""So long the tests of a candidate go first, and then it is read."""
LEAST_S = 0.5
"""With less time than this no command is begun."""
TYPES_MAX_S = 60.0
NO_TIME, NO_COMMAND = "there was no time left to test it", "nothing here says how it is tested"


class _Interrupted(Exception):
    """It was stopped from outside."""

    def __init__(self, why: str) -> None:
        self.why = why


class _Read(NamedTuple):
    """What is to be read out of the changes themselves."""

    syntax: Syntax
    likeness: str
    lines: int


class Bench:
    """`in_thread` runs what blocks; `room` is what nobody else may be in while a task's workspace is read."""

    def __init__(
        self,
        folder: Path,
        commands: Commands,
        redactor: Redactor,
        *,
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
        room: Callable[[str], asyncio.Lock],
    ) -> None:
        self._folder, self._commands, self._redactor = folder, commands, redactor
        self._in_thread, self._room = in_thread, room
        self._ahead: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(COMMANDS_AT_ONCE)
        self._making = asyncio.Lock()  # one after another, the first of them is there sooner
        self._log = structlog.get_logger().bind(actor="executor")

    def clear(self) -> None:
        """Remove what an earlier life left."""
        for left in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            remove_folder(left.with_name(left.name.removesuffix(".gone")))

    async def gather(self, wanted: Gather) -> Found:
        """The problem as it lies in the workspace, or why it cannot be said."""
        try:
            place = place_in(wanted.opened)
            async with self._room(place.task):
                found: Found = await self._in_thread(partial(gathered, place, wanted, self._redactor))
            if isinstance(found.event, ProblemGathered):
                self._read_ahead(place.repo, found.event.tree)
            return found
        except WitanError as error:
            reason = str(error)
        except Exception as error:
            self._log.error("a problem was not gathered", cause=wanted.key, exc_info=error)
            reason = f"{type(error).__name__}: {error}"
        return Found(wanted, GatheringFailed(reason=self._redactor.text(reason)))

    def _read_ahead(self, repo: str, tree: str) -> None:
        """While the members think; first they are asked."""

        async def read() -> None:
            await asyncio.sleep(ASKED_S)
            with suppress(WitanError):
                await self._in_thread(partial(known_small, repo, tree))

        reading = asyncio.get_running_loop().create_task(read())
        self._ahead.add(reading)
        reading.add_done_callback(self._ahead.discard)

    async def attempt(self, trial: Trial) -> Found:
        """What the candidate comes to, at most until the council's time is over."""
        began = time.perf_counter()
        folder = self._folder / trial.key.replace("/", "_")
        try:
            found = await self._tried(trial, folder, began)
        except _Interrupted as stopped:
            event = CandidateTried(candidate=trial.candidate, applies=True, reason="it was stopped")
            found = Found(trial, event, interrupted="freeze" if stopped.why == "freeze" else "cancel")
        except WitanError as error:
            found = self._unfit(trial, str(error), began)
        except Exception as error:
            self._log.error("a trial failed", cause=trial.key, exc_info=error)
            found = self._unfit(trial, f"{type(error).__name__}: {error}", began)
        await self._in_thread(partial(remove, folder))
        return found

    async def _tried(self, trial: Trial, folder: Path, began: float) -> Found:
        """It is tested while it is read; when it turns out that it cannot be read, its tests are stopped."""
        place = place_in(trial.opened)
        tree = trial.tree
        if not tree:
            async with self._room(place.task):
                tree = await self._in_thread(partial(tree_of, place))
        async with self._making:
            made: Scratch = await self._in_thread(partial(make, place, tree, folder, trial))
        told = CandidateTried(trial.candidate, applies=True)
        reading = asyncio.ensure_future(self._read(trial, made.plan))
        try:
            async with self._turns:
                event, blobs = await self._tested(trial, made, told, began)
        except _Interrupted as stopped:
            if stopped.why == "freeze" or (await reading).syntax.right is not False:
                raise
        except BaseException:
            reading.cancel()
            raise
        syntax, likeness, lines = await reading
        if syntax.right is False:
            event, blobs = told, []
        event = msgspec.structs.replace(
            event,
            syntax=syntax.right,
            likeness=likeness,
            lines=lines,
            reason=self._redactor.text(syntax.reason) or event.reason,
            ms=ms_since(began),
        )
        return Found(trial, event, tuple(blobs))

    async def _read(self, trial: Trial, plan: Planned) -> _Read:
        await asyncio.sleep(BEGUN_S)
        read: _Read = await self._in_thread(partial(_read, plan.before, plan.after))
        if read.syntax.right is False:
            self._commands.stop(trial.key, "cancel")
        return read

    async def _tested(
        self, trial: Trial, made: Scratch, event: CandidateTried, began: float
    ) -> tuple[CandidateTried, list[bytes]]:
        """Its tests, then its types where the tests do not speak against it."""
        blobs: list[bytes] = []
        left_s = _left_s(trial, began)
        reason = trial.unheld or ("" if trial.tests else NO_COMMAND) or ("" if left_s > LEAST_S else NO_TIME)
        ended = None
        if not reason:
            try:
                ended = await self._run(_job(trial), made, trial.tests, left_s)
            except WitanError as error:
                reason = f"nobody knows how its tests ended: {error}"
        if ended is not None:
            tests: TestResults | None = await self._in_thread(partial(self._commands.report, trial.key, ended))
            output, blobs = excerpt(self._redactor.raw(ended.head + ended.tail), ended.bytes)
            if ended.ended_by == "lost sandbox":
                tests = None
            reason = "" if ended.ended_by == "exit" else f"its tests were stopped: {ended.ended_by}"
            event = msgspec.structs.replace(event, tests=tests, output=output)
        event = msgspec.structs.replace(event, reason=event.reason or self._redactor.text(reason))
        if not trial.unheld and made.types and (event.tests is None or event.tests.green):
            event = msgspec.structs.replace(event, types=await self._types(trial, made, began))
        return event, blobs

    async def _types(self, trial: Trial, made: Scratch, began: float) -> bool | None:
        """None: there was no time, or no such checker, or it did not come to a result."""
        left_s = min(TYPES_MAX_S, _left_s(trial, began))
        if left_s <= LEAST_S:
            return None
        try:
            ended = await self._run(_job(trial)._replace(name="types"), made, made.types, left_s)
        except WitanError:
            return None
        return {0: True, 1: False}.get(-1 if ended.exit is None else ended.exit)

    async def _run(self, job: Job, made: Scratch, command: str, left_s: float) -> Ended:
        ended = await self._commands.run(
            job, made.folder, command, lambda _: None, lambda _: None, cap_s=left_s, readable=made.beside
        )
        if ended.ended_by in ("freeze", "cancel"):
            if job.name == "test":
                await self._in_thread(partial(self._commands.report, job.key, ended))
            raise _Interrupted(ended.ended_by)
        return ended

    def _unfit(self, trial: Trial, reason: str, began: float) -> Found:
        event = CandidateTried(
            candidate=trial.candidate, applies=False, reason=self._redactor.text(reason)[:2000], ms=ms_since(began)
        )
        return Found(trial, event)


def _read(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> _Read:
    return _Read(syntax_of(before, after), likeness_of(before, after), lines_changed(before, after))


def _left_s(trial: Trial, began: float) -> float:
    return trial.until_s - trial.now_s - (time.perf_counter() - began)


def _job(trial: Trial) -> Job:
    """The command as those know it who run it. Nobody lets it use the network."""
    task = trial.opened.branch if trial.opened else ""
    place = Place(task, "", "", trial.opened)
    test = tools.Test(command=trial.tests)
    return Job(
        trial.key, "", "council", trial.council, "", trial.candidate, trial.again, "test", test, place,
        trial.territory, network=False, produces="",
    )  # fmt: skip
