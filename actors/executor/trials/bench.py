"""Where candidates are tried: each in a tree of its own, that is gone when it is told what came of it."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog

from actors import tools
from actors.council.problem import read_proposal
from actors.executor.commands import Commands
from actors.executor.files.looking import listing
from actors.executor.files.room import Room
from actors.executor.git.opened import Opened, place_of
from actors.executor.git.removing import remove_folder
from actors.executor.git.trees import lay_out
from actors.executor.git.workspaces import tree_of
from actors.executor.jobs import Job, Place, excerpt
from actors.executor.sandbox.orders import Ended
from actors.executor.telling import ms_since
from actors.executor.trials.changes import Planned, planned, put
from actors.executor.trials.checking import Syntax, syntax_of, types_command
from actors.executor.trials.gathering import gathered
from actors.executor.trials.likeness import likeness, lines_changed
from actors.executor.trials.wanted import Found, Gather, Trial
from actors.redaction import Redactor
from actors.territory import Territory
from bus.errors import Missing, WitanError
from bus.messages.base import TestResults
from bus.messages.trial import CandidateTried, GatheringFailed
from bus.messages.workspace import WorkspaceOpened

COMMANDS_AT_ONCE = 2
LEAST_S = 0.5
"""With less time than this no command is begun."""
TYPES_MAX_S = 60.0
BESIDE = ("node_modules", ".venv", "venv")
"""What a project was installed with is not in git; it is lent to the tree, to be read."""
NO_TIME, NO_COMMAND = "there was no time left to test it", "nothing here says how it is tested"


class _Tree(NamedTuple):
    """A tree of its own, with the changes in it."""

    folder: Path
    plan: Planned
    likeness: str
    lines: int
    types: str
    beside: list[str]


class _Interrupted(Exception):
    """It was stopped from outside."""

    def __init__(self, why: str) -> None:
        self.why = why


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
        self._turns = asyncio.Semaphore(COMMANDS_AT_ONCE)
        self._log = structlog.get_logger().bind(actor="executor")

    def clear(self) -> None:
        """Remove what an earlier life left."""
        for left in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            remove_folder(left.with_name(left.name.removesuffix(".gone")))

    async def gather(self, wanted: Gather) -> Found:
        """The problem as it lies in the workspace, or why it cannot be said."""
        try:
            place = _place_of(wanted.opened)
            async with self._room(place.task):
                found: Found = await self._in_thread(partial(gathered, place, wanted, self._redactor))
                return found
        except WitanError as error:
            reason = str(error)
        except Exception as error:
            self._log.error("a problem was not gathered", cause=wanted.key, exc_info=error)
            reason = f"{type(error).__name__}: {error}"
        return Found(wanted, GatheringFailed(reason=self._redactor.text(reason)))

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
        await self._in_thread(partial(_remove, folder))
        return found

    async def _tried(self, trial: Trial, folder: Path, began: float) -> Found:
        """It is tested while it is read; when it turns out that it cannot be read, its tests are stopped."""
        place = _place_of(trial.opened)
        tree = trial.tree
        if not tree:
            async with self._room(place.task):
                tree = await self._in_thread(partial(tree_of, place))
        made: _Tree = await self._in_thread(partial(_make, place, tree, folder, trial))
        told = CandidateTried(trial.candidate, applies=True, likeness=made.likeness, lines=made.lines)
        reading = asyncio.ensure_future(self._read(trial, made.plan))
        try:
            async with self._turns:
                event, blobs = await self._tested(trial, made, told, began)
        except _Interrupted as stopped:
            if stopped.why == "freeze" or (await reading).right is not False:
                raise
        except BaseException:
            reading.cancel()
            raise
        syntax = await reading
        if syntax.right is False:
            event, blobs = told, []
        reason = self._redactor.text(syntax.reason) or event.reason
        event = msgspec.structs.replace(event, syntax=syntax.right, reason=reason, ms=ms_since(began))
        return Found(trial, event, tuple(blobs))

    async def _read(self, trial: Trial, plan: Planned) -> Syntax:
        syntax: Syntax = await self._in_thread(partial(syntax_of, plan.before, plan.after))
        if syntax.right is False:
            self._commands.stop(trial.key, "cancel")
        return syntax

    async def _tested(
        self, trial: Trial, made: _Tree, event: CandidateTried, began: float
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

    async def _types(self, trial: Trial, made: _Tree, began: float) -> bool | None:
        """None: there was no time, or no such checker, or it did not come to a result."""
        left_s = min(TYPES_MAX_S, _left_s(trial, began))
        if left_s <= LEAST_S:
            return None
        try:
            ended = await self._run(_job(trial)._replace(name="types"), made, made.types, left_s)
        except WitanError:
            return None
        return {0: True, 1: False}.get(-1 if ended.exit is None else ended.exit)

    async def _run(self, job: Job, made: _Tree, command: str, left_s: float) -> Ended:
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


def _left_s(trial: Trial, began: float) -> float:
    return trial.until_s - trial.now_s - (time.perf_counter() - began)


def _place_of(opened: WorkspaceOpened | None) -> Opened:
    if opened is None or not Path(opened.path).is_dir():
        raise Missing("the task has no workspace")
    return Opened(opened.repo, opened.branch, opened.base, opened.target, opened.path)


def _make(place: Opened, tree: str, folder: Path, trial: Trial) -> _Tree:
    """The workspace as it is now, in a folder that nobody else knows, with the changes in it."""
    proposal = read_proposal(trial.solution)
    _remove(folder)
    folder.mkdir(parents=True)
    lay_out(place_of(place), tree, folder)
    beside = [str(path) for name in BESIDE if _lends(path := Path(place.path, name), folder / name)]
    with Room(folder, Territory(trial.territory)) as room:
        plan = planned(room, proposal)
        put(room, plan.after)
        types = types_command(room, listing(folder), plan.after)
    before, after = plan.before, plan.after
    return _Tree(folder, plan, likeness(before, after), lines_changed(before, after), types, beside)


def _lends(path: Path, link: Path) -> bool:
    if path.is_symlink() or not path.is_dir() or os.path.lexists(link):
        return False
    link.symlink_to(path)
    return True


def _remove(folder: Path) -> None:
    if os.path.lexists(folder) or os.path.lexists(folder.with_name(folder.name + ".gone")):
        remove_folder(folder)


def _job(trial: Trial) -> Job:
    """The command as those know it who run it. Nobody lets it use the network."""
    task = trial.opened.branch if trial.opened else ""
    place = Place(task, "", "", trial.opened)
    test = tools.Test(command=trial.tests)
    return Job(
        trial.key, "", "council", trial.council, "", trial.candidate, trial.again, "test", test, place,
        trial.territory, network=False, produces="",
    )  # fmt: skip
