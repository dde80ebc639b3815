"""The executor's hands: what it decided is done here, off its mailbox, and told back as one result."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from actors import tools
from actors.decider import Done, Effect, Progress
from actors.executor import deploying, finishing
from actors.executor.commands import Commands
from actors.executor.files.room import Room
from actors.executor.files.tools import perform
from actors.executor.git import opening, workspaces
from actors.executor.git.opened import Opened
from actors.executor.jobs import Backgrounded, Job, Order, Result, Silent, Stop, excerpt
from actors.executor.overseeing import Oversight
from actors.executor.sandbox.orders import Ended
from actors.executor.telling import ended, exec_ended, failed, ms_since, redacted
from actors.executor.trials.applying import apply
from actors.executor.trials.bench import Bench
from actors.executor.trials.wanted import Found, Gather, Trial
from actors.redaction import Redactor
from actors.territory import Territory
from bus.errors import WitanError
from bus.messages import exec as said
from bus.messages import workspace as told
from bus.messages.base import Event
from bus.messages.sandbox import SandboxAttested

THREADS = 4
SWEEP_S = 60.0
"""So often everything that runs is looked over."""


class _Open(NamedTuple):
    place: Opened
    events: list[Event]


class Hands:
    """Files by threads, commands by the warden, git by both of them never at once in one workspace."""

    def __init__(
        self,
        folder: Path,
        commands: Commands,
        environments: dict[str, deploying.Environment],
        publish: Callable[[str, bytes], None],
        redactor: Redactor,
        *,
        oversight: Oversight | None = None,
    ) -> None:
        self._oversight = oversight
        self._folder, self._commands, self._publish, self._redactor = folder, commands, publish, redactor
        self._environments = environments
        self._log = structlog.get_logger().bind(actor="executor")
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._rooms: dict[str, asyncio.Lock] = {}
        self._tell: Callable[[Progress | Done], None] = lambda _: None
        self._threads: ThreadPoolExecutor
        self._sweeping: asyncio.TimerHandle | None = None
        self._bench = Bench(folder / "trials", commands, redactor, in_thread=self._in_thread, room=self._room)
        self.leftovers = 0

    @property
    def attested(self) -> SandboxAttested:
        return self._commands.attested

    async def open(self, tell: Callable[[Progress | Done], None]) -> None:
        """Nothing of an earlier life runs when this returns, and it is known what holds commands in."""
        self._tell = tell
        self._threads = ThreadPoolExecutor(THREADS, "hands")
        self.leftovers = await self._commands.open()
        await self._in_thread(self._bench.clear)

    async def close(self) -> None:
        """Nothing that was begun goes on when this returns: the next life may do it again."""
        self._tell = lambda _: None
        for task in self._tasks.values():
            task.cancel()
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self._commands.close()
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._bench.clear)

    def perform(self, effect: Effect) -> None:
        """Begin what was decided."""
        match effect.what:
            case Stop(keys=keys, why=why):
                for key in keys:
                    self._commands.stop(key, why)
            case Job() as job:
                self._start(job.key, self._job(job))
            case Order() as order:
                self._start(order.key, self._order(order))
            case Gather() as wanted:
                self._start(wanted.key, self._for_council(self._bench.gather(wanted)))
            case Trial() as trial:
                self._sweep_later()
                self._start(trial.key, self._for_council(self._bench.attempt(trial)))

    def _start(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        task = self._tasks[key] = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda _: self._over(key))

    def _over(self, key: str) -> None:
        self._tasks.pop(key, None)
        self._commands.forget(key)

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _room(self, task: str) -> asyncio.Lock:
        return self._rooms.setdefault(task, asyncio.Lock())

    async def _for_council(self, work: Coroutine[Any, Any, Found]) -> None:
        found = await work
        self._tell(Done(found.work.key, found))

    async def _job(self, job: Job) -> None:
        """One call, from the workspace to its one end."""
        began = time.perf_counter()
        opened: list[Event] = []
        try:
            if job.name in tools.OVERSIGHT:
                self._tell(Done(job.key, redacted(await self._oversee(job, began), self._redactor)))
                return
            async with self._room(job.place.task):
                place = await self._in_thread(partial(_open_place, self._folder / "work", job))
                opened = place.events
            result = await self._do(job, place.place, began)
        except WitanError as error:
            result = failed(job, f"{error} {error.what_next}".strip(), began, "permission_denied")
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._log.error("a step failed", flow=job.place.task, cause=job.key, exc_info=error)
            result = failed(job, f"{type(error).__name__}: {error}", began, "unknown")
        told = redacted(result, self._redactor)
        self._tell(Done(job.key, told._replace(workspace=[*opened, *result.workspace])))

    async def _oversee(self, job: Job, began: float) -> Result:
        if self._oversight is None:
            return failed(job, "nobody can be asked about others here", began, "unknown")
        return await self._oversight.carry_out(job, began)

    async def _do(self, job: Job, place: Opened, began: float) -> Result:
        match job.tool:
            case tools.Run() | tools.Test():
                return await self._command(job, place)
            case tools.Git():
                text = await self._in_thread(partial(finishing.use_git, job, place))
                return ended(job, True, text, began)
            case tools.Deploy():
                return await self._deploy(job, place, began)
            case tools.Finish():
                made = await self._in_thread(partial(finishing.collect, job, place))
                end = said.ToolEnded(
                    call=job.call,
                    ok=True,
                    output=excerpt(made.text.encode())[0],
                    ms=ms_since(began),
                    artifacts=made.artifacts,
                    tree=made.saved.tree,
                    again=job.again,
                )
                saved = told.TreeSaved(run=job.run, phase=job.phase, tree=made.saved.tree, commit=made.saved.commit)
                return Result(job, [end], [saved], made.blobs)
            case _:
                result: Result = await self._in_thread(partial(_use_file, job, place, began))
                return result

    async def _command(self, job: Job, place: Opened) -> Result:
        """A command in the sandbox; after a while it goes on in the background."""
        aside = self._commands.limits.background_s
        wait_s = 0.0 if isinstance(job.tool, tools.Run) and job.tool.background else aside
        loop = asyncio.get_running_loop()
        timer = loop.call_later(wait_s, lambda: self._tell(Progress(job.key, Backgrounded())))
        self._sweep_later()
        try:
            if isinstance(job.tool, tools.Test):
                return await self._test(job, place)
            assert isinstance(job.tool, tools.Run)
            ended = await self._run(job, place, job.tool.command)
            return exec_ended(job, ended)
        except WitanError as error:
            lost = said.ExecLost(call=job.call, reason=str(error), again=job.again)
            return Result(job, [lost], [], [])
        finally:
            timer.cancel()

    async def _test(self, job: Job, place: Opened) -> Result:
        """The tests of the tree as it is; they count for that tree only if they leave it as it was."""
        assert isinstance(job.tool, tools.Test)
        tree = await self._in_thread(partial(workspaces.tree_of, place))
        command = job.tool.command or await self._in_thread(partial(finishing.test_command, place))
        if not command:
            return failed(job, "nothing here says how it is tested: give the `command`", 0, "unknown")
        ended = await self._run(job, place, command)
        results = await self._in_thread(partial(self._commands.report, job.key, ended))
        after = await self._in_thread(partial(workspaces.tree_of, place))
        unsaid = "" if job.tool.command else command
        result = exec_ended(job, ended, results, tree if after == tree else "", command=unsaid)
        if ended.ended_by != "exit" or after != tree:
            return result
        tested = told.TreeTested(
            tree=tree, run=job.run, passed=results.passed, failed=results.failed, errors=results.errors
        )
        return result._replace(workspace=[tested])

    async def _run(self, job: Job, place: Opened, command: str) -> Ended:
        subject, stream = f"live.output.{job.agent}.{job.run}", self._redactor.stream()
        return await self._commands.run(
            job,
            Path(place.path),
            command,
            lambda piece: self._publish(subject, stream.feed(piece)),
            lambda silent_s: self._tell(Progress(job.key, Silent(silent_s))),
        )

    async def _deploy(self, job: Job, place: Opened, began: float) -> Result:
        """Only a tree whose own tests passed is brought anywhere."""
        assert isinstance(job.tool, tools.Deploy)
        name = job.environment or job.tool.environment
        environment = self._environments.get(name)
        if environment is None:
            known = ", ".join(self._environments)
            return failed(job, f"there is no environment {name!r}; there are: {known}", began, "unknown")
        tree = await self._in_thread(partial(workspaces.tree_of, place))
        if tree not in job.green:
            why = f"refused: the tests of exactly this tree ({tree[:12]}) have not passed; use the `test` tool first"
            return failed(job, why, began, "permission_denied")
        run = partial(self._commands.run_in, job)
        done = await deploying.deploy(place, tree, environment, run)
        if done.reason:
            back = told.DeployRolledBack(environment=name, tree=tree, reason=done.reason, to=done.rolled_back_to or "")
            unfit = failed(job, f"the deployment was rolled back: {done.reason}", began, "unknown")
            return unfit._replace(workspace=[back])
        deployed = told.TreeDeployed(environment=name, tree=tree, place=str(done.place), health=done.health)
        text = f"{tree[:12]} is deployed to {name} at {done.place}; health: {done.health}"
        return ended(job, True, text, began)._replace(workspace=[deployed])

    async def _order(self, order: Order) -> None:
        """Merge a workspace into where it came from, or throw it away."""
        async with self._room(order.task):
            try:
                event = await self._in_thread(partial(finishing.carry_out, order))
            except WitanError as error:
                event = told.MergeRefused(order=order.order, reason=f"{error} {error.what_next}".strip())
            except Exception as error:
                self._log.error("an order failed", flow=order.task, cause=order.order, exc_info=error)
                event = told.MergeRefused(order=order.order, reason=f"{type(error).__name__}: {error}")
        self._rooms.pop(order.task, None)
        self._tell(Done(order.key, Result(order, [], [event], [])))

    def _sweep_later(self) -> None:
        """While anything runs, it is all looked over now and then: what is overdue is stopped once more."""
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        if self._commands.sweep():
            self._sweep_later()


def _open_place(folder: Path, job: Job) -> _Open:
    known = job.place.opened
    if known is not None and Path(known.path).is_dir():
        return _Open(Opened(known.repo, known.branch, known.base, known.target, known.path), [])
    place = opening.open_workspace(folder, job.place.task, job.place.repo, job.place.base)
    if known is not None:
        return _Open(place, [])
    opened = told.WorkspaceOpened(
        repo=str(place.repo), branch=place.branch, base=place.base, target=place.target, path=str(place.path)
    )
    return _Open(place, [opened])


def _use_file(job: Job, place: Opened, began: float) -> Result:
    with Room(Path(place.path), Territory(job.territory)) as room:
        if isinstance(job.tool, tools.Apply):
            outcome = apply(room, place, f"{job.run}/{job.call}/{job.tool.solution}", job.solution)
        else:
            outcome = perform(room, job.tool, job.redo)
    output, blobs = excerpt(outcome.text.encode())
    end = said.ToolEnded(
        call=job.call,
        ok=outcome.ok,
        output=output,
        ms=ms_since(began),
        failure=outcome.failure,
        read=list(outcome.read),
        created=list(outcome.created),
        wrote=list(outcome.wrote),
        again=job.again,
    )
    return Result(job, [end], [], blobs)
