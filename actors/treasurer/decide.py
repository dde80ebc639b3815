"""What the treasurer does: each request of a run is put to the mind, and the reply goes on the log."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from actors.agent.mind import Script, ScriptedTurn, calls_of
from actors.agent.steps import Steps
from actors.decider import Done, Effects, Hold, Message
from actors.desk import Desk
from bus.envelope import Record, open_envelope
from bus.messages import step as said
from bus.messages.agent import Alive
from bus.messages.call import ModelFailed, ModelReplied
from bus.messages.guardian import AcknowledgeFreeze, FreezeOrdered, JoinWatch

GUARDIAN = "evt.guardian.main"


class Asked(NamedTuple):
    """A request that is under way."""

    subject: str
    turn: int
    again: int
    flow: str
    said: ScriptedTurn


class _Known(NamedTuple):
    """What the treasurer keeps in mind of a run while it lasts."""

    phase: str
    recovery: str
    text: str


class Treasurer:
    """The only one who knows what thinks. In this release that is a script; it costs nothing."""

    name = "treasurer"
    follows: Sequence[str] = ("evt.step.*.*", GUARDIAN)
    watches: Sequence[str] = (GUARDIAN,)
    ignores: Sequence[type] = (
        said.StepsOpened,
        said.ToolRequested,
        said.StepRefused,
        said.StepEnded,
        said.StepRecoveryStarted,
        said.StepRecoveryEnded,
        said.PlaybookOpened,
        said.PlaybookSucceeded,
        said.PlaybookFailed,
        said.ChecklistExtended,
        said.ChecklistItemDone,
        said.HelpAsked,
    )
    beat_s = 0.0
    woken_as: Sequence[str] = ()

    def __init__(self, script: Script, effects: Effects) -> None:
        self.script = script
        self.effects: Effects | None = effects
        self.known: dict[str, _Known] = {}
        self.busy: set[str] = set()

    def ready(self, desk: Desk) -> bool:
        return not desk.state(GUARDIAN).frozen

    def beats(self) -> list[Alive]:
        return []

    def opened_by(self, message: Message) -> str:
        return ""

    def resume_after(self, last: Callable[[str], Record | None], head: int) -> int:
        """Where its own newest commit says that it was; without one, at the first run there is."""
        newest = last("evt.call.*.*")
        return open_envelope(newest).after if newest else 0

    def recover(self, desk: Desk, message: Message) -> None:
        self.known, self.busy = {}, set()
        desk.send("guardian", "join_watch", JoinWatch(actor=self.name))
        if frozen := desk.state(GUARDIAN).frozen:
            desk.send("guardian", "acknowledge_freeze", AcknowledgeFreeze(order=frozen, actor=self.name))

    def decide(self, desk: Desk, message: Message) -> None:
        """One message, whatever it is."""
        body = message.body
        match body:
            case said.ModelRequested():
                self._ask(desk, message, body)
            case Done(told=Asked()):
                self.busy.discard(body.key)
                desk.close(body.key)
                self._reply(desk, body.told)
            case said.StepsClosed():
                self.known.pop(message.subject, None)
                desk.forget(_calls_of(message.subject))
            case FreezeOrdered():
                desk.send("guardian", "acknowledge_freeze", AcknowledgeFreeze(order=body.order, actor=self.name))
            case _:
                pass

    def _ask(self, desk: Desk, message: Message, wish: said.ModelRequested) -> None:
        subject = _calls_of(message.subject)
        key = f"{subject}/{wish.turn}/{wish.again}"
        if key in self.busy or desk.state(subject, opens=wish.turn == 1).answered >= (wish.turn, wish.again):
            return
        if desk.state(GUARDIAN).frozen:
            raise Hold
        known = self._known(desk, message.subject)
        turn = self.script.turn_of(known.phase, known.recovery, wish.turn)
        if turn is None:
            reason = f"the script {self.script.name} has no turn {wish.turn} for {known.phase}"
            failed = ModelFailed(turn=wish.turn, mind=self.script.mind, failure="help", reason=reason)
            desk.append(subject, failed, flow=message.flow)
            return
        asked = Asked(subject, wish.turn, wish.again, message.flow, turn)
        if turn.delay_s > 0:
            self.busy.add(key)
            desk.open(key)
            desk.perform(key, asked)
        else:
            self._reply(desk, asked)

    def _reply(self, desk: Desk, asked: Asked) -> None:
        mind, turn = self.script.mind, asked.said
        if turn.failure and not asked.again:
            reason = f"the script says {turn.failure}"
            failed = ModelFailed(turn=asked.turn, mind=mind, failure=turn.failure, reason=reason, again=asked.again)
            desk.append(asked.subject, failed, flow=asked.flow)
            return
        _, _, agent, run = asked.subject.split(".")
        text = self._known(desk, f"evt.step.{agent}.{run}").text
        reply = ModelReplied(
            turn=asked.turn,
            mind=mind,
            text=turn.text.replace("{task}", text),
            calls=calls_of(turn, text),
            again=asked.again,
            ms=turn.delay_s * 1000,
        )
        desk.append(asked.subject, reply, flow=asked.flow)

    def _known(self, desk: Desk, subject: str) -> _Known:
        """Phase, recovery and the task's text; read once in the life of a run."""
        known = self.known.get(subject)
        if known is None:
            steps: Steps = desk.peek(subject)
            text = desk.peek(f"evt.task.{steps.task}").text if steps.task else ""
            known = self.known[subject] = _Known(steps.phase, steps.recovery, text)
        return known


def _calls_of(steps: str) -> str:
    return steps.replace("evt.step.", "evt.call.", 1)
