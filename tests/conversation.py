"""A world of runs in one thread: real agents, treasurer and executor on a log in memory, and a seed for the rest.

What varies: who gets a turn, how much is delivered at once, how long minds and commands take, which steps fail, when
everything is frozen or a run is taken away, and where an actor crashes: between any two commits of a decision, before
its effects are begun, before its timers are armed, and between an effect and the word of it. What a real shell and a
real outbox do in between is done here in the same order: an actor's commits are on the log some time after it decided,
its effects begin after that, and `after` stays before whatever is held or not done.
"""

import random
from collections import deque
from typing import Any, NamedTuple

import msgspec

from actors.agent.decide import Agents
from actors.agent.mind import Script
from actors.agent.role import Role
from actors.agent.team import Team
from actors.decider import Answer, Decider, Effect, Hold, Message, Outcome
from actors.desk import Desk
from actors.executor.decide import Executor
from actors.executor.execs import OUTSIDE
from actors.folds import FOLDS
from actors.tools import EXECUTED, TOOLS
from actors.treasurer.decide import Treasurer
from bus.envelope import Commit, Draft, Record, encode, link
from bus.errors import Conflict
from bus.log import Loaded, MemoryLog, fits
from bus.messages import exec, step
from bus.messages.kinds import read_commit
from bus.timers import Timer
from tests.conversation_people import Guard, Staff
from tests.conversation_work import Hands, Minds, script_of

TURNS_MAX = 14
ROLES = ({"coder-01": "coder"}, {"coder-02": "coder", "coder-03": "coder"})
TEAM = Team({"coder": Role("coder", "codes", "Code.", list(TOOLS), turns_max=TURNS_MAX)})


class Crash(Exception):
    """The actor is gone in the middle of what it did."""


class Log(MemoryLog):
    """The log, with an index by entity: thousands of histories are read from it."""

    def __init__(self) -> None:
        super().__init__()
        self.entities: dict[str, list[Record]] = {}

    def put(self, draft: Draft) -> Record:
        (seq,) = self.append_now([draft])
        record = self.records[seq - 1]
        self.entities.setdefault(draft.subject, []).append(record)
        return record

    def place_of(self, subject: str) -> int:
        return self.entities[subject][-1].seq if subject in self.entities else 0


class Source:
    """Where desks read entities from."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def read(self, subject: str, after: int = 0) -> list[Record]:
        return [record for record in self.log.entities.get(subject, []) if record.seq > after]

    def load(self, subject: str) -> Loaded:
        return Loaded([record.body for record in self.read(subject)], self.log.place_of(subject))

    def last(self, pattern: str) -> Record | None:
        newest = [records[-1] for subject, records in self.log.entities.items() if fits(pattern, subject)]
        return max(newest, key=lambda record: record.seq, default=None)


class Parcel(NamedTuple):
    """What one turn of an actor came to."""

    drafts: list[Draft]
    timers: list[Timer]
    sendings: list[Any]
    effects: list[Effect]
    fired: list[tuple[str, float]]
    upto: int


class Actor:
    """What shell and outbox are to a real actor."""

    def __init__(self, world: "World", name: str) -> None:
        self.world, self.name, self.life = world, name, 0
        self.decider = world.fresh(name)
        self.begin()

    def begin(self) -> None:
        """As after a crash: nothing but the log, and nothing of the last life's effects under way."""
        world = self.world
        self.life += 1
        self.desk = Desk(self.name, FOLDS, Source(world.log))
        if effects := self.decider.effects:
            effects.begin_anew()  # type: ignore[attr-defined]
        self.head = len(world.log.records)
        self.place = self.upto = self.decider.resume_after(Source(world.log).last, self.head)
        self.held: list[tuple[Message, int, str]] = []
        self.unfinished: dict[str, int] = {}
        self.outbox: deque[Parcel] = deque()
        self.slow: list[Parcel] = []
        self.mail: deque[Any] = deque()
        self.fired: set[str] = set()
        self.unread: deque[Record] = deque()
        for record in world.log.records[self.place :]:
            self.offer(record)
        self._clear()
        message = Message(f"begin-{world.next()}", None, now_s=world.now)
        self._add(self.desk.decide(lambda desk, told: self.decider.recover(desk, told), message, self.place), 0, "")
        self._post()

    def offer(self, record: Record) -> None:
        if any(fits(pattern, record.subject) for pattern in self.decider.follows):
            self.unread.append(record)

    def read(self, count: int) -> None:
        for record in [self.unread.popleft() for _ in range(min(count, len(self.unread)))]:
            if record.subject in self.decider.watches:
                self.desk.observe(record)
            commit = read_commit(record)
            for event in commit.events:
                if type(event) not in self.decider.ignores:
                    fresh = record.seq > self.head
                    message = Message(commit.id, event, record.subject, commit.flow, self.world.now, fresh)
                    self._decide(message, record.seq, "")
            if record.subject in self.decider.watches:
                self._try_held()
            self.place = record.seq
        self._end_turn()

    def hear(self) -> None:
        self._decide(Message(f"heard-{self.world.next()}", self.mail.popleft(), now_s=self.world.now), 0, "")
        self._end_turn()

    def fire(self, name: str, body: msgspec.Struct) -> None:
        self.fired.add(name)
        self._decide(Message(f"fired-{self.world.next()}", body, now_s=self.world.now), 0, name)
        self._end_turn()

    def _decide(self, message: Message, seq: int, timer: str) -> None:
        try:
            outcome = self.desk.decide(self.decider.decide, message, self.upto)
        except Hold:
            self.held.append((message, seq, timer))
        else:
            self._add(outcome, seq, timer)

    def _add(self, outcome: Outcome, seq: int, timer: str) -> None:
        self._drafts += outcome.drafts
        self._timers += outcome.timers
        self._sendings += outcome.sendings
        self._effects += outcome.effects
        self._settled += [(timer, self.world.timers[timer].at_s)] if timer in self.world.timers else []
        self.unfinished.update(dict.fromkeys(outcome.opened, seq))
        for key in outcome.closed:
            self.unfinished.pop(key, None)

    def _end_turn(self) -> None:
        self._try_held()
        self._post()

    def _try_held(self) -> None:
        if self.held and self.decider.ready(self.desk):
            held, self.held = self.held, []
            for message, seq, timer in held:
                self._decide(message._replace(now_s=self.world.now, fresh=False), seq, timer)

    def _post(self) -> None:
        waiting = [seq for _, seq, _ in self.held if seq] + [seq for seq in self.unfinished.values() if seq]
        upto = min(waiting, default=self.place + 1) - 1
        self.outbox.append(Parcel(self._drafts, self._timers, self._sendings, self._effects, self._settled, upto))
        self._clear()
        self._let_through()

    def _clear(self) -> None:
        self._drafts: list[Draft] = []
        self._timers: list[Timer] = []
        self._sendings: list[Any] = []
        self._effects: list[Effect] = []
        self._settled: list[tuple[str, float]] = []

    def store(self) -> None:
        """The first parcel of the outbox goes on the log."""
        parcel = self.outbox[0]
        while parcel.drafts:
            self.world.crash_point()
            self.world.append(parcel.drafts.pop(0))
        self.world.crash_point()
        self._stored(self.outbox.popleft())
        self._let_through()

    def _let_through(self) -> None:
        """What has nothing for the log waits for nobody but those before it."""
        while self.outbox and not self.outbox[0].drafts:
            self._stored(self.outbox.popleft())
        while self.world.overtaking and self.outbox and not self.outbox[-1].drafts:
            self._stored(self.outbox.pop())

    def _stored(self, parcel: Parcel) -> None:
        if parcel.timers or parcel.sendings:
            self.slow.append(parcel)
        else:
            self._finish(parcel)

    def finish_slowly(self) -> None:
        parcel = self.slow.pop(0)
        for timer in parcel.timers:
            self.world.crash_point()
            self.world.timers[f"{timer.actor}.{timer.name}"] = timer
        self.world.crash_point()
        self._finish(parcel)
        for sending in parcel.sendings:
            self.world.commands.append((self, self.life, sending))

    def _finish(self, parcel: Parcel) -> None:
        self.upto = max(self.upto, parcel.upto)
        for effect in parcel.effects:
            self.world.crash_point()
            effects: Any = self.decider.effects
            effects.perform(effect)
        for name, at_s in parcel.fired:
            self.fired.discard(name)
            if name in self.world.timers and self.world.timers[name].at_s == at_s:
                del self.world.timers[name]

    def crash(self) -> None:
        """What was on its way to the log may have come there, in its order, up to any place."""
        drafts = [draft for parcel in self.outbox for draft in parcel.drafts]
        if self.world.random.random() < 0.5:
            for draft in drafts[: self.world.random.randint(0, len(drafts))]:
                try:
                    self.world.append(draft)
                except Conflict:
                    break
        if self.world.random.random() < 0.5:
            self.decider = self.world.fresh(self.name)  # the process died, not only the actor
        self.begin()


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
        record = self.log.put(draft._replace(expect=expect))
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
