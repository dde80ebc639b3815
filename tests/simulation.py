"""A world in one thread: real deciders and desks on a log in memory, a seed that decides everything that can vary.

What varies: who gets a turn, how much is delivered at once, where an actor crashes between deciding and appending,
which timers fire late, which agents stand still past their lease, and what people and the Guardian ask for meanwhile.
"""

import random
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

import actors
from actors.agent.decide import Agents
from actors.agent.team import Team
from actors.decider import Answer, Decider, Effect, Hold, Message, Outcome
from actors.desk import Desk
from actors.folds import FOLDS
from actors.guardian.decide import Guardian
from actors.orchestrator.decide import Orchestrator
from actors.orchestrator.rules import read_rules
from actors.orchestrator.task import ENDED
from actors.orchestrator.workflow import Phase, Workflow
from bus.blobs import sha256
from bus.envelope import Record
from bus.errors import WitanError
from bus.log import MemoryLog, fits
from bus.messages import guardian, routing, task
from bus.messages.base import Command
from bus.messages.kinds import read_commit
from tests.fates import Fate, FatedDesk, Source, assignment

WORKFLOW = Workflow(
    "small",
    "for the simulation",
    [Phase("design", "designer"), Phase("code", "coder"), Phase("test", "coder", on_failure="code")],
)
ROLES = (
    {"designer-01": "designer"},
    {"coder-01": "coder"},
    {"coder-02": "coder", "designer-02": "designer"},
    {"cto-01": "cto"},
)
TEAM = Team(
    territories={
        "coder-01": ["src/**"],
        "designer-01": ["docs/**"],
        "designer-02": ["docs/**", "src/ui/**"],
        "cto-01": [],
    }
)
RULES = read_rules(Path(actors.__file__).parent)
REPOS = ("", "", "/srv/one", "/srv/one", "/srv/two")
LEASE_S = 20.0
LIMIT = 3


class Crash(Exception):
    """The actor is gone in the middle of what it did."""


class _Letter(NamedTuple):
    id: str
    command: Command


class Actor:
    """What the shell is to a real actor, without threads and without a loop."""

    def __init__(self, world: "World", decider: Decider) -> None:
        self.world, self.decider = world, decider
        self.letters: list[_Letter] = []
        self.stalled_until = 0.0
        self.begin()

    @property
    def name(self) -> str:
        return self.decider.name

    def begin(self) -> None:
        """As after a crash: nothing in memory, everything from the log."""
        world = self.world
        self.desk = FatedDesk(self.name, FOLDS, Source(world.log, world.blobs))
        self.decider = world.fresh(self.name)
        self.head = len(world.log.records)
        self.place = self.decider.resume_after(Source(world.log).last, self.head)
        self.held: list[tuple[Message, _Letter | None, int]] = []
        self.answers: list[Answer] = []
        self.looked = self.place
        self.waiting: list[Record] = []
        self.heard: dict[str, bool] = {}
        """By subject: whether it follows it."""
        message = Message(f"begin-{world.next()}", None, now_s=world.now)
        outcome = self.desk.decide(lambda desk, told: self.decider.recover(desk, told), message, self.place)
        self._settle(outcome)

    def unread(self) -> list[Record]:
        follows, records = self.decider.follows, self.world.log.records
        for record in records[self.looked :]:
            if record.subject not in self.heard:
                self.heard[record.subject] = any(fits(pattern, record.subject) for pattern in follows)
            if self.heard[record.subject]:
                self.waiting.append(record)
        self.looked = len(records)
        return self.waiting

    def read(self, count: int) -> None:
        for record in self.unread()[:count]:
            if record.subject in self.decider.watches:
                self.desk.observe(record)
            commit = read_commit(record)
            self.decider.overhear(record, commit)
            for event in commit.events:
                fresh = record.seq > self.head
                message = Message(commit.id, event, record.subject, commit.flow, self.world.now, fresh)
                self._decide(message, None, record.seq)
            self.waiting.remove(record)
            self.place = min((seq for *_, seq in self.held if seq), default=record.seq + 1) - 1
        self._try_held()

    def take_letter(self) -> None:
        letter = self.letters[0]
        message = Message(letter.id, letter.command, f"cmd.{self.name}.x", now_s=self.world.now)
        self._decide(message, letter, 0)
        self._try_held()

    def fire(self, name: str, body: msgspec.Struct) -> None:
        self._decide(Message(f"fired-{self.world.next()}", body, now_s=self.world.now), None, 0)
        self._try_held()

    def hear(self, body: Any) -> None:
        self._decide(Message(f"heard-{self.world.next()}", body, now_s=self.world.now), None, 0)
        self._try_held()

    def _decide(self, message: Message, letter: _Letter | None, seq: int) -> None:
        try:
            outcome = self.desk.decide(self.decider.decide, message, self.place)
        except Hold:
            self.held.append((message, letter, seq))
            return
        except WitanError as error:
            self.world.refused.append((message.id, error.code))
            self._done(letter)
            return
        self._settle(outcome)
        self._done(letter)

    def _done(self, letter: _Letter | None) -> None:
        if letter in self.letters:
            self.letters.remove(letter)

    def _try_held(self) -> None:
        if self.held and self.decider.ready(self.desk):
            held, self.held = self.held, []
            for message, letter, seq in held:
                self._decide(replace(message, now_s=self.world.now, fresh=False), letter, seq)

    def _settle(self, outcome: Outcome) -> None:
        """Append draft by draft; a crash may come between any two of them, and before anything that follows."""
        world = self.world
        world.blobs.update({sha256(blob): blob for blob in outcome.blobs})
        for draft in outcome.drafts:
            world.crash_point(self)
            expect = world.places.get(draft.subject, 0) if draft.expect is None else draft.expect
            (world.places[draft.subject],) = world.log.append_now([replace(draft, expect=expect)])
        world.crash_point(self)
        for timer in outcome.timers:
            world.timers[f"{timer.actor}.{timer.name}"] = (timer.at_s, timer.actor, timer.body)
        world.crash_point(self)
        for sending in outcome.sendings:
            world.send(sending.actor, sending.id, sending.body, self.name)
        world.perform(outcome.effects)


class World:
    """One history, decided by one seed."""

    others: tuple[str, ...] = ()
    """Actors that only some worlds have."""

    def __init__(self, seed: int, crashes: float = 0.02) -> None:
        self.seed, self.random = seed, random.Random(seed)
        self.bad_luck = self.random.choice((0.1, 0.35, 0.6, 0.95))
        self.fate = Fate("simulated", "as the dice fall", world=self)
        self.log = MemoryLog()
        self.blobs: dict[str, bytes] = {}
        self.crashes = crashes
        self.crash_count = 0
        self.stall_count = 0
        self.now = 1_000_000.0
        self.counter = 0
        self.places: dict[str, int] = {}
        self.timers: dict[str, tuple[float, str, msgspec.Struct]] = {}
        self.refused: list[tuple[str, str]] = []
        self.backlog: list[tuple[str, _Letter]] = []
        self.senders: dict[str, str] = {}
        self.tasks: list[str] = []
        self.actors: dict[str, Actor] = {}
        self.safe = True
        for name in ("guardian", "orchestrator", *self.others, *(f"agents-{n}" for n in range(len(ROLES)))):
            self.actors[name] = Actor(self, self.fresh(name))
        self.safe = False
        for actor, letter in self.backlog:
            self.actors[actor].letters.append(letter)
        self.backlog = []

    def fresh(self, name: str) -> Decider:
        if name == "guardian":
            return Guardian(answer_s=5)
        if name == "orchestrator":
            return Orchestrator({"small": WORKFLOW}, LEASE_S, LIMIT, rules=RULES, reviews=True)
        number = int(name.rsplit("-", 1)[1])
        return Agents(name, ROLES[number], 1, self.fate, TEAM)

    def next(self) -> int:
        self.counter += 1
        return self.counter

    def crash_point(self, actor: Actor) -> None:
        if not self.safe and self.random.random() < self.crashes:
            raise Crash

    def send(self, actor: str, id: str, body: Any, sender: str = "") -> None:
        self.senders[id] = sender
        if actor in self.actors:
            self.actors[actor].letters.append(_Letter(id, body))
        else:
            self.backlog.append((actor, _Letter(id, body)))

    def perform(self, effects: list[Effect]) -> None:
        """Nobody here has anything done outside; the worlds that know better say so."""

    def submit(self) -> None:
        number, phases = self.next(), self.random.choice((None, None, None, ["code", "test"]))
        wish = task.SubmitTask(task="x", workflow="small", repo=self.random.choice(REPOS), phases=phases)
        for _ in range(2 if self.random.random() < 0.2 else 1):
            self.send("orchestrator", f"submit-{number}", wish)

    def task_ids(self) -> list[str]:
        return sorted({record.subject[9:] for record in self.log.records if record.subject.startswith("evt.task.")})

    def meddle(self) -> None:
        """Somebody wants something."""
        ids = self.task_ids()
        if not ids:
            return
        id, number = self.random.choice(ids), self.next()
        wishes: list[tuple[str, Command]] = [
            ("guardian", guardian.PausePipeline(pipeline_id=id)),
            ("guardian", guardian.PausePipeline(pipeline_id=id)),
            ("guardian", guardian.ResumePipeline(pipeline_id=id)),
            ("guardian", guardian.ResumePipeline(pipeline_id=id)),
            ("guardian", guardian.OverridePipeline(pipeline_id=id, override={"n": number})),
            ("guardian", guardian.Freeze()),
            ("guardian", guardian.Thaw()),
            ("guardian", guardian.Thaw()),
            ("guardian", guardian.ApproveMerge(task_id=id)),
            ("guardian", guardian.DiscardWork(task_id=id)),
            ("guardian", guardian.WaiveSandbox(reason="so be it")),
            ("orchestrator", task.ResetTask(task_id=id)),
            ("orchestrator", task.ResetTask(task_id=id)),
            ("orchestrator", routing.EscalateTask(task_id=id, reason="which?", urgency="high")),
            *[("orchestrator", assignment(self.random, id)) for _ in range(4)],
        ]
        if self.random.random() < 0.3:
            wishes = [("orchestrator", task.CancelTask(task_id=id))]
        actor, wish = self.random.choice(wishes)
        self.send(actor, f"wish-{number}", wish)

    def due(self) -> list[str]:
        return [name for name, (at, _, _) in self.timers.items() if at <= self.now]

    def step(self) -> bool:
        """One thing happens. False: there is nothing left to do at this moment."""
        choices: list[tuple[str, Any]] = []
        for actor in self.actors.values():
            if actor.stalled_until > self.now:
                continue
            if actor.unread():
                choices.append(("read", actor))
            if actor.letters and not any(actor.letters[0] is letter for _, letter, _ in actor.held):
                choices.append(("letter", actor))
            if actor.answers:
                choices.append(("answer", actor))
        choices += [("timer", name) for name in self.due() if self._awake(self.timers[name][1])]
        if not choices:
            return False
        what, where = self.random.choice(choices)
        owner = self._owner(self.timers[where][1]) if what == "timer" else where
        try:
            self._do(what, where, owner)
        except Crash:
            self.restart(owner)
        return True

    def restart(self, actor: Actor) -> None:
        self.crash_count += 1
        while True:
            try:
                actor.begin()
                return
            except Crash:
                continue

    def beat(self) -> None:
        """Heartbeats of everybody who is not stalled reach the orchestrator, or some are lost."""
        for actor in self.actors.values():
            if actor.stalled_until > self.now:
                continue
            for alive in actor.decider.beats():
                if self.random.random() > 0.05 or self.safe:
                    self.actors["orchestrator"].hear(alive)

    def stall(self) -> None:
        name = self.random.choice([name for name in self.actors if name.startswith("agents")])
        self.stall_count += 1
        self.actors[name].stalled_until = self.now + 1.5 * LEASE_S

    def _do(self, what: str, where: Any, owner: Actor) -> None:
        if what == "read":
            owner.read(self.random.choice((1, 1, 2, 5, 50)))
        elif what == "letter":
            letter = owner.letters[0]
            owner.take_letter()
            self._answer(owner, letter)
        elif what == "answer":
            owner.hear(owner.answers.pop(0))
        else:
            _, _, body = self.timers[where]
            owner.fire(where, body)
            self.timers.pop(where, None) if self.timers.get(where, (0, "", None))[2] is body else None

    def _answer(self, owner: Actor, letter: _Letter) -> None:
        sender = self.senders.get(letter.id)
        if sender and letter not in owner.letters:
            answer = {"ok": True, **owner.desk._answer}
            plain = msgspec.json.decode(msgspec.json.encode(answer))
            command = {"RegisterAgent": "register_agent"}.get(type(letter.command).__name__, "other")
            self.actors[sender].answers.append(Answer(command, plain))

    def _owner(self, woken: str) -> Actor:
        return next(actor for actor in self.actors.values() if woken in actor.decider.woken_as)

    def _awake(self, woken: str) -> bool:
        return self._owner(woken).stalled_until <= self.now

    def run(self, tasks: int = 4, turns: int = 250) -> None:
        """Trouble for a while, then peace until nothing is left to do."""
        for _ in range(tasks):
            self.submit()
        for _ in range(turns):
            dice = self.random.random()
            if dice < 0.04:
                self.meddle()
            elif dice < 0.05:
                self.stall()
            elif dice < 0.25 or not self.step():
                self.now += self.random.choice((0.1, 1.0, 5.0))
                self._beat_or_crash()
        self.make_peace()

    def _beat_or_crash(self) -> None:
        try:
            self.beat()
        except Crash:
            self.restart(self.actors["orchestrator"])

    def make_peace(self) -> None:
        """No more trouble: thaw, resume, give whoever waits an answer, and let time pass."""
        self.safe, self.bad_luck = True, 0.0
        for calm in range(400):
            while self.step():
                pass
            self.now += 2.0
            self.beat()
            if calm % 20 == 10:
                self.send("guardian", f"peace-{self.next()}", guardian.Thaw())
                for id in self.task_ids():
                    self.send("guardian", f"peace-{self.next()}", guardian.ResumePipeline(pipeline_id=id))
                    if self.status(id) == "waiting":
                        answer = self.random.choice((task.ResetTask, task.ResetTask, task.CancelTask))
                        self.send("orchestrator", f"peace-{self.next()}", answer(task_id=id))
            if calm > 40 and self._ended():
                return

    def _ended(self) -> bool:
        return all(self.status(id) in ENDED for id in self.task_ids())

    def status(self, id: str) -> str:
        return str(Desk("observer", FOLDS, Source(self.log)).state(f"evt.task.{id}").status)
