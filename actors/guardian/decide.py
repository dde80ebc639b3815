"""What the Guardian orders: pause, resume, override one pipeline; freeze and thaw everything."""

from collections.abc import Callable, Sequence

import msgspec

from actors.decider import Message, Plain
from actors.desk import Desk
from actors.guardian.orders import MAIN
from actors.orchestrator.task import Task, refuse_unless
from bus.envelope import Record
from bus.errors import Missing, Refused
from bus.ids import derived_id
from bus.messages import guardian as said
from bus.messages import task
from bus.messages.base import Event
from bus.messages.timers import FreezeDue

CONTEXT_MAX_BYTES = 48 * 1024
MERGED_FROM = ("completed",)
DISCARDED_FROM = ("completed", "failed", "cancelled", "waiting")
DEAD_LETTERS = "evt.guardian.dead"


class Guardian(Plain):
    """Orders are recorded here; the orchestrator and the agents carry them out and their events say so."""

    name = "guardian"
    follows: Sequence[str] = ()
    woken_as: Sequence[str] = ("guardian",)

    def __init__(self, answer_s: float) -> None:
        self.answer_s = answer_s

    def recover(self, desk: Desk, message: Message) -> None:
        main = desk.state(MAIN)
        if main.frozen and main.missing:
            self._wait_for_answers(desk, main.frozen)

    def resume_after(self, last: Callable[[str], Record | None], head: int) -> int:
        return head

    def opened_by(self, message: Message) -> str:
        orders = said.PausePipeline | said.ResumePipeline | said.OverridePipeline | said.ApproveMerge | said.DiscardWork
        return f"evt.guardian.{derived_id(message.id)}" if isinstance(message.body, orders) else ""

    def decide(self, desk: Desk, message: Message) -> None:
        """One message, whatever it is."""
        body = message.body
        match body:
            case said.PausePipeline():
                pause = said.PauseOrdered(pipeline=body.pipeline_id, reason=body.reason)
                self._order(desk, body.pipeline_id, pause, task.PipelinePaused, "pause")
            case said.ResumePipeline():
                resume = said.ResumeOrdered(pipeline=body.pipeline_id, reason=body.reason)
                self._order(desk, body.pipeline_id, resume, task.PipelineResumed, "resume")
            case said.OverridePipeline():
                override = said.OverrideOrdered(pipeline=body.pipeline_id, override=body.override, reason=body.reason)
                self._order(desk, body.pipeline_id, override, task.TaskCancelled, "override")
            case said.ApproveMerge():
                merge = said.MergeApproved(task=body.task_id, reason=body.reason)
                self._order_on_work(desk, body.task_id, merge, MERGED_FROM, "merge")
            case said.DiscardWork():
                discard = said.DiscardOrdered(task=body.task_id, reason=body.reason)
                self._order_on_work(desk, body.task_id, discard, DISCARDED_FROM, "discard")
            case said.WaiveSandbox():
                if not desk.state(MAIN).waived:
                    desk.append(MAIN, said.SandboxWaived(reason=body.reason))
                desk.answer(ordered="waive_sandbox")
            case said.Freeze():
                self._freeze(desk, body)
            case said.Thaw():
                self._thaw(desk, body)
            case said.JoinWatch() if body.actor not in desk.state(MAIN).actors:
                desk.append(MAIN, said.ActorJoined(actor=body.actor))
            case said.AcknowledgeFreeze():
                self._acknowledge(desk, body)
            case FreezeDue():
                self._count_answers(desk, body)
            case said.BuryLetter():
                if not desk.knows(DEAD_LETTERS, message.id):
                    desk.append(DEAD_LETTERS, said.LetterBuried(stream=body.stream, seq=body.seq, reason=body.reason))

    def _order(self, desk: Desk, pipeline: str, order: Event, needs: type[task.TaskEvent], wish: str) -> None:
        """Record an order to one pipeline. What a task must allow for an override is what it must allow for an end."""
        id = derived_id(desk.message.id)
        subject = f"evt.guardian.{id}"
        if not desk.state(subject, opens=True).given:
            state = desk.peek(f"evt.task.{pipeline}")
            refuse_unless(state, needs, wish)
            if isinstance(order, said.OverrideOrdered):
                _refuse_if_too_large(state, order)
            desk.append(subject, order)
        desk.answer(order=id, pipeline_id=pipeline, ordered=wish)

    def _order_on_work(self, desk: Desk, id: str, order: Event, allowed: Sequence[str], wish: str) -> None:
        """Record an order about what a task has made."""
        order_id = derived_id(desk.message.id)
        subject = f"evt.guardian.{order_id}"
        if not desk.state(subject, opens=True).given:
            status = desk.peek(f"evt.task.{id}").status
            if status == "absent":
                raise Missing(f"cannot {wish}: there is no such task")
            if status not in allowed:
                raise Refused(
                    f"cannot {wish}: the task is {status}",
                    f"That is possible when it is {' or '.join(allowed)}. See `witan status`.",
                )
            desk.append(subject, order)
        desk.answer(order=order_id, pipeline_id=id, ordered=wish)

    def _freeze(self, desk: Desk, wish: said.Freeze) -> None:
        main = desk.state(MAIN)
        if main.frozen and not desk.knows(MAIN, desk.message.id):
            raise Refused(f"everything is frozen already by order {main.frozen}", "End it with `witan guardian thaw`.")
        order = derived_id(desk.message.id)
        if not main.frozen:
            desk.append(MAIN, said.FreezeOrdered(order=order, actors=sorted(main.actors), reason=wish.reason))
            self._wait_for_answers(desk, order)
        desk.answer(order=order, ordered="freeze", actors=sorted(main.actors))

    def _thaw(self, desk: Desk, wish: said.Thaw) -> None:
        main = desk.state(MAIN)
        if not main.frozen and not desk.knows(MAIN, desk.message.id):
            raise Refused("nothing is frozen", "See the orders with `witan query guardian`.")
        order = main.frozen
        if order:
            desk.append(MAIN, said.ThawOrdered(order=order, reason=wish.reason))
        desk.answer(order=order, ordered="thaw")

    def _acknowledge(self, desk: Desk, word: said.AcknowledgeFreeze) -> None:
        main = desk.state(MAIN)
        if main.frozen == word.order and word.actor not in main.acknowledged:
            desk.append(MAIN, said.FreezeAcknowledged(order=word.order, actor=word.actor))

    def _wait_for_answers(self, desk: Desk, order: str) -> None:
        desk.wake(self.name, "freeze", desk.message.now_s + self.answer_s, FreezeDue(order=order))

    def _count_answers(self, desk: Desk, due: FreezeDue) -> None:
        main = desk.state(MAIN)
        if main.frozen == due.order and main.missing and not desk.knows(MAIN, desk.message.id):
            desk.append(MAIN, said.FreezeUnanswered(order=due.order, actors=main.missing))


def _refuse_if_too_large(state: Task, order: said.OverrideOrdered) -> None:
    """Every assignment carries the task's text, context and overrides, and must fit into one commit."""
    carried = len(msgspec.json.encode((state.text, state.context, state.checklist, order.override)))
    if carried > CONTEXT_MAX_BYTES:
        raise Refused(
            f"the task would carry {carried} bytes of text, context, checklist and overrides",
            f"Keep it under {CONTEXT_MAX_BYTES}: put large texts into a file and name the file.",
        )
