"""The shell around every actor: mailbox, log, acknowledgements, answers. What an actor is, its decider says.

One turn of the mailbox: decode what has come, decide on each message, and hand the outbox one parcel, so that all
commits of the turn go to the log together. Messages are acknowledged when the parcel is on the log.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
import pykka
import structlog
from msgspec.structs import replace

from actors.decider import Decider, Done, Effect, Hold, Message, Outcome, Progress
from actors.desk import Desk
from actors.fiber import FiberActor
from actors.folds import FOLDS
from actors.intake import Commands, Intake
from actors.outbox import Outbox, Parcel, Settled, Wires
from actors.reader import Reader
from bus.commands import Callers, CommandDesk, command_id
from bus.envelope import Record
from bus.errors import Invalid, WitanError
from bus.follow import Letter, WorkQueue
from bus.ids import fresh_id
from bus.jetstream import JetStreamLog
from bus.messages.agent import Alive
from bus.messages.guardian import BuryLetter
from bus.messages.kinds import COMMANDS_OF, read_commit
from bus.messages.timers import AnyDue
from bus.subjects import COMMANDS, TIMERS

PARCEL = 500
"""So many commits are sent off while the rest of the turn is still being decided."""
RECORDS = 200
"""So many records that came to nothing are enough to make room for others; the window is ten times as wide."""
ASIDE = 100
"""So many records that are only overheard wait for one that is decided on: each would wake the actor for nothing."""
EFFECTS_OPEN_S = 60
"""So long an actor may take to prove that nothing of its last life is left."""
STRIKES = 3
"""A message that brings its actor down so often is buried."""
_dues = msgspec.json.Decoder(AnyDue)
_alive = msgspec.json.Decoder(Alive)


class Begin(NamedTuple):
    """Read the log and take the work up."""


class Records(NamedTuple):
    batch: list[Record]


class Fired(NamedTuple):
    batch: list[Letter]


class Heard(NamedTuple):
    body: Any


class Beat(NamedTuple):
    """Say who is at work."""


class Failed(NamedTuple):
    error: Exception


class _Held(NamedTuple):
    """A message that waits at the actor until its decider is ready again."""

    message: Message
    settled: Settled | None
    seq: int


class Shell(FiberActor):
    """One actor."""

    def __init__(
        self,
        decider: Decider,
        wires: Wires,
        strikes: dict[str, int],
        callers: dict[str, Callers],
        died: Callable[["Shell", str], None],
    ) -> None:
        super().__init__()
        self.bridge = wires.bridge
        self.callers = callers
        self.decider, self.wires, self.died, self.strikes = decider, wires, died, strikes
        self.log = structlog.get_logger().bind(actor=decider.name)
        self._told = self.log.bind(flow="", cause="")
        self.desk = Desk(decider.name, FOLDS, Reader(wires), wires.keep)
        self.outbox = Outbox(wires, lambda error: self._mail(Failed(error)), lambda answer: self._mail(Heard(answer)))
        self.intake: Intake | None = None
        self.commands: CommandDesk | None = None
        self.timers: WorkQueue | None = None
        self._subscription: Any = None
        self._aside: list[Record] = []
        self._held: list[_Held] = []
        self._unfinished: dict[str, int] = {}
        self._place = 0
        self._heads = (0, 0)
        self._beating = False
        self._now = 0.0
        self._message_key = ""
        self._clear()

    def on_receive(self, mail: Any) -> None:
        """One turn: decide on everything in it, then send one parcel."""
        self._now = self.wires.clock()
        match mail:
            case Records():
                self._take_records(mail.batch)
            case Commands():
                self._take_commands(mail)
            case Fired():
                self._take_fired(mail.batch)
            case Heard():
                self._decide(Message(fresh_id(), mail.body, now_s=self._now), None, 0)
            case Begin():
                self._begin()
            case Beat():
                self._beat()
            case Failed():
                raise mail.error
        self._try_held()
        self._post()
        if not self._beating and self.decider.beats():
            self._beating = True
            self._beat()

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        """Let go of the bus, and let the supervisor begin again from the log."""
        expected = isinstance(exception_value, WitanError)
        log = self._told.warning if expected else self._told.error
        log("actor stopped", why=repr(exception_value), exc_info=None if expected else exception_value)
        if self._message_key and not expected:
            self.strikes[self._message_key] = self.strikes.get(self._message_key, 0) + 1
        self.close()
        self.died(self, repr(exception_value))

    def on_stop(self) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading and wait for what is under way."""
        self.bridge.run(self._close())

    async def _close(self) -> None:
        if self.intake is not None:
            self.intake.close()
        for reader in (self.commands, self.timers, self.outbox.follower):
            if reader is not None:
                await reader.close()
        if self._subscription is not None:
            await self.wires.connection.unsubscribe(self._subscription)
        await self.outbox.close()
        if self.outbox.effects is not None:
            await self.outbox.effects.close()

    def _begin(self) -> None:
        bridge, wires = self.bridge, self.wires
        if self.decider.effects is not None:
            self.outbox.effects = self.decider.effects
            bridge.run(self.decider.effects.open(self._hear), timeout_s=EFFECTS_OPEN_S)
        head = bridge.run(wires.log.head())
        self._heads = (head, bridge.run(JetStreamLog(wires.connection, COMMANDS).head()))
        self._place = self.outbox.upto = self.decider.resume_after(
            lambda pattern: bridge.run(wires.log.last(pattern)), head
        )
        message = Message(fresh_id(), None, now_s=self._now)
        outcome = self.desk.decide(lambda desk, told: self.decider.recover(desk, told), message, self._place)
        self._add(outcome, None, 0)
        self._post()
        bridge.run(self._open())
        self._told.info("actor started", after=self._place, head=head)

    def _hear(self, told: Progress | Done) -> None:
        self._mail(Heard(told))

    def _mail(self, mail: Any) -> None:
        """From the loop. Whoever has stopped hears nothing more: what is not done yet comes to the next one."""
        with suppress(pykka.ActorDeadError):
            self.actor_ref.tell(mail)

    async def _open(self) -> None:
        connection = self.wires.connection
        if self.decider.follows:
            self.outbox.follower = await self.wires.log.follow(self.decider.follows, self._place, self._come)
        name = self.decider.name
        if name in COMMANDS_OF:
            callers = self.callers.get(name) or self.callers.setdefault(name, Callers(connection, name))
            failed = self.outbox.failed
            intake = self.intake = Intake(self.wires, self.decider, self._heads[1], self._mail, failed)
            self.commands = CommandDesk(callers, name, intake.take, lambda letter: intake.take([letter]))
            await self.commands.open()
        if patterns := [f"fired.{woken}.>" for woken in self.decider.woken_as]:
            self.timers = WorkQueue(
                connection, TIMERS, f"timers-{name}", patterns, lambda batch, _: self._mail(Fired(batch))
            )
            await self.timers.open()
        if name == "orchestrator":
            self._subscription = await connection.subscribe("live.heartbeat.*", self._heard_heartbeat)

    def _come(self, batch: list[Record], _behind: int) -> None:
        self._aside += batch
        overheard = self.decider.overhears
        if len(self._aside) >= ASIDE or not all(record.subject.startswith(overheard) for record in batch):
            batch, self._aside = self._aside, []
            self._mail(Records(batch))

    def _heard_heartbeat(self, subject: bytes, reply: bytes, block: bytes | None, body: bytes) -> None:
        try:
            self._mail(Heard(_alive.decode(body)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._told.warning("unreadable heartbeat", subject=subject.decode(errors="replace"))

    def _take_records(self, batch: list[Record]) -> None:
        watches, ignores = self.decider.watches, self.decider.ignores
        for record in batch:
            if watches and record.subject in watches:
                self.desk.observe(record)
            commit = read_commit(record)
            self.decider.overhear(record, commit)
            fresh = record.seq > self._heads[0]
            for place, event in enumerate(commit.events):
                if type(event) in ignores:
                    continue
                id = commit.id
                message = Message(id, event, record.subject, commit.flow, self._now, fresh)
                self._decide(message, None, record.seq, f"{id}/{place}")
                if self._blobs or (self._effects and len(commit.events) > 1):
                    self._post()  # what can begin, or waits for texts of its own, does not wait for what follows
            if record.subject in watches:
                self._try_held()  # what waited for this comes before what is behind it
            if len(self._drafts) >= PARCEL:
                self._post()
        self._place = max(self._place, batch[-1].seq)
        self._records += len(batch)

    def _take_commands(self, mail: Commands) -> None:
        assert self.commands is not None and self.intake is not None
        self.desk.look_ahead(mail.ahead)
        for letter, message, refusal in mail.told:
            if message is not None:
                settled = Settled(self.commands.queue, letter, b"+ACK", self.commands)
                self._decide(replace(message, now_s=self._now), settled, 0)
            elif refusal is not None:
                self._refuse(letter, refusal, b"+TERM " + str(refusal)[:200].encode("ascii", "replace"))
            if len(self._drafts) >= PARCEL:
                self._post()
        self.intake.taken()

    def _take_fired(self, batch: list[Letter]) -> None:
        assert self.timers is not None
        for letter in batch:
            settled = Settled(self.timers, letter)
            try:
                due = _dues.decode(letter.body)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                self._settled.append(replace(settled, word=b"+TERM unreadable timer"))
                continue
            self._decide(Message(command_id(letter), due, letter.subject, now_s=self._now), settled, 0)

    def _decide(self, message: Message, settled: Settled | None, seq: int, key: str = "") -> None:
        self._message_key = key or message.id
        if self.strikes and self.strikes.get(self._message_key, 0) >= STRIKES:
            self._bury(message, settled, seq)
            return
        try:
            outcome = self.desk.decide(self.decider.decide, message, self.outbox.upto)
        except Hold:
            self._held.append(_Held(message, settled, seq))
        except WitanError as error:
            if settled is None:
                raise
            self._refuse(settled.letter, error, b"+ACK")
        else:
            self._add(outcome, settled, seq)
        self._message_key = ""

    def _bury(self, message: Message, settled: Settled | None, seq: int) -> None:
        """Give a message up that nobody survives, so that those behind it are heard."""
        reason = f"{type(message.body).__name__} stopped {self.decider.name} {STRIKES} times"
        self.log.error("letter buried", cause=message.id, flow=message.flow, why=reason)
        stream = "EVENTS" if settled is None else COMMANDS
        place = seq if settled is None else settled.letter.seq
        letter = BuryLetter(stream=stream, seq=place, reason=reason)
        self.strikes.pop(self._message_key, None)
        self._sendings += self.desk.decide(
            lambda desk, _: desk.send("guardian", "bury_letter", letter), message, self.outbox.upto
        ).sendings
        if settled is not None:
            error = Invalid(reason, "This is a bug in Witan; the message lies in the stream DEAD.")
            self._refuse(settled.letter, error, b"+TERM poison")

    def _refuse(self, letter: Letter, error: WitanError, word: bytes) -> None:
        assert self.commands is not None
        cause = command_id(letter)[:200]
        self.log.info("refused", flow="", cause=cause, subject=letter.subject[:200], code=error.code, why=str(error))
        answer = msgspec.json.encode(error.answer())
        self._settled.append(Settled(self.commands.queue, letter, word, self.commands, answer))

    def _add(self, outcome: Outcome, settled: Settled | None, seq: int) -> None:
        self._drafts += outcome.drafts
        if outcome.effects or outcome.opened or outcome.closed:
            self._effects += outcome.effects
            self._unfinished.update(dict.fromkeys(outcome.opened, seq))
            for key in outcome.closed:
                self._unfinished.pop(key, None)
        self._blobs += outcome.blobs
        self._timers += outcome.timers
        self._sendings += outcome.sendings
        if settled is not None:
            if settled.desk is not None:
                settled = replace(settled, answer=msgspec.json.encode({"ok": True, **outcome.answer}))
            self._settled.append(settled)

    def _try_held(self) -> None:
        if self._held and self.decider.ready(self.desk):
            held, self._held = self._held, []
            for message, settled, seq in held:
                self._decide(replace(message, now_s=self._now, fresh=False), settled, seq)

    def _post(self) -> None:
        """Records that came to nothing make no parcel of their own, until there are many."""
        told = self._drafts or self._settled or self._timers or self._sendings or self._effects
        if not told and self._records < RECORDS:
            return
        parcel = Parcel(
            self._drafts,
            self._blobs,
            self._timers,
            self._sendings,
            self._settled,
            self._effects,
            self._records,
            self._upto(),
        )
        self.bridge.post(self.outbox.post, parcel)  # not at once: so what others decide meanwhile goes with it
        self._clear()

    def _upto(self) -> int:
        """Behind the first message that is held or whose effects are not done, or behind all that has come."""
        if not self._held and not self._unfinished:
            return self._place
        waiting = [held.seq for held in self._held if held.seq] + [seq for seq in self._unfinished.values() if seq]
        return min(waiting, default=self._place + 1) - 1

    def _clear(self) -> None:
        self._drafts: list[Any] = []
        self._blobs: list[bytes] = []
        self._timers: list[Any] = []
        self._sendings: list[Any] = []
        self._settled: list[Settled] = []
        self._effects: list[Effect] = []
        self._records = 0

    def _beat(self) -> None:
        """The beat is mail like any other, so that a stuck actor falls silent."""
        beats = self.decider.beats()
        self._beating = bool(beats)
        for alive in beats:
            if self.wires.connection.connected:
                self.wires.connection.murmur(f"live.heartbeat.{alive.agent}".encode(), msgspec.json.encode(alive))
        if beats:
            self.bridge.loop.call_later(self.decider.beat_s, self._tell_beat)

    def _tell_beat(self) -> None:
        self._mail(Beat())
