"""Histories as a log would hold them: tasks that walk through the table of transitions, and all who take part."""

import datetime
import random
from typing import Any

from actors.orchestrator.task import TRANSITIONS, Task, evolve
from bus.envelope import Commit, Record, encode
from bus.messages import agent, guardian, run, slots, task
from bus.messages.base import Artifact, Event
from projections.store import Store

PHASES = ("research", "design", "implement")
START = datetime.datetime(2026, 11, 20, 12, 0)


class History:
    """Grows commit by commit; the same seed, the same history."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.records: list[Record] = []
        self.tasks: dict[str, Task] = {}
        self.orders = 0

    def commit(self, subject: str, *events: Event, flow: str = "", by: str = "orchestrator") -> Record:
        seq = len(self.records) + 1
        at = (START + datetime.timedelta(seconds=seq)).isoformat(timespec="milliseconds") + "Z"
        body = encode(Commit(f"commit-{seq}", at, by, f"cause-{seq}", flow, seq, "", list(events), seq - 1))
        self.records.append(Record(subject, seq, body))
        return self.records[-1]

    def raw(self, subject: str, body: bytes) -> Record:
        self.records.append(Record(subject, len(self.records) + 1, body))
        return self.records[-1]

    def task(self, id: str, *events: Any) -> None:
        for event in events:
            self.tasks[id] = evolve(self.tasks.get(id, Task()), event)
        self.commit(f"evt.task.{id}", *events, flow=id)

    def submit(self, id: str, priority: int = 0) -> None:
        self.commit("evt.slots.main", slots.PipelineQueued(id, priority), flow=id)
        self.task(id, task.TaskSubmitted(f"build {id}", "tiered", list(PHASES), priority))

    def start_phase(self, id: str, name: str = "agent-1") -> str:
        state = self.tasks[id]
        epoch, phase, attempt = state.epoch + 1, state.next_phase, state.attempt + 1
        self.task(
            id, task.PhaseRequested(phase, "dev", attempt), task.PhaseAssigned(phase, name, f"{id}-{epoch}", epoch)
        )
        work = agent.WorkAssigned(f"{id}-{epoch}", id, phase, "dev", f"build {id}", attempt)
        self.commit(f"evt.agent.{name}", work, flow=id)
        return f"{id}-{epoch}"

    def finish_phase(self, id: str) -> None:
        state = self.tasks[id]
        assert state.assignment is not None
        who, what = state.assignment.agent, state.assignment.run
        made = Artifact(f"{state.phase}.md", "markdown", "ab" * 32, 12, "twelve bytes")
        subject = f"evt.run.{who}.{what}"
        self.commit(
            subject, run.RunStarted(id, state.phase, "dev", "scripted"), run.RunFinished([made]), flow=id, by=who
        )
        last = len(state.done) + 1 == len(state.phases)
        self.task(id, task.PhaseCompleted(state.phase, who, what), *([task.TaskCompleted()] if last else []))

    def grow(self, steps: int) -> "History":
        """Some random steps, each one that the table of transitions allows."""
        self.commit("evt.agent.roster", agent.AgentJoined("agent-1", "dev"), agent.AgentJoined("agent-2", "dev", 3))
        for _ in range(steps):
            self._step()
        return self

    def _step(self) -> None:
        dice = self.random.random()
        if dice < 0.04:
            self.raw("evt.task.odd", self.random.choice([b"{", b"\xff\xfe", b"[]", b'{"id":"x","events":[1,null]}']))
        elif dice < 0.1:
            self._everybody()
        elif dice < 0.25 or not self.tasks:
            self.submit(f"task-{len(self.tasks)}", self.random.randrange(3))
        else:
            self._move(self.random.choice(sorted(self.tasks)))

    def _everybody(self) -> None:
        self.orders += 1
        order = f"order-{self.orders}"
        self.commit("evt.guardian.main", guardian.FreezeOrdered(order, ["orchestrator", "agent-1"], "look"))
        self.commit("evt.slots.main", slots.WorkFrozen(order))
        if self.random.random() < 0.5:
            self.commit("evt.guardian.main", guardian.FreezeAcknowledged(order, "orchestrator"))
        self.commit("evt.slots.main", slots.WorkThawed(order), slots.SlotsResized(self.random.randrange(1, 5)))

    def _move(self, id: str) -> None:
        state = self.tasks[id]
        at_work = state.assignment is not None and state.status in ("running", "paused")
        if at_work and self.random.random() < 0.6:
            self.finish_phase(id) if self.random.random() < 0.8 else self._fail_phase(id)
        elif state.status == "running" and state.assignment is None and state.next_phase:
            self.start_phase(id, self.random.choice(("agent-1", "agent-2")))
        else:
            self._turn(id)

    def _fail_phase(self, id: str) -> None:
        state = self.tasks[id]
        assert state.assignment is not None
        who, what = state.assignment.agent, state.assignment.run
        self.commit(f"evt.run.{who}.{what}", run.RunFailed("broken"), flow=id, by=who)
        lost = self.random.random() < 0.5
        end = task.AssignmentLost if lost else task.PhaseFailed
        self.task(id, end(state.phase, who, what, "broken"))

    def _turn(self, id: str) -> None:
        allowed = [event for (status, event) in TRANSITIONS if status == self.tasks[id].status]
        if not allowed:
            return
        kind: Any = self.random.choice(allowed)
        self.orders += 1
        order = f"order-{self.orders}"
        if kind is task.PipelinePaused:
            self.commit(f"evt.guardian.{order}", guardian.PauseOrdered(id, "wait"), by="guardian")
            self.task(id, task.PipelinePaused(order, "wait"))
        elif kind is task.PipelineResumed:
            self.task(id, task.PipelineResumed(order), task.PipelineStarted())
        elif kind is task.TaskFailed:
            self.task(id, task.TaskFailed("too often"))
        elif kind is task.PipelineStarted:
            self.commit("evt.slots.main", slots.PipelineAdmitted(id), flow=id)
            self.task(id, task.PipelineStarted())
        else:
            self.task(id, kind())


def rows(store: Store, view: str, as_of: int | str | None = None, **params: Any) -> list[dict[str, Any]]:
    answer = store.query(view, params, as_of)
    return [dict(zip([name for name, _ in answer.columns], row, strict=True)) for row in answer.rows]
