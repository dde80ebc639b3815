"""What an agent does with what it is given: start a run, take its next step, end it."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from actors.agent.loop import End, Loop
from actors.agent.mind import Script, artifact_of
from actors.agent.team import Team
from actors.decider import Answer, Effects, Hold, Message
from actors.desk import Desk
from bus.envelope import Record, open_envelope
from bus.messages import exec as done
from bus.messages.agent import Alive, RegisterAgent, WorkAssigned, WorkRevoked
from bus.messages.base import TestResults
from bus.messages.call import ModelFailed, ModelReplied
from bus.messages.guardian import AcknowledgeFreeze, FreezeOrdered, JoinWatch
from bus.messages.run import RunFailed, RunFinished, RunStarted, RunStopped
from bus.messages.timers import StepDue

GUARDIAN = "evt.guardian.main"
NOBODY = Team()


class Agents:
    """The agents that one actor hosts. `active` is what they work on now: it follows from their runs."""

    ignores: Sequence[type] = (done.ExecStarted, done.ExecSilent)
    effects: Effects | None = None

    def __init__(self, name: str, roles: dict[str, str], capacity: int, script: Script, team: Team = NOBODY) -> None:
        self.name, self.roles, self.capacity, self.script, self.team = name, roles, capacity, script, team
        self.aside: dict[str, set[str]] = {}
        """By run: commands that have gone to the background in its present turn."""
        self.active: dict[str, WorkAssigned] = {}
        self.agent_of: dict[str, str] = {}
        self.registered: set[str] = set()
        self.taken_up: set[str] = set()

    @property
    def follows(self) -> Sequence[str]:
        return [*(subject for agent in self.roles for subject in _heard_by(agent)), GUARDIAN]

    @property
    def woken_as(self) -> Sequence[str]:
        return list(self.roles)

    @property
    def watches(self) -> Sequence[str]:
        return [GUARDIAN]

    def ready(self, desk: Desk) -> bool:
        return not desk.state(GUARDIAN).frozen

    def recover(self, desk: Desk, message: Message) -> None:
        """Tell everybody who is here; the orchestrator answers with the runs that are still open."""
        desk.send("guardian", "join_watch", JoinWatch(actor=self.name))
        for agent, role in self.roles.items():
            territory = self.team.territory(agent, role)
            register = RegisterAgent(agent=agent, role=role, capacity=self.capacity, territory=territory)
            desk.send("orchestrator", "register_agent", register)
        if frozen := desk.state(GUARDIAN).frozen:
            desk.send("guardian", "acknowledge_freeze", AcknowledgeFreeze(order=frozen, actor=self.name))

    def opened_by(self, message: Message) -> str:
        return ""

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
                self._registered(desk, body.fields)
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

    def _registered(self, desk: Desk, answer: dict[str, Any]) -> None:
        """The orchestrator's answer to a registration: take every open run up again."""
        agent = str(answer.get("agent", ""))
        if agent not in self.roles:
            return
        self.registered.add(agent)
        for open_work in answer.get("runs", []):
            work = msgspec.convert(open_work, WorkAssigned)
            self.taken_up.add(work.run)  # its assignment may still come by the queue, and is not news then
            self._start(desk, agent, work)

    def _start(self, desk: Desk, agent: str, work: WorkAssigned) -> None:
        if desk.state(GUARDIAN).frozen:
            raise Hold
        subject = f"evt.run.{agent}.{work.run}"
        run = desk.state(subject, opens=work.run not in self.taken_up)
        if run.closed:
            return
        reply = self.script.reply_to(work)
        if run.status == "absent":
            started = RunStarted(
                task=work.task, phase=work.phase, role=work.role, mind=self.script.mind, attempt=work.attempt
            )
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
        if loop.steps.turn == 0:
            loop.begin()
        elif loop.steps.resting:
            loop.rest(0)

    def _is_played(self, work: WorkAssigned) -> bool:
        """Whether the mind leads this run turn by turn, and does not answer at once."""
        return work.role in self.team.roles and self.script.plays(work.phase)

    def _loop(self, desk: Desk, agent: str, work: WorkAssigned) -> Loop:
        return Loop(desk, agent, work, self.team.roles[work.role], self.team.playbooks)

    def _open_run(self, desk: Desk, message: Message) -> Loop | None:
        """The run that a reply or an end belongs to, if it is still worked on."""
        if desk.state(GUARDIAN).frozen:
            raise Hold
        _, _, agent, run = message.subject.split(".")
        work = self.active.get(run)
        if work is None:
            if agent not in self.registered:
                raise Hold  # the answer to the registration brings the work that this belongs to
            return None
        return self._loop(desk, agent, work)

    def _reply(self, desk: Desk, message: Message, told: ModelReplied | ModelFailed) -> None:
        loop = self._open_run(desk, message)
        if loop is not None:
            self.aside.pop(loop.work.run, None)
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
        if loop is None:
            return
        match told:
            case done.ExecBackgrounded():
                loop.set_aside(told.call, self.aside.setdefault(loop.work.run, set()))
            case done.ExecLost():
                loop.lost(End(told.call, False, told.reason, told.again, failure="lost"))
            case done.ExecEnded() if told.ended_by in ("freeze", "cancel"):
                loop.lost(End(told.call, False, told.output.text, told.again, told.exit, told.ended_by, "lost"))
            case done.ExecEnded():
                ok = told.ended_by == "exit" and told.exit == 0
                end = End(told.call, ok, told.output.text, told.again, told.exit, told.ended_by)
                if told.tests is not None and not told.tests.green:
                    end = end._replace(ok=False, failure="test_failure", note=_in_words(told.tests))
                loop.noted(end)
            case done.ToolEnded():
                end = End(told.call, told.ok, told.output.text, told.again, failure=told.failure)
                loop.noted(end._replace(artifacts=tuple(told.artifacts), tree=told.tree))
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
        work = self.active.get(revoked.run)
        if work is not None and self._is_played(work):
            self._loop(desk, agent, work).stop()
        self._forget(revoked.run)

    def _forget(self, run: str) -> None:
        self.active.pop(run, None)
        self.agent_of.pop(run, None)
        self.aside.pop(run, None)


def _in_words(tests: TestResults) -> str:
    """What a test run came to, for whoever mends it."""
    names = ", ".join(tests.failures[:10])
    return f"{tests.failed} failed, {tests.errors} errors, {tests.passed} passed: {names}"[:1500]


def _heard_by(agent: str) -> tuple[str, str, str]:
    """Where an agent hears what it is to do, what its mind says, and what came of its calls."""
    return f"evt.agent.{agent}", f"evt.call.{agent}.*", f"evt.exec.{agent}.*"
