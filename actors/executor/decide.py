"""What the executor decides: each requested call is begun once, in its run's order, and ends in one terminal event."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from actors import tools
from actors.agent.steps import Steps
from actors.agent.team import Team
from actors.decider import Done, Effects, Hold, Message, Progress
from actors.desk import Desk
from actors.executor.execs import Execs
from actors.executor.jobs import Backgrounded, Job, Order, Place, Result, Silent, Stop
from actors.executor.workspace import Workspace
from actors.orchestrator.task import Task
from bus.envelope import Record, open_envelope
from bus.errors import Invalid
from bus.messages import exec as said
from bus.messages import guardian, step
from bus.messages.agent import Alive
from bus.messages.base import Excerpt
from bus.messages.guardian import AcknowledgeFreeze, FreezeOrdered, JoinWatch
from bus.messages.sandbox import LeftoversKilled, SandboxAttested
from bus.messages.workspace import MergeRefused

GUARDIAN = "evt.guardian.main"
SANDBOX = "evt.sandbox.main"
UNHELD = (
    "Nothing holds commands in on this machine, so none is run. Install bubblewrap or use a Linux with Landlock; "
    "or accept it with `witan guardian waive-sandbox --reason …`."
)


class Hands(Effects, Protocol):
    """Whoever does it, and what they found out about this machine."""

    @property
    def attested(self) -> SandboxAttested: ...

    @property
    def leftovers(self) -> int: ...


class _Known(NamedTuple):
    """What the executor keeps in mind of a run while it lasts."""

    task: str
    phase: str
    role: str
    repo: str
    base: str
    produces: str
    environment: str


class Executor:
    """The only one who touches files and starts processes."""

    name = "executor"
    follows: Sequence[str] = ("evt.step.*.*", "evt.guardian.*")
    watches: Sequence[str] = (GUARDIAN,)
    ignores: Sequence[type] = (
        step.StepsOpened,
        step.ModelRequested,
        step.StepRefused,
        step.StepEnded,
        step.StepRecoveryStarted,
        step.StepRecoveryEnded,
        step.PlaybookOpened,
        step.PlaybookSucceeded,
        step.PlaybookFailed,
        step.ChecklistExtended,
        step.ChecklistItemDone,
        step.HelpAsked,
    )
    beat_s = 0.0
    woken_as: Sequence[str] = ()

    def __init__(self, team: Team, hands: Hands, produces: Callable[[str, str], str]) -> None:
        self.team, self.hands, self.produces = team, hands, produces
        self.effects: Effects | None = hands
        self.known: dict[str, _Known] = {}
        self.lines: dict[str, deque[Job]] = {}
        """By run: its calls in order; the first is under way."""
        self.aside: dict[str, Job] = {}
        """By key: commands in the background, which no longer hold their line up."""

    def ready(self, desk: Desk) -> bool:
        return not desk.state(GUARDIAN).frozen

    def beats(self) -> list[Alive]:
        return []

    def opened_by(self, message: Message) -> str:
        return ""

    def resume_after(self, last: Callable[[str], Record | None], head: int) -> int:
        """Where its own newest commit says that it was."""
        newest = [last(pattern) for pattern in ("evt.exec.*.*", "evt.workspace.*", SANDBOX)]
        return max((open_envelope(record).after for record in newest if record), default=0)

    def recover(self, desk: Desk, message: Message) -> None:
        """Say what holds commands in now, and what was left of an earlier life."""
        self.known, self.lines, self.aside = {}, {}, {}
        desk.append(SANDBOX, self.hands.attested)
        if self.hands.leftovers:
            desk.append(SANDBOX, LeftoversKilled(count=self.hands.leftovers))
        desk.send("guardian", "join_watch", JoinWatch(actor=self.name))
        if frozen := desk.state(GUARDIAN).frozen:
            desk.send("guardian", "acknowledge_freeze", AcknowledgeFreeze(order=frozen, actor=self.name))

    def decide(self, desk: Desk, message: Message) -> None:
        """One message, whatever it is."""
        body = message.body
        match body:
            case step.ToolRequested():
                if body.tool in tools.EXECUTED:
                    self._requested(desk, message, body)
            case Progress():
                self._progress(desk, body)
            case Done(told=Result()):
                self._done(desk, body.key, body.told)
            case step.StepsClosed():
                self._run_closed(desk, message.subject)
            case FreezeOrdered():
                self._stop(desk, [*self._under_way()], "freeze")
                desk.send("guardian", "acknowledge_freeze", AcknowledgeFreeze(order=body.order, actor=self.name))
            case guardian.MergeApproved():
                self._order(desk, message, body.task, "merge")
            case guardian.DiscardOrdered():
                self._order(desk, message, body.task, "discard")
            case _:
                pass

    def _requested(self, desk: Desk, message: Message, wish: step.ToolRequested) -> None:
        _, _, agent, run = message.subject.split(".")
        subject = f"evt.exec.{agent}.{run}"
        key = f"{run}/{wish.call}/{wish.again}"
        execs: Execs = desk.state(subject)
        if execs.has_ended(wish.call, wish.again) or key in self.aside:
            return
        line = self.lines.setdefault(run, deque())
        if any(job.key == key for job in line):
            return
        if desk.state(GUARDIAN).frozen:
            raise Hold
        if execs.has_begun(wish.call, wish.again):
            lost = said.ExecLost(call=wish.call, reason="the executor stopped while it ran", again=wish.again)
            desk.append(subject, lost, flow=message.flow)
            return
        job = self._job(desk, message, wish, key)
        if job is None:
            return
        desk.open(key)
        line.append(job)
        if line[0] is job:
            self._begin(desk, job)

    def _job(self, desk: Desk, message: Message, wish: step.ToolRequested, key: str) -> Job | None:
        _, _, agent, run = message.subject.split(".")
        known = self._known(desk, message.subject, run)
        try:
            tool = tools.read_input(wish.tool, wish.input)
        except Invalid as wrong:  # the agent has looked already; another version of it may have looked less closely
            self._refuse(desk, f"evt.exec.{agent}.{run}", wish.call, wish.again, str(wrong))
            return None
        return Job(
            key,
            f"evt.exec.{agent}.{run}",
            agent,
            run,
            known.phase,
            wish.call,
            wish.again,
            wish.tool,
            tool,
            Place(known.task, known.repo, known.base, None),
            tuple(self.team.territory(agent, known.role)),
            known.role in self.team.roles and self.team.roles[known.role].network,
            known.produces,
            environment=known.environment,
            redo=not message.fresh,
        )

    def _begin(self, desk: Desk, job: Job) -> None:
        """The call is the first of its line: do it, with the workspace as it is known now."""
        workspace: Workspace = desk.state(f"evt.workspace.{job.place.task}")
        level = self.hands.attested.level
        if workspace.status in ("merged", "discarded"):
            self._refuse(desk, job.subject, job.call, job.again, f"the workspace was {workspace.status}")
            self._next(desk, job)
            return
        if job.name in ("run", "test", "deploy"):
            if level == "C" and not desk.state(GUARDIAN).waived:
                self._refuse(desk, job.subject, job.call, job.again, UNHELD)
                self._next(desk, job)
                return
            if job.name != "deploy":
                started = said.ExecStarted(call=job.call, level=level, again=job.again)
                desk.append(job.subject, started, flow=job.place.task)
        execs: Execs = desk.state(job.subject)
        told = job._replace(
            place=job.place._replace(opened=workspace.opened),
            green=frozenset(workspace.green),
            tests=execs.tests,
            now_s=desk.message.now_s,
        )
        self.lines[job.run][0] = told
        desk.perform(job.key, told)

    def _next(self, desk: Desk, job: Job) -> None:
        """A call is out of the way: the run's next one begins."""
        line = self.lines.get(job.run)
        desk.close(job.key)
        self.aside.pop(job.key, None)
        if line and line[0].key == job.key:
            self._shift(desk, line)

    def _shift(self, desk: Desk, line: deque[Job]) -> None:
        line.popleft()
        if line:
            self._begin(desk, line[0])

    def _progress(self, desk: Desk, progress: Progress) -> None:
        job = self._under_way().get(progress.key)
        if job is None:
            return
        match progress.told:
            case Backgrounded():
                desk.append(job.subject, said.ExecBackgrounded(call=job.call, again=job.again), flow=job.place.task)
                self.aside[job.key] = job
                line = self.lines[job.run]
                if line and line[0].key == job.key:
                    self._shift(desk, line)
            case Silent(silent_s=silent_s):
                silent = said.ExecSilent(call=job.call, silent_s=silent_s, again=job.again)
                desk.append(job.subject, silent, flow=job.place.task)

    def _done(self, desk: Desk, key: str, result: Result) -> None:
        """What was done goes on the log: the workspace first, then the call's one end."""
        work = result.work
        for blob in result.blobs:
            desk.keep(blob)
        task = work.task if isinstance(work, Order) else work.place.task
        if result.workspace:
            desk.append(f"evt.workspace.{task}", *result.workspace, flow=task)
        if isinstance(work, Order):
            desk.close(key)
        elif key in self._under_way():
            desk.append(work.subject, *result.execs, flow=task)
            self._next(desk, work)

    def _under_way(self) -> dict[str, Job]:
        return {line[0].key: line[0] for line in self.lines.values() if line} | self.aside

    def _run_closed(self, desk: Desk, subject: str) -> None:
        """The run is over: what still waits is not begun, what still runs is stopped."""
        run = subject.rsplit(".", 1)[1]
        line = self.lines.get(run, deque())
        while len(line) > 1:
            waiting = line.pop()
            self._refuse(desk, waiting.subject, waiting.call, waiting.again, "the run was over before this began")
            desk.close(waiting.key)
        running = [job for job in self._under_way().values() if job.run == run]
        self._stop(desk, [job.key for job in running], "cancel")
        self.known.pop(run, None)
        if not running:
            self.lines.pop(run, None)
            desk.forget(subject.replace("evt.step.", "evt.exec.", 1))

    def _stop(self, desk: Desk, keys: list[str], why: str) -> None:
        if keys:
            desk.perform(f"stop/{desk.message.id}", Stop(tuple(keys), why))

    def _refuse(self, desk: Desk, subject: str, call: str, again: int, reason: str) -> None:
        ended = said.ToolEnded(
            call=call, ok=False, output=Excerpt(reason), ms=0, failure="permission_denied", again=again
        )
        desk.append(subject, ended, flow=desk.message.flow)

    def _order(self, desk: Desk, message: Message, task: str, what: str) -> None:
        order = message.subject.rsplit(".", 1)[1]
        workspace: Workspace = desk.state(f"evt.workspace.{task}")
        key = f"{what}/{order}"
        if order in workspace.orders or key in self.aside:
            return
        if workspace.opened is None or workspace.status != "open":
            why = "there is no workspace" if workspace.opened is None else f"it was {workspace.status} already"
            desk.append(f"evt.workspace.{task}", MergeRefused(order=order, reason=why), flow=task)
            return
        desk.open(key)
        desk.perform(key, Order(key, order, task, what, workspace.opened, message.now_s))

    def _known(self, desk: Desk, subject: str, run: str) -> _Known:
        """What the run is about; read once in its life."""
        known = self.known.get(run)
        if known is None:
            steps: Steps = desk.peek(subject)
            task: Task = desk.peek(f"evt.task.{steps.task}")
            overrides = task.context.get("overrides")
            wanted = overrides.get("deployment_environment", "") if isinstance(overrides, dict) else ""
            produces = self.produces(task.workflow, steps.phase)
            known = _Known(steps.task, steps.phase, steps.role, task.repo, task.base, produces, str(wanted))
            self.known[run] = known
        return known
