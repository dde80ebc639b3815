"""What is done in a simulated conversation: scripts of turns, slow minds, and hands on files in a dictionary."""

import hashlib
import json
import random
from typing import Any

import msgspec

from actors import tools
from actors.agent.mind import ScriptedTurn
from actors.decider import Done, Effect, Progress
from actors.executor.execs import is_behind
from actors.executor.jobs import Backgrounded, Job, Order, Result, Silent, Stop
from bus.errors import Invalid
from bus.messages import exec as said
from bus.messages import workspace as told
from bus.messages.base import Artifact, Event, Excerpt, TestResults, ToolCall
from bus.messages.sandbox import SandboxAttested

Files = dict[str, str]
COMMANDS = ("run", "test")
SLOW_S = 5.0
"""A command that takes longer goes to the background."""


def tree_of(files: Files) -> str:
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()


def script_of(rng: random.Random, phase: str, mishaps: bool) -> list[ScriptedTurn]:
    """A few turns of work and then the end; some scripts never come to one."""
    turns: list[ScriptedTurn] = []
    for number in range(rng.randint(1, 5)):
        turns += _turns(rng, phase, number, mishaps)
    ends = [ScriptedTurn(phase, calls=[ToolCall("finish", {"summary": "done"})], delay_s=rng.choice((0, 1)))] * 4
    if mishaps and rng.random() < 0.1:
        ends = [ScriptedTurn(phase, calls=[ToolCall("list", {"path": f"d{n}"})]) for n in range(20)]
    if mishaps and rng.random() < 0.05:
        ends = [ScriptedTurn(phase, calls=[ToolCall("ask_for_help", {"question": "what now?"})])]
    return [_with_its_call(turn, place) for place, turn in enumerate(turns)] + ends


def _with_its_call(turn: ScriptedTurn, place: int) -> ScriptedTurn:
    """Who waits, waits for the first call of the turn that is named by how long ago it was."""
    calls = [
        ToolCall("wait", {"call": f"{place + 1 - int(str(call.input['call']))}-1"}) if call.tool == "wait" else call
        for call in turn.calls
    ]
    return msgspec.structs.replace(turn, calls=calls)


def _turns(rng: random.Random, phase: str, number: int, mishaps: bool) -> list[ScriptedTurn]:
    delay_s = rng.choice((0.0, 0.5, 2.0))
    failure = rng.choice(("rate_limit", "model_error")) if mishaps and rng.random() < 0.1 else ""
    dice = rng.random()
    if dice < 0.08:
        return [ScriptedTurn(phase, "I think.", [], delay_s=delay_s, failure=failure)]
    if dice < 0.25:  # something long, and other work beside it
        long = ToolCall("run", {"command": f"slow put aside-{number} {number}", "background": rng.random() < 0.5})
        turns = [ScriptedTurn(phase, calls=[long, *_calls(rng, 1, False)])]
        turns += [ScriptedTurn(phase, calls=_calls(rng, 1, False))] * rng.randint(0, 1)
        return [*turns, ScriptedTurn(phase, calls=[ToolCall("wait", {"call": str(len(turns))})])]
    return [ScriptedTurn(phase, calls=_calls(rng, rng.randint(1, 4), mishaps), delay_s=delay_s, failure=failure)]


def _calls(rng: random.Random, count: int, mishaps: bool) -> list[ToolCall]:
    names, value = ("a", "b", "c", "state"), str(rng.randint(0, 3))
    name, other = rng.sample(names, 2)
    good = [
        ToolCall("write", {"path": name, "content": rng.choice(("good", "bad", value))}),
        ToolCall("edit", {"path": name, "old": "good", "new": "fine"}),
        ToolCall("run", {"command": f"put {name} {value}"}),
        ToolCall("run", {"command": f"copy {name} {other}"}),
        ToolCall("run", {"command": f"copy {other} {name}"}),
        ToolCall("read", {"path": name}),
        ToolCall("git", {"verb": "commit"}),
        ToolCall("checklist", {"add": ["one more"], "done": [1]}),
    ]
    bad = [
        ToolCall("fly", {}),
        ToolCall("write", {"path": name}),
        ToolCall("run", {"command": f"fail {value}"}),
        ToolCall("test", {}),
        ToolCall("deploy", {}),
        ToolCall("wait", {"call": "1"}),
    ]
    calls: list[ToolCall] = []
    for _ in range(count):
        calls.append(rng.choice(bad if mishaps and rng.random() < 0.25 else good))
    return calls


def apply(files: Files, name: str, tool: Any, redo: bool = False) -> tuple[bool, str]:
    """What a step does to the files, and what it says. Doing it twice is doing it once."""
    match tool:
        case tools.Write():
            files[tool.path] = tool.content
        case tools.Apply():
            files["solved"] = tool.solution
        case tools.Edit():
            if files.get(tool.path) != tool.old:
                return redo and files.get(tool.path) == tool.new, f"{tool.old} is not in {tool.path}"
            files[tool.path] = tool.new
        case tools.Read():
            return tool.path in files, files.get(tool.path, f"no such file: {tool.path}")
        case tools.Run():
            words = tool.command.removeprefix("slow ").split()
            if words[0] == "fail":
                return False, f"something odd: {words[1]}"
            if words[0] == "copy" and words[1] not in files:
                return False, f"no such file: {words[1]}"
            files[words[2] if words[0] == "copy" else words[1]] = files[words[1]] if words[0] == "copy" else words[2]
        case tools.Test():
            return files.get("state") == "good", f"state is {files.get('state')}"
    return True, f"{name} done"


def expected(turns: list[ScriptedTurn]) -> Files:
    """The files after all turns, each call in its order and once."""
    files: Files = {}
    for turn in turns:
        for call in turn.calls:
            if call.tool in tools.EXECUTED and call.tool != "finish":
                try:
                    apply(files, call.tool, tools.read_input(call.tool, call.input))
                except Invalid:
                    continue
    return files


class Minds:
    """Each reply comes after a while, unless its treasurer has died."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.begin_anew()

    async def open(self, tell: Any) -> None:
        self.begin_anew()

    async def close(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        self.asked: dict[str, tuple[float, Any]] = {}

    def perform(self, effect: Effect) -> None:
        if "treasurer" in self.world.guard.silent:
            self.world.wrong.append(f"{effect.key} is asked while frozen")
        self.asked[effect.key] = (self.world.now + self.world.random.choice((0, 1, 3)), effect.what)

    def due(self) -> list[str]:
        return [key for key, (at_s, _) in self.asked.items() if at_s <= self.world.now]

    def go_on(self, owner: Any) -> None:
        key = self.due()[0]
        owner.mail.append(Done(key, self.asked.pop(key)[1]))


class _Doing:
    """A job or an order that is under way."""

    def __init__(self, what: Job | Order, at_s: float, aside_s: float) -> None:
        self.what, self.at_s, self.aside_s = what, at_s, aside_s
        self.stopped = ""
        self.is_aside = False


class Hands:
    """Files in a dictionary for each task; they stay when everything else dies."""

    leftovers = 0
    attested = SandboxAttested(level="B", about="simulated")

    def __init__(self, world: Any) -> None:
        self.world = world
        self.files: dict[str, Files] = {}
        self.begun: list[str] = []
        self.merged: list[str] = []
        self.doing: dict[str, _Doing] = {}

    async def open(self, tell: Any) -> None:
        self.begin_anew()

    async def close(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Whatever ran is killed: what it was to do is done, or not."""
        for doing in self.doing.values():
            if isinstance(doing.what, Job) and self.world.random.random() < 0.5:
                self._apply(doing.what)
        self.doing = {}

    def perform(self, effect: Effect) -> None:
        what, rng, now = effect.what, self.world.random, self.world.now
        if isinstance(what, Stop):
            for key in what.keys:
                if key in self.doing and isinstance(self.doing[key].what, Job):
                    self.doing[key].stopped = what.why
                    self.doing[key].at_s = min(self.doing[key].at_s, now + rng.choice((0, 1)))
            return
        long = isinstance(what, Job) and isinstance(what.tool, tools.Run) and what.tool.command.startswith("slow")
        takes_s = rng.choice((6, 12)) if long else rng.choice((0, 0, 0.2, 1))
        at_once = long and what.tool.background
        self._look(effect.key, what)
        self.doing[effect.key] = _Doing(what, now + takes_s, now + (0 if at_once else SLOW_S))

    def _look(self, key: str, what: Job | Order) -> None:
        """What must hold whenever something is begun."""
        wrong = self.world.wrong
        if "executor" in self.world.guard.silent:
            wrong.append(f"{key} is begun while frozen")
        if isinstance(what, Order):
            return
        for doing in self.doing.values():
            if isinstance(doing.what, Job) and doing.what.run == what.run and not doing.is_aside:
                wrong.append(f"{key} is begun while {doing.what.key} is under way")
            if isinstance(doing.what, Order) and doing.what.task == what.place.task:
                wrong.append(f"{key} is begun while {doing.what.key} is carried out")
        if what.name in COMMANDS and key in self.begun:
            wrong.append(f"{key} is begun a second time")
        self.begun.append(key)
        wrong += [f"{key} is begun before {call}" for call in self._calls_before(what)]

    def _calls_before(self, job: Job) -> list[str]:
        """Calls of the same reply that come first and have neither ended for good nor gone to the background."""
        requested, done = self.world.calls_of(job.agent, job.run)
        return [call for call in requested if is_behind(job.call, call) and call not in done]

    def due(self) -> list[str]:
        now = self.world.now
        return [key for key, each in self.doing.items() if each.at_s <= now or self._goes_aside(each)]

    def _goes_aside(self, doing: _Doing) -> bool:
        is_command = isinstance(doing.what, Job) and doing.what.name in COMMANDS
        return is_command and not doing.is_aside and not doing.stopped and doing.aside_s <= self.world.now < doing.at_s

    def go_on(self, owner: Any) -> None:
        key = self.world.random.choice(self.due())
        doing = self.doing[key]
        if self._goes_aside(doing):
            doing.is_aside = True
            owner.mail.append(Progress(key, Backgrounded()))
            owner.mail.append(Progress(key, Silent(5)))
            return
        result = self._carry_out(doing.what) if isinstance(doing.what, Order) else self._end(doing.what, doing.stopped)
        self.world.crash_point()
        del self.doing[key]
        owner.mail.append(Done(key, result))

    def _apply(self, job: Job) -> tuple[bool, str]:
        return apply(self.files.setdefault(job.place.task, {}), job.name, job.tool, job.redo)

    def _end(self, job: Job, stopped: str) -> Result:
        opened: list[Event] = []
        if job.place.opened is None:
            opened = [told.WorkspaceOpened(repo="r", branch="b", base="c", target="main", path="p")]
        output = Excerpt("")
        if stopped and job.name in COMMANDS:
            if self.world.random.random() < 0.5:
                self._apply(job)
            ended = said.ExecEnded(
                call=job.call, ended_by="freeze" if stopped == "freeze" else "cancel", output=output, ms=1
            )
            return Result(job, [_again(ended, job)], opened, [])
        ok, text = self._apply(job)
        tree = tree_of(self.files[job.place.task])
        output = Excerpt(text)
        end: Event = said.ToolEnded(call=job.call, ok=ok, output=output, ms=1)
        if job.name in COMMANDS:
            tests = TestResults(passed=3) if ok else TestResults(passed=2, failed=1, failures=["test_state"])
            counted = tests if job.name == "test" else None
            end = said.ExecEnded(
                call=job.call, ended_by="exit", output=output, ms=1, exit=0 if ok else 1, tests=counted
            )
            if counted:
                opened.append(told.TreeTested(tree=tree, run=job.run, passed=tests.passed, failed=tests.failed))
        elif job.name == "deploy" and tree not in job.green:
            end = said.ToolEnded(call=job.call, ok=False, output=output, ms=1, failure="permission_denied")
        elif job.name == "finish":
            made = Artifact("changes.diff", job.produces, tree, 1)
            end = said.ToolEnded(call=job.call, ok=True, output=output, ms=1, artifacts=[made], tree=tree)
            opened.append(told.TreeSaved(run=job.run, phase=job.phase, tree=tree, commit=tree))
        return Result(job, [_again(end, job)], opened, [])

    def _carry_out(self, order: Order) -> Result:
        self.merged.append(order.key)
        event = told.WorkspaceDiscarded(order=order.order)
        merged = told.WorkspaceMerged(order=order.order, into="main", commit="c")
        return Result(order, [], [merged if order.what == "merge" else event], [])

    def not_stopped(self) -> list[str]:
        """Commands that run on though everything stands still."""
        return [
            f"{each.what.key} is not stopped by the freeze"
            for each in self.doing.values()
            if isinstance(each.what, Job) and each.what.name in COMMANDS and not each.stopped
        ]


def _again(event: Any, job: Job) -> Event:
    changed: Event = msgspec.structs.replace(event, again=job.again)
    return changed
