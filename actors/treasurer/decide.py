"""What the treasurer does: each request of a run is put to whatever thinks for it, and the reply goes on the log."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

from actors.agent.mind import Script, ScriptedTurn, calls_of
from actors.agent.steps import Steps, all_but
from actors.apart import apart, head_of, too_large
from actors.decider import Done, Effects, Hold, Message, Plain
from actors.desk import Desk
from actors.treasurer import opinions, purse
from actors.treasurer.budget import SUBJECT, Budget, Caps
from actors.treasurer.buying import Buyer
from actors.treasurer.call import Calls
from actors.treasurer.thinking import Thinking
from bus.envelope import Commit, Record, open_envelope
from bus.messages import step as said
from bus.messages.budget import SetCaps, TopUp
from bus.messages.call import CallEvent, ListModels, ModelFailed, ModelReplied
from bus.messages.council import OpinionAsked
from bus.messages.exec import ExecEvent
from bus.messages.guardian import AcknowledgeFreeze, FreezeOrdered, JoinWatch, ThawOrdered
from bus.messages.timers import CallsDue

GUARDIAN = "evt.guardian.main"
NO_TURN = ScriptedTurn("none")


class Asked(NamedTuple):
    """A request that is under way."""

    subject: str
    turn: int
    again: int
    flow: str
    said: ScriptedTurn
    text: str


class _Known(NamedTuple):
    """What the treasurer keeps in mind of a run while it lasts."""

    phase: str
    recovery: str
    text: str
    closed: bool


class Treasurer(Plain):
    """The only one who knows what thinks: a script, or models that are bought under a budget."""

    name = "treasurer"
    follows: Sequence[str] = ("evt.step.*.*", "evt.council.*", GUARDIAN)
    watches: Sequence[str] = (GUARDIAN,)
    ignores: Sequence[type] = (
        *all_but(said.ModelRequested, said.StepsClosed), *opinions.NOT_HEARD, *get_args(CallEvent), *get_args(ExecEvent)
    )  # fmt: skip
    overhears = ("evt.call.", "evt.exec.")
    """The rest of each conversation."""
    woken_as: Sequence[str] = ("treasurer",)

    def __init__(
        self,
        script: Script,
        effects: Effects,
        thinking: Thinking | None = None,
        caps: Caps | None = None,
    ) -> None:
        self.script, self.thinking, self.caps = script, thinking, caps
        if thinking is not None:
            self.follows = (*self.follows, "evt.call.*.*", "evt.exec.*.*")
        self.effects: Effects | None = effects
        self.known: dict[str, _Known] = {}
        self.busy: set[str] = set()

    def ready(self, desk: Desk) -> bool:
        return not desk.state(GUARDIAN).frozen

    def resume_after(self, last: Callable[[str], Record | None], head: int) -> int:
        """Where its own newest commit says that it was; without one, at the first run there is."""
        newest = last("evt.call.*.*")
        if self.thinking is not None:
            self.thinking.buyer.newest = newest.seq if newest else 0
        return open_envelope(newest).after if newest else 0

    def recover(self, desk: Desk, message: Message) -> None:
        self.known, self.busy = {}, set()
        if self.caps is not None:
            purse.configure(desk, self.caps)
        if self.thinking is not None:
            self.thinking.forget_all()
            self._tidy_up(desk)
        desk.send("guardian", "join_watch", JoinWatch(actor=self.name))
        if frozen := desk.state(GUARDIAN).frozen:
            desk.send("guardian", "acknowledge_freeze", AcknowledgeFreeze(order=frozen, actor=self.name))

    def overhear(self, record: Record, commit: Commit[Any]) -> None:
        if self.thinking is not None:
            self.thinking.overhear(record, commit)

    def decide(self, desk: Desk, message: Message) -> None:
        """One message, whatever it is."""
        body = message.body
        match body:
            case said.ModelRequested():
                self._ask(desk, message, body)
            case OpinionAsked():
                self._opine(desk, message, body)
            case ListModels():
                desk.answer(**opinions.offers(desk, self._looked()))
            case Done(told=Asked()):
                self.busy.discard(body.key)
                desk.close(body.key)
                self._reply(desk, body.told)
            case Done() if self.thinking is not None:
                self.thinking.hears(desk, body.key, body.told)
                self._look_again(desk)
            case said.StepsClosed():
                self.known.pop(message.subject, None)
                if self.thinking is not None:
                    self.thinking.forget(message.subject)
                desk.forget(_calls_of(message.subject))
            case SetCaps():
                purse.set_caps(desk, body)
                self._look_again(desk)
            case TopUp():
                purse.top_up(desk, body)
                self._look_again(desk)
            case CallsDue() | ThawOrdered():
                self._look_again(desk)
            case FreezeOrdered():
                desk.send("guardian", "acknowledge_freeze", AcknowledgeFreeze(order=body.order, actor=self.name))
            case _:
                pass

    def _ask(self, desk: Desk, message: Message, wish: said.ModelRequested) -> None:
        subject = _calls_of(message.subject)
        key = f"{subject}/{wish.turn}/{wish.again}"
        first = (wish.turn, wish.again) == (1, 0)
        if key in self.busy or desk.state(subject, opens=first).answered >= (wish.turn, wish.again):
            return
        if desk.state(GUARDIAN).frozen:
            raise Hold
        if self.thinking is not None:
            self.thinking.ask(desk, message.subject, wish)
            self._wake(desk)
            return
        known = self._known(desk, message.subject)
        if known.closed:
            return  # nobody waits for a reply any more
        turn = self.script.turn_of(known.phase, known.recovery, wish.turn)
        if turn is None:
            reason = f"the script {self.script.name} has no turn {wish.turn} for {known.phase}"
            self._fail(desk, Asked(subject, wish.turn, wish.again, message.flow, NO_TURN, ""), "help", reason)
            return
        asked = Asked(subject, wish.turn, wish.again, message.flow, turn, known.text)
        if turn.delay_s > 0:
            self.busy.add(key)
            desk.open(key)
            desk.perform(key, asked)
        else:
            self._reply(desk, asked)

    def _opine(self, desk: Desk, message: Message, asked: OpinionAsked) -> None:
        """A council needs an opinion: a reply or none, and soon."""
        wanted = opinions.wanted_for(message.subject, asked, message.flow)
        if desk.state(wanted.subject, opens=True).answered >= (wanted.turn, wanted.again):
            return
        if desk.state(GUARDIAN).frozen:
            raise Hold
        if buyer := self._looked():
            opinions.ask(desk, buyer, message.subject, wanted, asked)
        else:
            nobody = Asked(wanted.subject, wanted.turn, wanted.again, message.flow, NO_TURN, "")
            self._fail(desk, nobody, "help", f"the script {self.script.name} has no opinions")

    def _looked(self) -> Buyer | None:
        """The buyer, once it is known who can be asked; without one, a script thinks."""
        if self.thinking is None:
            return None
        if self.thinking.surveyed_s is None:
            raise Hold
        return self.thinking.buyer

    def _look_again(self, desk: Desk) -> None:
        """Something has changed that calls may have waited for."""
        if self.thinking is not None and not desk.state(GUARDIAN).frozen:
            self.thinking.again(desk, self.thinking.buyer.waiting())
            self._wake(desk)

    def _wake(self, desk: Desk) -> None:
        """When the first of those that wait has waited long enough."""
        assert self.thinking is not None
        waits = [parked.until_s for parked in self.thinking.buyer.parked.values()]
        if waits:
            desk.wake(self.name, "calls", max(min(waits), desk.message.now_s + 1), CallsDue())

    def _tidy_up(self, desk: Desk) -> None:
        """After a crash nothing is under way: what never began cost nothing, and what nobody knows all it could."""
        budget: Budget = desk.state(SUBJECT)
        for reservation in list(budget.open):
            agent, run, turn, again = reservation.split("/")
            calls: Calls = desk.peek(f"evt.call.{agent}.{run}")
            purse.settle(desk, reservation, *calls.cost_of(int(turn), int(again)))

    def _reply(self, desk: Desk, asked: Asked) -> None:
        turn = asked.said
        if turn.failure and not asked.again:
            self._fail(desk, asked, turn.failure, f"the script says {turn.failure}")
            return
        text, calls = turn.text.replace("{task}", asked.text), calls_of(turn, asked.text)
        kept = apart(calls)
        if reason := too_large(text, calls, kept):
            self._fail(desk, asked, "model_error", reason)
            return
        for blob in kept.blobs:
            desk.keep(blob)
        reply = ModelReplied(
            turn=asked.turn,
            mind=self.script.mind,
            text=head_of(text),
            calls=kept.calls,
            again=asked.again,
            ms=turn.delay_s * 1000,
            whole=desk.keep(text.encode()) if head_of(text) != text else "",
        )
        desk.append(asked.subject, reply, flow=asked.flow)

    def _fail(self, desk: Desk, asked: Asked, failure: str, reason: str) -> None:
        failed = ModelFailed(turn=asked.turn, mind=self.script.mind, failure=failure, reason=reason, again=asked.again)
        desk.append(asked.subject, failed, flow=asked.flow)

    def _known(self, desk: Desk, subject: str) -> _Known:
        """Phase, recovery and the task's text; read once in the life of a run."""
        known = self.known.get(subject)
        if known is None:
            steps: Steps = desk.peek(subject)
            text = desk.peek(f"evt.task.{steps.task}").text if steps.task else ""
            known = _Known(steps.phase, steps.recovery, text, steps.closed)
            if not known.closed:
                self.known[subject] = known
        return known


def _calls_of(steps: str) -> str:
    return steps.replace("evt.step.", "evt.call.", 1)
