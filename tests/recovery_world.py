"""A world in which each fault of the corpus is planted in a task: real deciders, virtual hands, virtual time, no dice.

What heals a fault is written in the corpus. Only what a mind really does in the workspace brings it about, and the mind
(`tests/recovery_mind.py`) does nothing that the texts it was given do not tell it to.
"""

import random
from typing import Any

import msgspec

from actors import recovery, tools
from actors.agent.decide import Agents
from actors.agent.mind import Script, ScriptedTurn
from actors.agent.role import Role
from actors.agent.team import Team
from actors.decider import Answer, Decider, Done, Effect, Message, Progress, Sending
from actors.executor import reports
from actors.executor.decide import Executor
from actors.executor.jobs import Backgrounded, Job, Result, Stop, excerpt
from actors.executor.sandbox.orders import Ended
from actors.executor.telling import exec_ended
from actors.guardian.decide import Guardian
from actors.orchestrator.decide import Orchestrator
from actors.orchestrator.workflow import Phase, Workflow
from actors.territory import Territory
from actors.treasurer.decide import Asked, Treasurer
from bus.messages import exec as said
from bus.messages import task
from bus.messages import workspace as told
from bus.messages.agent import WorkAssigned
from bus.messages.base import Artifact, Event, Excerpt, TestResults
from bus.messages.kinds import read_commit
from bus.messages.sandbox import SandboxAttested
from tests import conversation
from tests.recovery_faults import Case, Fault
from tests.recovery_mind import View, is_trying, remedies, reply_to, view_of, ways_of

LIMIT, LEASE_S, TURNS_MAX = 2, 60.0, 14
BEAT_S, THINKS_S, STEP_S, COMMAND_S, ASIDE_S = 15.0, 2.0, 0.2, 4.0, 5.0
TAKES_S = {"silence": 60.0, "cap": 300.0}
LONGEST_S = 24 * 3600.0
CODED, TESTED = Phase("implement", "coder", "code"), Phase("test", "tester", "test_results", on_failure="implement")
WORKFLOWS = {
    flow.name: flow
    for flow in (
        Workflow("build", "implement, then test", [CODED, TESTED]),
        Workflow("think", "most of it is thinking", [Phase("design", "designer", "design_spec"), CODED, TESTED]),
    )
}
ROLES = {
    name: Role(name, name, name, list(tools.TOOLS), territory=territory, turns_max=TURNS_MAX)
    for name, territory in (("designer", ["docs/**"]), ("coder", ["src/**"]), ("tester", ["tests/**"]))
}
HOSTED = (
    {"coder-01": "coder", "designer-01": "designer", "tester-01": "tester"},
    {"coder-02": "coder", "designer-02": "designer", "tester-02": "tester"},
)


class Seat(conversation.Actor):
    """An actor that is also asked."""

    said: dict[str, object]

    def ask(self, sending: Any) -> dict[str, object]:
        self.said = {}
        body = sending.body
        message = Message(sending.id, body, f"cmd.{self.name}.x", now_s=self.world.now)
        self._decide(message, 0, "")
        self._end_turn()
        return {"ok": True, **self.said}

    def _add(self, outcome: Any, seq: int, timer: str) -> None:
        self.said = outcome.answer
        super()._add(outcome, seq, timer)


class AnyTurn(Script, frozen=True):
    """What is said in a turn is thought of when it is asked for."""

    def plays(self, phase: str) -> bool:
        return True

    def turn_of(self, phase: str, after: str, number: int) -> ScriptedTurn | None:
        return ScriptedTurn(phase, delay_s=THINKS_S)


class Provided(Treasurer):
    """A treasurer whose provider can fail, in its own words; it says what kind of failure that is, as it reads them."""

    def _reply(self, desk: Any, asked: Asked) -> None:
        if asked.said.failure:
            self._fail(desk, asked, recovery.classify(asked.said.text).failure, asked.said.text)
        else:
            super()._reply(desk, asked)


class Effects:
    """What is under way, and when it is done."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.doing: dict[str, tuple[float, Any]] = {}

    async def open(self, tell: Any) -> None: ...

    async def close(self) -> None: ...

    def begin_anew(self) -> None:
        self.doing = {}

    def next_s(self) -> float:
        return min((at_s for at_s, _ in self.doing.values()), default=LONGEST_S * 1e6)

    def pop(self) -> tuple[str, Any]:
        key = min(self.doing, key=lambda each: self.doing[each][0])
        return key, self.doing.pop(key)[1]


class Minds(Effects):
    """Each of them reads what it was given, and says what it would do."""

    def perform(self, effect: Effect) -> None:
        self.doing[effect.key] = (self.world.now + THINKS_S, effect.what)

    def go_on(self) -> Done:
        key, asked = self.pop()
        view, case = self._view(asked.subject), self.world.case
        phase, doing = view.work.phase, remedies(view, case.quoted)
        fault = case.meets("", phase, self.world.now, doing) if asked.turn > 1 else None
        if fault:
            return Done(key, asked._replace(said=ScriptedTurn(phase, fault.output, failure="as it says")))
        return Done(key, asked._replace(said=ScriptedTurn(phase, calls=reply_to(view, case))))

    def _view(self, calls: str) -> View:
        _, _, agent, run = calls.split(".")
        work = next(
            event for event in self.world.events(f"evt.agent.{agent}")
            if isinstance(event, WorkAssigned) and event.run == run
        )  # fmt: skip
        return view_of(work, self.world.events(f"evt.step.{agent}.{run}"), self.world.events(f"evt.exec.{agent}.{run}"))


class Hands(Effects):
    """No files: it is enough to know what was done to them."""

    leftovers = 0
    attested = SandboxAttested(level="B", about="virtual")

    def perform(self, effect: Effect) -> None:
        what = effect.what
        if isinstance(what, Stop):
            for key in what.keys:
                self.doing.pop(key, None)
            return
        takes_s, result = self._do(what)
        if takes_s > ASIDE_S:
            self.doing[f"{effect.key}/aside"] = (self.world.now + ASIDE_S, Progress(effect.key, Backgrounded()))
        self.doing[effect.key] = (self.world.now + takes_s, Done(effect.key, result))

    def go_on(self) -> Progress | Done:
        return self.pop()[1]  # type: ignore[no-any-return]

    def _do(self, job: Job) -> tuple[float, Result]:
        case, now = self.world.case, self.world.now
        opened: list[Event] = []
        if job.place.opened is None:
            opened = [told.WorkspaceOpened(repo="r", branch="b", base="c", target="main", path="p")]
        path = getattr(job.tool, "path", "")
        if isinstance(job.tool, tools.Edit) and not Territory(job.territory).allows(path):
            text = f"{path} is outside your territory: {', '.join(job.territory)}"
            return STEP_S, _ended(job, opened, False, text, "permission_denied")
        fault = case.meets(job.name, job.phase, now, ways_of(job.tool)) if is_trying(job.tool) else None
        if fault:
            return TAKES_S.get(fault.ended_by, COMMAND_S), _struck(job, opened, fault)
        case.acted(job.tool)
        if job.name in tools.COMMANDS:
            return COMMAND_S, _passed(job, opened)
        return STEP_S, _ended(job, opened, True, f"{job.name} done")


def _struck(job: Job, opened: list[Event], fault: Fault) -> Result:
    if job.name not in tools.COMMANDS:
        failure = "permission_denied" if fault.failure == "permission_denied" else ""
        return _ended(job, opened, False, fault.output, failure)
    if fault.lost:
        return Result(job, [said.ExecLost(call=job.call, reason=fault.output, again=job.again)], opened, [])
    return _command(job, opened, fault.output, fault.ended_by or "exit", fault.exit)


def _passed(job: Job, opened: list[Event]) -> Result:
    return _command(job, opened, "9 passed in 0.10s\n" if job.name == "test" else "done\n", "exit", 0)


def _command(job: Job, opened: list[Event], output: str, by: Any, exit: int | None) -> Result:
    content = output.encode()
    tests: TestResults | None = None
    if job.name == "test":
        tests = reports.read_report(None, exit, output)
        if by == "exit":
            opened = [
                *opened,
                told.TreeTested(tree="t", run=job.run, passed=tests.passed, failed=tests.failed, errors=tests.errors),
            ]
    ended = Ended(by, exit, COMMAND_S * 1000, content, b"", len(content), 0)
    return exec_ended(job, ended, tests)._replace(workspace=opened)


def _ended(job: Job, opened: list[Event], ok: bool, text: str, failure: str = "") -> Result:
    end = said.ToolEnded(call=job.call, ok=ok, output=excerpt(text.encode())[0], ms=1, failure=failure, again=job.again)
    if job.name == "finish":
        made = Artifact("changes.diff", job.produces, "t", 1)
        end = msgspec.structs.replace(end, output=Excerpt(text), artifacts=[made], tree="t")
    return Result(job, [end], opened, [])


class World(conversation.World):
    """One task and its fault, from the submission to the end or to a person."""

    def __init__(self, case: Case, workflow: str = "build") -> None:
        self.case, self.workflow = case, workflow
        self.random, self.crashes, self.overtaking = random.Random(0), 0.0, False
        self.log, self.now, self.counter = conversation.Log(), 1_000_000.0, 0
        self.timers, self.commands, self.owner = {}, [], None
        self.script = AnyTurn("virtual", "thinks when it is asked")
        self.thinking, self.working = Minds(self), Hands(self)
        self.actors = {}
        for name in ("guardian", "orchestrator", "treasurer", "executor", "agents-0", "agents-1"):
            self.actors[name] = Seat(self, name)

    def fresh(self, name: str) -> Decider:
        match name:
            case "guardian":
                return Guardian(answer_s=5)
            case "orchestrator":
                return Orchestrator(WORKFLOWS, LEASE_S, LIMIT)
            case "treasurer":
                return Provided(self.script, self.thinking)
            case "executor":
                return Executor(Team(ROLES), self.working, self._produces)
        return Agents(name, HOSTED[int(name[-1])], 2, self.script, Team(ROLES))

    def _produces(self, workflow: str, phase: str) -> str:
        return WORKFLOWS[workflow].phase(phase).produces

    def step(self) -> bool:
        """What is there is done, in the same order in each world. False: nothing is."""
        for actor in self.actors.values():
            for what, there in (
                ("read", actor.unread), ("hear", actor.mail), ("store", actor.outbox), ("slow", actor.slow)
            ):  # fmt: skip
                if there:
                    actor.read(1) if what == "read" else self._do(what, actor)
                    return True
        if self.commands:
            self._command(*self.commands.pop(0))
            return True
        return self._something_is_due()

    def _something_is_due(self) -> bool:
        due = [name for name, each in self.timers.items() if each.at_s <= self.now]
        for name in due:
            actor = self._woken(self.timers[name])
            if name not in actor.fired:
                actor.fire(name, self.timers[name].body)
                return True
        if self.thinking.next_s() <= self.now:
            self.actors["treasurer"].mail.append(self.thinking.go_on())
            return True
        if self.working.next_s() <= self.now:
            self.actors["executor"].mail.append(self.working.go_on())
            return True
        return False

    def _command(self, sender: Any, life: int, sending: Any) -> None:
        receiver = self.actors[sending.actor]
        assert isinstance(receiver, Seat)
        plain = msgspec.json.decode(msgspec.json.encode(receiver.ask(sending)))
        sender.mail.append(Answer(sending.command, plain))

    def run_case(self) -> "World":
        """Until the task has ended, or waits for a person, or a day is over."""
        while self.step():
            pass
        orchestrator = self.actors["orchestrator"]
        assert isinstance(orchestrator, Seat)
        wish = task.SubmitTask(task="build it", workflow=self.workflow)
        orchestrator.ask(Sending("orchestrator", "submit_task", wish, "submitted"))
        self.began_s = self.now
        end_s = self.now + LONGEST_S
        while self.now < end_s:
            while self.step():
                pass
            if self.is_over:
                return self
            self._let_time_pass()
        return self

    def _let_time_pass(self) -> None:
        timers = [timer.at_s for timer in self.timers.values()]
        next_s = min([*timers, self.thinking.next_s(), self.working.next_s(), self.now + BEAT_S])
        self.now = max(next_s, self.now)
        for actor in self.actors.values():
            for alive in actor.decider.beats():
                self.actors["orchestrator"].mail.append(alive)

    @property
    def is_over(self) -> bool:
        return any(isinstance(event, task.TaskCompleted | task.PersonAsked) for event in self.of_task())

    @property
    def lasted_s(self) -> float:
        return self.now - self.began_s

    def events(self, subject: str) -> list[Any]:
        records = self.log.entities.get(subject, [])
        return [event for record in records for event in read_commit(record).events]

    def of_task(self) -> list[Any]:
        return [event for subject in self.log.entities if subject[:9] == "evt.task." for event in self.events(subject)]


def play(fault: Fault, corpus: dict[str, Fault]) -> World:
    """The task in which this fault is planted, to its end."""
    return World(Case(fault, corpus), "build" if fault.tool or fault.habit else "think").run_case()
