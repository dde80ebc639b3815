"""What an agent does with what it is given: start a run, take its next step, end it."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from actors.agent.ends import closing, end_of
from actors.agent.loop import Loop
from actors.agent.mind import Script, artifact_of
from actors.agent.run import Run
from actors.agent.steps import Steps
from actors.agent.team import Team
from actors.decider import Answer, Hold, Message, Plain
from actors.desk import Desk
from actors.executor.execs import Execs
from bus.envelope import Record, open_envelope
from bus.messages import exec as done
from bus.messages.agent import Alive, RegisterAgent, WorkAssigned, WorkRevoked
from bus.messages.call import ModelFailed, ModelReplied
from bus.messages.guardian import AcknowledgeFreeze, FreezeOrdered, JoinWatch, ThawOrdered
from bus.messages.run import RunFailed, RunFinished, RunStarted, RunStopped
from bus.messages.timers import StepDue

GUARDIAN = "evt.guardian.main"
NOBODY = Team()


class Agents(Plain):
    """The agents that one actor hosts. `active` is what they work on now: it follows from their runs."""

    watches: Sequence[str] = (GUARDIAN,)
    ignores: Sequence[type] = (done.ExecStarted, done.ExecSilent)

    def __init__(self, name: str, roles: dict[str, str], capacity: int, script: Script, team: Team = NOBODY) -> None:
        self.name, self.roles, self.capacity, self.script, self.team = name, roles, capacity, script, team
        self.follows: Sequence[str] = [*(subject for agent in roles for subject in _heard_by(agent)), GUARDIAN]
        self.woken_as: Sequence[str] = list(roles)
        self._begin()

    def _begin(self) -> None:
        """With nothing in mind."""
        self.active: dict[str, WorkAssigned] = {}
        self.agent_of: dict[str, str] = {}
        self.aside: dict[str, set[str]] = {}
        """By run: commands that have gone to the background, also in its present turn."""
        self.registered: set[str] = set()
        self.answers: list[dict[str, Any]] = []
        """What the orchestrator said to registrations while everything stood still."""
        self.taken_up: set[str] = set()
        self.over: set[str] = set()
        """Runs that were taken away, or ended before the registration was answered: an older word may still come."""
        self.looked_after: set[str] = set()
        """Runs that are worked on no more and left nothing open."""

    def ready(self, desk: Desk) -> bool:
        return not desk.state(GUARDIAN).frozen

    def recover(self, desk: Desk, message: Message) -> None:
        """Tell everybody who is here; the orchestrator answers with the runs that are still open."""
        self._begin()
        desk.send("guardian", "join_watch", JoinWatch(actor=self.name))
        for agent, role in self.roles.items():
            territory = self.team.territory(agent, role)
            register = RegisterAgent(agent=agent, role=role, capacity=self.capacity, territory=territory)
            desk.send("orchestrator", "register_agent", register)
        if frozen := desk.state(GUARDIAN).frozen:
            desk.send("guardian", "acknowledge_freeze", AcknowledgeFreeze(order=frozen, actor=self.name))

    def decide(self, desk: Desk, message: Message) -> None:
        """One message, whatever it is."""
        body = message.body
        match body:
            case WorkAssigned():
                self._start(desk, message.subject.rsplit(".", 1)[1], body)
            case ModelReplied() | ModelFailed():
                self._reply(desk, message, body)
            case done.ToolEnded() | done.ExecEnded() | done.ExecLost() | done.ExecBackgrounded():
                self._exec(desk, message, body)
            case StepDue():
                self._step(desk, body)
            case WorkRevoked():
                self._stop(desk, message.subject.rsplit(".", 1)[1], body)
            case FreezeOrdered():
                desk.send("guardian", "acknowledge_freeze", AcknowledgeFreeze(order=body.order, actor=self.name))
            case Answer(command="register_agent"):
                self.answers.append(body.fields)
                self._take_answers(desk)
            case ThawOrdered():
                self._take_answers(desk)  # before what waits for them, which is tried again behind this
            case _:
                pass

    def beats(self) -> list[Alive]:
        """One heartbeat for each agent that works on something."""
        working: dict[str, list[str]] = {}
        for run, agent in list(self.agent_of.items()):
            working.setdefault(agent, []).append(run)
        return [Alive(agent, runs) for agent, runs in working.items()]

    @property
    def beat_s(self) -> float:
        """Three heartbeats fit into the shortest lease: one may be lost."""
        return min((work.lease_s for work in list(self.active.values())), default=60.0) / 3

    def resume_after(self, last: Callable[[str], Record | None], head: int) -> int:
        """Behind what every agent with something in its queue has dealt with; idle ones do not hold the others back."""
        places = [head]
        for agent in self.roles:
            newest = last(f"evt.run.{agent}.*")
            after = open_envelope(newest).after if newest else 0
            heard = [last(subject) for subject in _heard_by(agent)]
            if any(record and record.seq > after for record in heard):
                places.append(after)
        return min(places)

    def _take_answers(self, desk: Desk) -> None:
        if not desk.state(GUARDIAN).frozen:
            answers, self.answers = self.answers, []
            for answer in answers:
                self._registered(desk, answer)

    def _registered(self, desk: Desk, answer: dict[str, Any]) -> None:
        """The orchestrator's answer to a registration: take every open run up again."""
        agent = str(answer.get("agent", ""))
        if agent not in self.roles:
            return
        for open_work in answer.get("runs", []):
            work = msgspec.convert(open_work, WorkAssigned)
            self.taken_up.add(work.run)  # its assignment may still come by the queue, and is not news then
            self._start(desk, agent, work)
        self.registered.add(agent)

    def _start(self, desk: Desk, agent: str, work: WorkAssigned) -> None:
        if desk.state(GUARDIAN).frozen:
            raise Hold
        subject = f"evt.run.{agent}.{work.run}"
        run = desk.state(subject, opens=work.run not in self.taken_up)
        if run.closed or work.run in self.over:
            return
        reply = self.script.reply_to(work)
        if run.status == "absent":
            failure, mind = work.recovery.failure if work.recovery else "", self.script.mind
            started = RunStarted(work.task, work.phase, work.role, mind, work.attempt, failure)
            desk.append(subject, started, flow=work.task)
        if self._is_played(work):
            self._take_up(desk, agent, work)
        elif reply is not None and reply.delay_s > 0:
            self.active[work.run], self.agent_of[work.run] = work, agent
            desk.wake(agent, work.run, desk.message.now_s + reply.delay_s, StepDue(agent=agent, run=work.run))
        else:
            self._finish(desk, subject, work)

    def _take_up(self, desk: Desk, agent: str, work: WorkAssigned) -> None:
        """A run that is led turn by turn begins, or goes on after a crash."""
        self.active[work.run], self.agent_of[work.run] = work, agent
        loop = self._loop(desk, agent, work)
        if loop.steps.status == "absent":
            loop.begin()
            return
        execs: Execs = desk.peek(f"evt.exec.{agent}.{work.run}")
        for call, again in execs.aside.items():
            loop.set_aside(call, again)
        if loop.steps.resting:
            loop.rest()
        self._forget_if_ended(loop)

    def _is_played(self, work: WorkAssigned) -> bool:
        """Whether the mind leads this run turn by turn, and does not answer at once."""
        played = self.script.is_models or self.script.plays(work.phase)
        return work.role in self.team.roles and played

    def _loop(self, desk: Desk, agent: str, work: WorkAssigned) -> Loop:
        return Loop(desk, agent, work, self.team, self.aside.setdefault(work.run, set()))

    def _open_run(self, desk: Desk, message: Message) -> Loop | None:
        """The run that a reply or an end belongs to, if it is still worked on."""
        if desk.state(GUARDIAN).frozen:
            raise Hold
        _, _, agent, run = message.subject.split(".")
        work = self.active.get(run)
        if work is not None:
            return self._loop(desk, agent, work)
        if agent not in self.registered:
            raise Hold  # the answer to the registration brings the work that this belongs to
        if not message.fresh and run not in self.looked_after:
            self.looked_after.add(run)
            ended: Run = desk.state(f"evt.run.{agent}.{run}")
            if ended.closed:
                self._close_steps(desk, agent, run, "ended", "")
        return None

    def _reply(self, desk: Desk, message: Message, told: ModelReplied | ModelFailed) -> None:
        loop = self._open_run(desk, message)
        if loop is not None:
            if isinstance(told, ModelReplied):
                loop.replied(told)
            else:
                loop.mind_failed(told)
            self._forget_if_ended(loop)

    def _exec(
        self,
        desk: Desk,
        message: Message,
        told: done.ToolEnded | done.ExecEnded | done.ExecLost | done.ExecBackgrounded,
    ) -> None:
        loop = self._open_run(desk, message)
        if loop is not None:
            if isinstance(told, done.ExecBackgrounded):
                loop.set_aside(told.call, told.again)
            else:
                loop.call_ended(end_of(told))
            self._forget_if_ended(loop)

    def _forget_if_ended(self, loop: Loop) -> None:
        if loop.ended:
            self._forget(loop.work.run)

    def _step(self, desk: Desk, due: StepDue) -> None:
        if desk.state(GUARDIAN).frozen:
            raise Hold
        work = self.active.get(due.run)
        if work is None:
            if due.agent not in self.registered:
                raise Hold  # the answer to the registration brings the work that this step belongs to
            return
        subject = f"evt.run.{due.agent}.{due.run}"
        run = desk.state(subject)
        if self._is_played(work):
            self._loop(desk, due.agent, work).rested()
        elif run.status == "started":
            self._finish(desk, subject, work)

    def _finish(self, desk: Desk, subject: str, work: WorkAssigned) -> None:
        reply = self.script.reply_to(work)
        if reply is None:
            reason = f"the script {self.script.name} has no reply for {work.phase}"
            desk.append(subject, RunFailed(reason=reason), flow=work.task)
        elif work.attempt <= reply.fails_first:
            desk.append(subject, RunFailed(reason=reply.failure), flow=work.task)
        else:
            artifact, content = artifact_of(reply, work)
            if content is not None:
                desk.keep(content)
            desk.append(subject, RunFinished(artifacts=[artifact]), flow=work.task)
        self._forget(work.run)

    def _stop(self, desk: Desk, agent: str, revoked: WorkRevoked) -> None:
        subject = f"evt.run.{agent}.{revoked.run}"
        run = desk.state(subject)
        if run.status == "started":
            desk.append(subject, RunStopped(reason=revoked.reason), flow=run.task)
        if run.status != "absent":
            self._close_steps(desk, agent, revoked.run, "stopped", revoked.reason)
        self.over.add(revoked.run)
        self._forget(revoked.run)

    def _close_steps(self, desk: Desk, agent: str, run: str, outcome: str, why: str) -> None:
        """The run is over for another reason than what happened in it, or a crash came before its steps were closed."""
        subject = f"evt.step.{agent}.{run}"
        steps: Steps = desk.state(subject)
        if steps.status == "open":
            events = closing(steps, outcome, desk.message.now_s, why or "the work was taken away")
            desk.append(subject, *events, flow=steps.task)

    def _forget(self, run: str) -> None:
        agent = self.agent_of.pop(run, None)
        if agent is not None and agent not in self.registered:
            self.over.add(run)
        self.active.pop(run, None)
        self.aside.pop(run, None)


def _heard_by(agent: str) -> tuple[str, str, str]:
    """Where an agent hears what it is to do, what its mind says, and what came of its calls."""
    return f"evt.agent.{agent}", f"evt.call.{agent}.*", f"evt.exec.{agent}.*"
