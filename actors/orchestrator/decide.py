"""What the orchestrator does with everything it hears: one message in, events on tasks, slots and queues out."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, get_args

import msgspec

from actors.decider import Answer, Message, Plain
from actors.desk import Desk
from actors.orchestrator import advice, escalation, naming, pipeline, staffing
from actors.orchestrator.checklist import steps_of
from actors.orchestrator.floor import Floor
from actors.orchestrator.roster import SUBJECT as ROSTER
from actors.orchestrator.roster import member_of
from actors.orchestrator.routing import Rules
from actors.orchestrator.slots import SUBJECT as SLOTS
from actors.orchestrator.task import Task, refuse_unless
from actors.orchestrator.workflow import Workflow
from bus.envelope import Record, open_envelope
from bus.errors import Invalid, Refused
from bus.ids import derived_id
from bus.messages import council, guardian, routing, run, slots, task
from bus.messages.agent import AgentJoined, Alive, RegisterAgent
from bus.messages.base import Command
from bus.messages.timers import AgentDue, LeasesDue, RecoveryDue

BEFORE_THE_END = tuple(each for each in get_args(council.CouncilEvent) if each is not council.CouncilEnded)


class Orchestrator(Plain):
    """Leads every task through its workflow."""

    name = "orchestrator"
    follows: Sequence[str] = ("evt.run.*.*", "evt.guardian.*", "evt.council.*")
    ignores: Sequence[type] = (run.RunStarted, *BEFORE_THE_END)
    woken_as: Sequence[str] = ("orchestrator",)

    def __init__(
        self,
        workflows: dict[str, Workflow],
        lease_s: float,
        limit: int,
        council_after: int | None = None,
        *,
        rules: Rules | None = None,
        reviews: bool = False,
        roles: Collection[str] = (),
    ) -> None:
        """`rules` say who should have a task; with `reviews` an architect looks at what is hard or fails for good.

        `roles` are those that have a file.
        """
        self.limit = limit
        self._empty = partial(Floor, workflows, lease_s, council_after, rules, reviews=reviews, roles=roles)
        self.floor = self._empty()

    def resume_after(self, last: Callable[[str], Record | None], head: int) -> int:
        """Where its own newest commit says that it was."""
        newest = [record for pattern in ("evt.task.*", SLOTS) if (record := last(pattern))]
        return max((open_envelope(record).after for record in newest), default=0)

    def recover(self, desk: Desk, message: Message) -> None:
        """Derive the floor from the tasks that hold a slot, and finish what a crash cut in two."""
        self.floor = self._empty()
        desk.send("guardian", "join_watch", guardian.JoinWatch(actor=self.name))
        for agent, member in desk.state(ROSTER).members.items():
            self.floor.enter(agent, member.role)
        admission = desk.state(SLOTS)
        if admission.limit != self.limit and not admission.by_hand:
            desk.append(SLOTS, slots.SlotsResized(limit=self.limit))
        if admission.frozen:
            acknowledge = guardian.AcknowledgeFreeze(order=admission.frozen, actor=self.name)
            desk.send("guardian", "acknowledge_freeze", acknowledge)
        pipeline.take_up(self.floor, desk, list(admission.holders))
        pipeline.admit(self.floor, desk)

    def opened_by(self, message: Message) -> str:
        return f"evt.task.{derived_id(message.id)}" if isinstance(message.body, task.SubmitTask) else ""

    def decide(self, desk: Desk, message: Message) -> None:
        """One message, whatever it is."""
        body = message.body
        match body:
            case run.RunFinished() | run.RunFailed() | run.RunStopped():
                pipeline.run_ended(self.floor, desk, message, body)
            case Answer():
                pass
            case Alive():
                self.floor.alive(body.agent, body.runs, message.now_s)
            case LeasesDue():
                pipeline.leases_due(self.floor, desk)
            case RecoveryDue():
                pipeline.recovery_due(self.floor, desk, body.task)
            case council.CouncilEnded():
                pipeline.council_ended(self.floor, desk, message, body)
            case AgentDue():
                naming.agent_due(self.floor, desk, body.task)
            case Command():
                self._command(desk, message, body)
            case _:
                self._order(desk, message, body)

    def _command(self, desk: Desk, message: Message, command: Command) -> None:
        match command:
            case task.SubmitTask():
                self._submit(desk, message, command)
            case task.CancelTask():
                self._cancel(desk, message, command)
            case task.ResetTask():
                self._reset(desk, message, command)
            case routing.AssignTask():
                naming.assign(self.floor, desk, message, command)
            case routing.EscalateTask():
                naming.escalate(self.floor, desk, message, command)
            case slots.ResizeSlots():
                if desk.state(SLOTS).limit != command.limit:
                    desk.append(SLOTS, slots.SlotsResized(limit=command.limit, by_hand=True))
                    pipeline.admit(self.floor, desk)
                desk.answer(limit=command.limit)
            case RegisterAgent():
                self._register(desk, command)
            case _:
                raise Refused(f"the orchestrator does not carry out {type(command).__name__}")

    def _order(self, desk: Desk, message: Message, order: Any) -> None:
        """What the Guardian has ordered; an order that came too late for its task stays without effect."""
        id = message.subject.rsplit(".", 1)[1]
        match order:
            case guardian.PauseOrdered():
                pipeline.pause(self.floor, desk, order.pipeline, id, order.reason)
            case guardian.ResumeOrdered():
                pipeline.resume(self.floor, desk, order.pipeline, id, order.reason)
            case guardian.OverrideOrdered():
                subject = f"evt.task.{order.pipeline}"
                state: Task = desk.state(subject)
                if not state.closed and state.status != "absent" and not desk.knows(subject, message.id):
                    applied = task.OverrideApplied(order=id, override=order.override, reason=order.reason)
                    desk.append(subject, applied)
            case guardian.FreezeOrdered():
                if not desk.state(SLOTS).frozen:
                    desk.append(SLOTS, slots.WorkFrozen(order=order.order))
                acknowledge = guardian.AcknowledgeFreeze(order=order.order, actor=self.name)
                desk.send("guardian", "acknowledge_freeze", acknowledge)
            case guardian.ThawOrdered():
                self._thaw(desk, order)
            case _:
                pass

    def _thaw(self, desk: Desk, order: guardian.ThawOrdered) -> None:
        admission = desk.state(SLOTS)
        if admission.frozen:
            desk.append(SLOTS, slots.WorkThawed(order=order.order))
            for id in list(admission.holders):
                pipeline.go_on(self.floor, desk, id)
            staffing.let_all_in(self.floor, desk)
            pipeline.admit(self.floor, desk)

    def _submit(self, desk: Desk, message: Message, wish: task.SubmitTask) -> None:
        id = derived_id(message.id)
        subject = f"evt.task.{id}"
        state: Task = desk.state(subject, opens=True)
        if state.status != "absent":
            if not desk.knows(subject, message.id):
                raise Refused(f"another task has the id {id}", "Send the command with another id.")
            desk.answer(task_id=id, status=state.status, repeated=True)
            return
        workflow = self.floor.workflows.get(wish.workflow)
        if workflow is None:
            raise Refused(
                f"there is no workflow {wish.workflow!r}",
                f"The workflows are: {', '.join(sorted(self.floor.workflows))}.",
            )
        phases = workflow.subset(wish.phases)
        repo = _whole_path(wish.repo)
        admitted = pipeline.ask_for_slot(desk, id, wish.priority)
        desk.append(
            subject,
            task.TaskSubmitted(
                task=wish.task,
                workflow=wish.workflow,
                phases=phases,
                priority=wish.priority,
                context=wish.context,
                repo=repo,
                base=wish.base,
                checklist=wish.required_actions or steps_of(wish.task),
            ),
        )
        if admitted:
            pipeline.start(self.floor, desk, id)
        desk.answer(task_id=id, status=desk.state(subject).status, phases=phases)

    def _cancel(self, desk: Desk, message: Message, wish: task.CancelTask) -> None:
        subject = f"evt.task.{wish.task_id}"
        if not desk.knows(subject, message.id):
            state: Task = desk.state(subject)
            refuse_unless(state, task.TaskCancelled, "cancel")
            self.floor.stop_waiting(state.role, wish.task_id, state.repo)
            staffing.revoke(self.floor, desk, state, wish.reason or "the task was cancelled")
            advice.call_off(desk, wish.task_id, state, "the task was cancelled")
            desk.append(subject, task.TaskCancelled(reason=wish.reason))
            pipeline.leave(self.floor, desk, wish.task_id)
            staffing.freed(self.floor, desk, state.works_as, state.repo)
        desk.answer(task_id=wish.task_id, status=desk.state(subject).status)

    def _reset(self, desk: Desk, message: Message, wish: task.ResetTask) -> None:
        subject = f"evt.task.{wish.task_id}"
        if not desk.knows(subject, message.id):
            state: Task = desk.state(subject)
            refuse_unless(state, task.TaskReset, "reset")
            self.floor.stop_waiting(state.role, wish.task_id, state.repo)
            staffing.revoke(self.floor, desk, state, wish.reason or "the task was reset")
            admitted = pipeline.ask_for_slot(desk, wish.task_id, pipeline.RESUMED_FIRST)
            advice.call_off(desk, wish.task_id, state, "the task was reset")
            desk.append(subject, *escalation.ended(state), task.TaskReset(reason=wish.reason))
            if state.status == "running":
                pipeline.go_on(self.floor, desk, wish.task_id)
            elif admitted:
                pipeline.start(self.floor, desk, wish.task_id)
            staffing.freed(self.floor, desk, state.works_as, state.repo)
        desk.answer(task_id=wish.task_id, status=desk.state(subject).status)

    def _register(self, desk: Desk, wish: RegisterAgent) -> None:
        joined = AgentJoined(agent=wish.agent, role=wish.role, capacity=wish.capacity, territory=wish.territory)
        if desk.state(ROSTER).members.get(wish.agent) != member_of(joined):
            desk.append(ROSTER, joined)
        self.floor.enter(wish.agent, wish.role)
        runs = [run for run, agent in self.floor.agent_of.items() if agent == wish.agent]
        open_work = [staffing.work_for(self.floor, desk, self.floor.task_of[run]) for run in runs]
        desk.answer(agent=wish.agent, runs=[msgspec.to_builtins(work) for work in open_work])
        staffing.staff(self.floor, desk, wish.role)


def _whole_path(repo: str) -> str:
    """The same repository has one name, so that its territories are one."""
    if not repo:
        return ""
    if not repo.startswith("/"):
        raise Invalid(f"`repo` is not an absolute path: {repo[:200]!r}", "Say the whole path, from `/` on.")
    return "/" + "/".join(part for part in repo.split("/") if part not in ("", "."))
