"""What the executor decides: each requested call is begun once, in its run's order, and ends in one terminal event."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, get_args

from actors import tools
from actors.agent.steps import all_but
from actors.agent.team import Team
from actors.apart import whole
from actors.decider import Done, Effects, Hold, Message, Plain, Progress
from actors.desk import Desk
from actors.executor.about import About, read_about
from actors.executor.execs import Execs
from actors.executor.jobs import Backgrounded, Job, Order, Place, Result, Silent, Stop, fitting
from actors.executor.trials.decide import Trials
from actors.executor.trials.wanted import Found
from actors.executor.workspace import Workspace
from bus.envelope import Record, open_envelope
from bus.errors import Invalid, Missing
from bus.messages import council, guardian, step
from bus.messages import exec as said
from bus.messages.base import Excerpt
from bus.messages.guardian import AcknowledgeFreeze, FreezeOrdered, JoinWatch
from bus.messages.sandbox import LeftoversKilled, SandboxAttested
from bus.messages.workspace import MergeRefused, WorkspaceOpened

GUARDIAN = "evt.guardian.main"
SANDBOX = "evt.sandbox.main"
UNHELD = (
    "Nothing holds commands in on this machine, so none is run. Install bubblewrap or use a Linux with Landlock; "
    "or accept it with `witan guardian waive-sandbox --reason …`."
)
BEHIND_LOST = "it was not begun: a call before it was lost, and is made once more first"
TOO_LATE = "the run was over before this began"
HEARD_OF_COUNCILS = (council.CouncilConvened, council.TrialAsked, council.CouncilEnded)
UNHEARD = tuple(each for each in get_args(council.CouncilEvent) if each not in HEARD_OF_COUNCILS)


class Hands(Effects, Protocol):
    """Whoever does it, and what they found out about this machine."""

    @property
    def attested(self) -> SandboxAttested: ...

    @property
    def leftovers(self) -> int: ...


class Executor(Plain):
    """The only one who touches files and starts processes."""

    name = "executor"
    follows: Sequence[str] = ("evt.step.*.*", "evt.guardian.*", "evt.council.*")
    watches: Sequence[str] = (GUARDIAN,)
    ignores: Sequence[type] = (*all_but(step.ToolRequested, step.StepsClosed), *UNHEARD)

    def __init__(self, team: Team, hands: Hands, produces: Callable[[str, str], str]) -> None:
        self.team, self.hands, self.produces = team, hands, produces
        self.effects: Effects | None = hands
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.known: dict[str, About] = {}
        self.lines: dict[str, deque[Job]] = {}
        """By run: its calls that wait, in order."""
        self.first: dict[str, Job] = {}
        """By run: the call that is under way and holds the line up."""
        self.aside: dict[str, Job] = {}
        """By key: commands in the background, which hold nothing up."""
        self.closing: set[str] = set()
        """Runs that are over but for what is being stopped."""
        self.ordered: dict[str, str] = {}
        """By task: the order about its workspace that is under way."""
        self.trials = Trials()

    def ready(self, desk: Desk) -> bool:
        return not desk.state(GUARDIAN).frozen

    def resume_after(self, last: Callable[[str], Record | None], head: int) -> int:
        """Where its own newest commit says that it was."""
        newest = [last(pattern) for pattern in ("evt.exec.*.*", "evt.workspace.*", "evt.trial.*", SANDBOX)]
        return max((open_envelope(record).after for record in newest if record), default=0)

    def recover(self, desk: Desk, message: Message) -> None:
        """Say what holds commands in now, and what was left of an earlier life."""
        self._begin_anew()
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
            case Done(told=Found()):
                self.trials.found(desk, body.told)
            case step.StepsClosed():
                self._run_closed(desk, message.subject)
            case council.CouncilConvened() | council.TrialAsked() | council.CouncilEnded():
                self.trials.hear(desk, message, self._unheld(desk))
            case FreezeOrdered():
                if desk.state(GUARDIAN).frozen == body.order:
                    keys = [*(job.key for job in self._under_way()), *self.trials.under_way]
                    self._stop(desk, keys, "freeze")
                desk.send("guardian", "acknowledge_freeze", AcknowledgeFreeze(order=body.order, actor=self.name))
            case guardian.ThawOrdered():
                for run in list(self.lines):
                    self._advance(desk, run)
                self.trials.advance(desk)
            case guardian.MergeApproved():
                self._order(desk, message, body.task, "merge")
            case guardian.DiscardOrdered():
                self._order(desk, message, body.task, "discard")
            case _:
                pass

    def _requested(self, desk: Desk, message: Message, wish: step.ToolRequested) -> None:
        """Put the call into its run's line, unless it has been dealt with or cannot be."""
        _, _, agent, run = message.subject.split(".")
        subject, key = f"evt.exec.{agent}.{run}", f"{run}/{wish.call}/{wish.again}"
        execs: Execs = desk.state(subject)
        if execs.has_ended(wish.call, wish.again) or self._has(run, key):
            return
        if execs.has_begun(wish.call, wish.again):
            self._lose(desk, subject, wish.call, wish.again, "the executor stopped while it ran")
        elif execs.comes_behind_lost(wish.call, wish.again):
            self._lose(desk, subject, wish.call, wish.again, BEHIND_LOST)
        elif desk.state(GUARDIAN).frozen:
            raise Hold
        elif job := self._job(desk, message, wish, key):
            desk.open(key)
            self.lines.setdefault(run, deque()).append(job)
            self._advance(desk, run)

    def _has(self, run: str, key: str) -> bool:
        first = self.first.get(run)
        return key in self.aside or any(job.key == key for job in (*self.lines.get(run, ()), *([first] * bool(first))))

    def _job(self, desk: Desk, message: Message, wish: step.ToolRequested, key: str) -> Job | None:
        _, _, agent, run = message.subject.split(".")
        subject = f"evt.exec.{agent}.{run}"
        known = self._known(desk, message.subject, run)
        try:
            tool = tools.read_input(wish.tool, whole(wish.input, desk.blob))
            solution = desk.blob(tool.solution) if isinstance(tool, tools.Apply) else b""
        except (
            Invalid,
            Missing,
        ) as wrong:  # the agent has looked; another version of it may have looked less closely
            self._refuse(desk, subject, wish.call, wish.again, str(wrong))
            return None
        if known.closed:
            self._refuse(desk, subject, wish.call, wish.again, TOO_LATE)
            return None
        return Job(
            key,
            subject,
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
            solution=solution,
        )

    def _advance(self, desk: Desk, run: str) -> None:
        """Begin the run's next call, unless one holds the line up or everything stands still."""
        line = self.lines.get(run)
        while line and run not in self.first and not desk.state(GUARDIAN).frozen:
            job = line.popleft()
            workspace: Workspace = desk.state(f"evt.workspace.{job.place.task}")
            reason = self._objection(desk, job, workspace)
            if reason:
                self._refuse(desk, job.subject, job.call, job.again, reason)
                desk.close(job.key)
            else:
                self._begin(desk, job, workspace)

    def _objection(self, desk: Desk, job: Job, workspace: Workspace) -> str:
        if workspace.status in ("merged", "discarded"):
            return f"the workspace was {workspace.status}"
        commands = job.name in tools.COMMANDS or job.name == "deploy"
        return self._unheld(desk) if commands else ""

    def _unheld(self, desk: Desk) -> str:
        """Why commands are not run here; empty: they are."""
        return UNHELD if self.hands.attested.level == "C" and not desk.state(GUARDIAN).waived else ""

    def _begin(self, desk: Desk, job: Job, workspace: Workspace) -> None:
        """Do it, with the workspace as it is known now."""
        execs: Execs = desk.state(job.subject)
        if job.name in tools.COMMANDS:
            started = said.ExecStarted(call=job.call, level=self.hands.attested.level, again=job.again)
            desk.append(job.subject, started, flow=job.place.task)
        told = self.first[job.run] = job._replace(
            place=job.place._replace(opened=workspace.opened),
            green=frozenset(workspace.green),
            tests=execs.tests,
            now_s=desk.message.now_s,
        )
        desk.perform(job.key, told)

    def _progress(self, desk: Desk, progress: Progress) -> None:
        job = next((job for job in self._under_way() if job.key == progress.key), None)
        if job is None:
            return
        match progress.told:
            case Backgrounded() if job.key not in self.aside:
                desk.append(job.subject, said.ExecBackgrounded(call=job.call, again=job.again), flow=job.place.task)
                self.aside[job.key] = self.first.pop(job.run)
                self._advance(desk, job.run)
            case Silent(silent_s=silent_s):
                silent = said.ExecSilent(call=job.call, silent_s=silent_s, again=job.again)
                desk.append(job.subject, silent, flow=job.place.task)

    def _done(self, desk: Desk, key: str, result: Result) -> None:
        """What was done goes on the log: the workspace first, then the call's one end."""
        work = result.work
        if isinstance(work, Order):
            self.ordered.pop(work.task, None)
            desk.append(f"evt.workspace.{work.task}", *result.workspace, flow=work.task)
            desk.close(key)
        elif any(job.key == key for job in self._under_way()):
            self._tell(desk, work, result)
            desk.close(key)
            if self.aside.pop(key, None) is None:
                del self.first[work.run]
            self._lose_those_behind(desk, work)
            self._advance(desk, work.run)
            self._leave(desk, work.run, work.subject)

    def _tell(self, desk: Desk, job: Job, result: Result) -> None:
        for blob in result.blobs:
            desk.keep(blob)
        subject = f"evt.workspace.{job.place.task}"
        workspace: Workspace = desk.state(subject)
        news = [each for each in result.workspace if workspace.opened is None or not isinstance(each, WorkspaceOpened)]
        if news:
            desk.append(subject, *news, flow=job.place.task)
        desk.append(job.subject, *(fitting(each) for each in result.execs), flow=job.place.task)

    def _lose_those_behind(self, desk: Desk, job: Job) -> None:
        """A call that is made once more comes before those that the mind wanted after it."""
        execs: Execs = desk.state(job.subject)
        for waiting in list(self.lines.get(job.run, ())):
            if execs.comes_behind_lost(waiting.call, waiting.again):
                self.lines[job.run].remove(waiting)
                self._lose(desk, waiting.subject, waiting.call, waiting.again, BEHIND_LOST)
                desk.close(waiting.key)

    def _under_way(self) -> list[Job]:
        return [*self.first.values(), *self.aside.values()]

    def _run_closed(self, desk: Desk, steps: str) -> None:
        """The run is over: what still waits is not begun, what still runs is stopped."""
        run, subject = steps.rsplit(".", 1)[1], steps.replace("evt.step.", "evt.exec.", 1)
        for waiting in self.lines.pop(run, ()):
            self._refuse(desk, subject, waiting.call, waiting.again, TOO_LATE)
            desk.close(waiting.key)
        self._stop(desk, [job.key for job in self._under_way() if job.run == run], "cancel")
        self.known.pop(run, None)
        self.closing.add(run)
        self._leave(desk, run, subject)

    def _leave(self, desk: Desk, run: str, subject: str) -> None:
        if run in self.closing and not any(job.run == run for job in self._under_way()):
            self.closing.discard(run)
            self.lines.pop(run, None)
            desk.forget(subject)

    def _stop(self, desk: Desk, keys: list[str], why: Literal["cancel", "freeze"]) -> None:
        if keys:
            desk.perform(f"stop/{desk.message.id}", Stop(tuple(keys), why))

    def _refuse(self, desk: Desk, subject: str, call: str, again: int, reason: str) -> None:
        ended = said.ToolEnded(
            call=call, ok=False, output=Excerpt(reason), ms=0, failure="permission_denied", again=again
        )
        desk.append(subject, ended, flow=desk.message.flow)

    def _lose(self, desk: Desk, subject: str, call: str, again: int, reason: str) -> None:
        desk.append(subject, said.ExecLost(call=call, reason=reason, again=again), flow=desk.message.flow)

    def _order(self, desk: Desk, message: Message, task: str, what: str) -> None:
        """One order at a time about a workspace, and none while somebody works in it."""
        order = message.subject.rsplit(".", 1)[1]
        subject = f"evt.workspace.{task}"
        workspace: Workspace = desk.state(subject)
        if order in workspace.orders:
            return
        busy = task in self.ordered or any(job.place.task == task for job in self._under_way())
        if busy or desk.state(GUARDIAN).frozen:
            raise Hold
        if workspace.opened is None or workspace.status != "open":
            why = "there is no workspace" if workspace.opened is None else f"it was {workspace.status} already"
            desk.append(subject, MergeRefused(order=order, reason=why), flow=task)
            return
        key = self.ordered[task] = f"{what}/{order}"
        desk.open(key)
        desk.perform(key, Order(key, order, task, what, workspace.opened, message.now_s))

    def _known(self, desk: Desk, subject: str, run: str) -> About:
        """What the run is about; read once in its life."""
        known = self.known.get(run) or read_about(desk, subject, self.produces)
        if not known.closed:
            self.known[run] = known
        return known
