"""A world of runs in one thread: real agents, treasurer and executor on a log in memory, and a seed for the rest.

What varies: who gets a turn, how much is delivered at once, how long minds and commands take, which steps fail, when
everything is frozen or a run is taken away, and where an actor crashes: between any two commits of a decision, before
its effects are begun, before its timers are armed, and between an effect and the word of it.
"""

import random
from typing import Any

import msgspec
from msgspec.structs import replace

from actors.agent.decide import Agents
from actors.agent.mind import Script
from actors.agent.role import Role
from actors.agent.team import Team
from actors.decider import Answer, Decider
from actors.executor.decide import Executor
from actors.executor.execs import OUTSIDE
from actors.tools import EXECUTED, TOOLS
from actors.treasurer.decide import Treasurer
from bus.envelope import Commit, Draft, encode, link
from bus.errors import Conflict
from bus.messages import exec, step
from bus.messages.kinds import read_commit
from bus.timers import Timer
from tests.conversation_people import Guard, Staff
from tests.conversation_shell import Actor as Actor
from tests.conversation_shell import Crash
from tests.conversation_shell import Log as Log
from tests.conversation_work import Hands, Minds, script_of

TURNS_MAX = 14
ROLES = ({"coder-01": "coder"}, {"coder-02": "coder", "coder-03": "coder"})
TEAM = Team({"coder": Role("coder", "codes", "Code.", list(TOOLS), turns_max=TURNS_MAX)})


class World:
    """One history, decided by one seed."""

    def __init__(self, seed: int, crashes: float = 0.02, trouble: float = 0.04, overtaking: bool = False) -> None:
        self.random, self.overtaking = random.Random(seed), overtaking
        self.crashes, self.trouble = crashes, trouble
        self.log = Log()
        self.now, self.counter, self.crash_count, self.conflicts = 1_000_000.0, 0, 0, 0
        self.timers: dict[str, Timer] = {}
        self.commands: list[tuple[Actor, int, Any]] = []
        self.wrong: list[str] = []
        self.script = Script("conversation", "random", [], [])
        self.owner: Actor | None = None
        self.hands, self.minds = Hands(self), Minds(self)
        self.guard, self.staff = Guard(self), Staff(self)
        self.actors: dict[str, Actor] = {}
        for name in ("treasurer", "executor", "agents-0", "agents-1"):
            self.actors[name] = Actor(self, name)

    def fresh(self, name: str) -> Decider:
        if name == "treasurer":
            return Treasurer(self.script, self.minds)
        if name == "executor":
            return Executor(TEAM, self.hands, lambda workflow, phase: self.staff.produces[phase])
        return Agents(name, ROLES[int(name[-1])], 3, self.script, TEAM)

    def next(self) -> int:
        self.counter += 1
        return self.counter

    def crash_point(self) -> None:
        if self.owner is not None and self.random.random() < self.crashes:
            raise Crash

    def append(self, draft: Draft) -> None:
        expect = self.log.place_of(draft.subject) if draft.expect is None else draft.expect
        record = self.log.put(replace(draft, expect=expect))
        for actor in self.actors.values():
            actor.offer(record)

    def say(self, subject: str, *events: Any) -> None:
        """Somebody who never crashes says it."""
        before = self.log.entities.get(subject, [])
        id = f"said-{self.next()}"
        prev = link(subject, before[-1].body) if before else ""
        self.append(
            Draft(subject, encode(Commit(id, "", "people", id, "", len(before) + 1, prev, list(events))), id, None)
        )

    def begin_task(self) -> None:
        number = self.next()
        phase = f"p{number}"
        self.script = msgspec.structs.replace(
            self.script, turns=[*self.script.turns, *script_of(self.random, phase, self.trouble > 0)]
        )
        for actor in self.actors.values():
            if isinstance(actor.decider, Treasurer | Agents):
                actor.decider.script = self.script
        self.staff.begin(f"t{number}", phase)

    def choices(self) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        for actor in self.actors.values():
            ways = {"read": actor.unread, "hear": actor.mail, "store": actor.outbox, "slow": actor.slow}
            found += [(way, actor) for way, there in ways.items() if there]
        for name, timer in self.timers.items():
            if timer.at_s <= self.now and name not in self._woken(timer).fired:
                found.append(("timer", name))
        found += [("effect", effects) for effects in (self.hands, self.minds) if effects.due()]
        found += [("command", None)] * bool(self.commands)
        found += [("staff", None)] * self.staff.has_news()
        return found

    def calls_of(self, agent: str, run: str) -> tuple[list[str], set[str]]:
        """Which calls the run has requested of the executor, and which of them nobody has to wait for any more."""
        requested: dict[str, None] = {}
        done: set[str] = set()
        for kind in ("step", "exec"):
            for record in self.log.entities.get(f"evt.{kind}.{agent}.{run}", []):
                for event in read_commit(record).events:
                    match event:
                        case step.ToolRequested() if event.tool in EXECUTED:
                            requested[event.call] = None
                        case step.StepEnded() | exec.ToolEnded() | exec.ExecBackgrounded():
                            done.add(event.call)
                        case exec.ExecEnded() if event.ended_by not in OUTSIDE:
                            done.add(event.call)
        return list(requested), done

    def _woken(self, timer: Timer) -> Actor:
        return next(actor for actor in self.actors.values() if timer.actor in actor.decider.woken_as)

    def step(self) -> bool:
        """One thing happens. False: there is nothing to do at this moment."""
        choices = self.choices()
        if not choices:
            return False
        what, where = self.random.choice(choices)
        self.owner = where if isinstance(where, Actor) else None
        try:
            self._do(what, where)
        except (Crash, Conflict) as reason:
            assert self.owner is not None
            self.conflicts += isinstance(reason, Conflict)
            self.kill(self.owner, isinstance(reason, Conflict))
        self.owner = None
        return True

    def _do(self, what: str, where: Any) -> None:
        match what:
            case "read":
                where.read(self.random.choice((1, 1, 2, 5, 50)))
            case "hear":
                where.hear()
            case "store":
                where.store()
            case "slow":
                where.finish_slowly()
            case "timer":
                self.owner = self._woken(self.timers[where])
                self.owner.fire(where, self.timers[where].body)
            case "effect":
                self.owner = self.actors["executor" if where is self.hands else "treasurer"]
                where.go_on(self.owner)
            case "command":
                self._command(*self.commands.pop(self.random.randrange(len(self.commands))))
            case "staff":
                self.staff.hear_news()

    def _command(self, sender: Actor, life: int, sending: Any) -> None:
        answer = self.guard.answer(sending) if sending.actor == "guardian" else self.staff.answer(sending)
        if sender.life == life:
            plain = msgspec.json.decode(msgspec.json.encode(answer))
            sender.mail.append(Answer(sending.command, plain))

    def kill(self, actor: Actor, refused: bool = False) -> None:
        """What was under way behind a refused commit is refused as well."""
        self.owner = None
        self.crash_count += 1
        if refused:
            actor.outbox.clear()
        actor.crash()

    def run(self, tasks: int = 3, turns: int = 400) -> "World":
        """Trouble for a while, then peace until nothing is left to do."""
        for _ in range(tasks):
            self.begin_task()
        for _ in range(turns):
            dice = self.random.random()
            if dice < self.trouble:
                self.meddle()
            elif dice < 0.2 or not self.step():
                self.now += self.random.choice((0.1, 0.5, 2.0))
        self.crashes = 0.0
        for _ in range(600):
            self.guard.thaw()
            while self.step():
                pass
            self.now += 2.0
            if not self.staff.open and not self.hands.doing and not self.minds.asked and not self.choices():
                break
        return self

    def meddle(self) -> None:
        """Something from outside: a freeze, its end, an actor that dies, work that is taken away."""
        dice = self.random.random()
        if dice < 0.2:
            self.guard.freeze()
        elif dice < 0.5:
            self.guard.thaw()
        elif dice < 0.6:
            self.staff.revoke()
        elif self.crashes:
            self.kill(self.random.choice(list(self.actors.values())))
