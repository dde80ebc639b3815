"""Histories as a log would hold them: tasks that walk through the table of transitions, and all who take part."""

import datetime
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from actors.orchestrator.task import TRANSITIONS, Task, evolve
from bus.envelope import Commit, Record, encode
from bus.messages import agent, guardian, playbook, routing, run, sandbox, slots, task, workspace
from bus.messages.base import Artifact, Event
from projections.store import Store
from tests.projected_work import Said, work

PHASES = ("research", "design", "implement")
START = datetime.datetime(2026, 11, 20, 12, 0)


class History:
    """Grows commit by commit; the same seed, the same history."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.records: list[Record] = []
        self.tasks: dict[str, Task] = {}
        self.at_work: dict[str, Iterator[Said]] = {}
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
        items = [f"item {number}" for number in range(self.random.randrange(4))]
        self.task(id, task.TaskSubmitted(f"build {id}", "tiered", list(PHASES), priority, checklist=items))

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
        first = [] if what in self.at_work else [run.RunStarted(id, state.phase, "dev", "scripted")]
        self.commit(subject, *first, run.RunFinished([made], "ef" * 20), flow=id, by=who)
        last = len(state.done) + 1 == len(state.phases)
        self.task(id, task.PhaseCompleted(state.phase, who, what), *([task.TaskCompleted()] if last else []))

    def work_on(self, id: str) -> None:
        """The next commit of the run that is at work for the task."""
        state = self.tasks[id]
        assert state.assignment is not None
        who, what = state.assignment.agent, state.assignment.run
        story = self.at_work.setdefault(what, work(self.random, id, state.phase, 3))
        for kind, events in story:
            self.commit(f"evt.{kind}.{who}.{what}", *events, flow=id, by=who)
            return

    def use_workspace(self, id: str) -> None:
        """Something happens to the working tree."""
        tree, subject = f"{self.random.randrange(3):040x}", f"evt.workspace.{id}"
        happened: Event = self.random.choice(
            (
                workspace.WorkspaceOpened("/repo", f"witan/{id}", "ab" * 20, "main", f"/trees/{id}"),
                workspace.TreeSaved(f"{id}-1", "implement", tree, "cd" * 20),
                workspace.TreeTested(tree, f"{id}-1", 3, self.random.randrange(2)),
                workspace.TreeDeployed("local", tree, "/deployed", "200"),
                workspace.DeployRolledBack("local", tree, "no health", self.random.choice(("", tree))),
                workspace.MergeRefused(f"order-{id}", "main is dirty"),
                workspace.WorkspaceMerged(f"order-{id}", "main", "ef" * 20),
                workspace.WorkspaceDiscarded(f"order-{id}"),
            )
        )
        self.commit(subject, happened, flow=id, by="executor")

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
        elif dice < 0.12:
            self._house()
        elif dice < 0.2 or not self.tasks:
            self.submit(f"task-{len(self.tasks)}", self.random.randrange(3))
        elif dice < 0.25:
            self.use_workspace(self.random.choice(sorted(self.tasks)))
        else:
            self._move(self.random.choice(sorted(self.tasks)))

    def _house(self) -> None:
        """What belongs to no task."""
        happened: Event = self.random.choice(
            (playbook.PlaybookRevised("ab" * 32, "How to test.", "witan"), playbook.PlaybookWithdrawn())
        )
        self.commit("evt.playbook.run_tests", happened, by="librarian")
        attested = sandbox.SandboxAttested("A", "namespaces", ["no network"], [])
        self.commit("evt.sandbox.main", attested, sandbox.LeftoversKilled(self.random.randrange(3)), by="executor")

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
        if at_work and self.random.random() < 0.7:
            self.work_on(id)
        elif at_work and self.random.random() < 0.6:
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
        if not lost and self.random.random() < 0.5:
            self._recover(id, state.phase)

    def _recover(self, id: str, phase: str) -> None:
        """What the orchestrator tries, and what comes of it."""
        told = "timeout", "smaller scope"
        self.task(id, task.RecoveryStarted(phase, "timeout", "medium", "smaller scope", 1, 1, "do less", "too slow"))
        if self.random.random() < 0.7:
            self.task(id, task.RecoveryEnded(phase, *told, 1, self.random.random() < 0.5))
        done = self.tasks[id].done
        if done and self.random.random() < 0.6:
            self.task(id, task.PhaseReopened(self.random.choice(done).phase, "the tests fail"))

    def _name(self, id: str) -> None:
        """Somebody is named for a phase, and somebody looks at one that nobody works on."""
        state = self.tasks[id]
        phase = state.phase or state.next_phase or PHASES[0]
        agent = self.random.choice(("agent-1", ""))
        self.task(id, routing.TaskRouted(phase, "dev", agent, "it knows that", 0.8, 4.5, "person"))
        if state.status == "running" and state.assignment is None:
            self.task(id, routing.ReviewAssigned(phase, "agent-2", "dev", f"{id}-r{self.orders}", state.epoch + 1))
            self.task(id, routing.ReviewEnded(phase, "agent-2", f"{id}-r{self.orders}", True, "do it in two steps"))

    def _turn(self, id: str) -> None:
        here = [event for (status, event) in TRANSITIONS if status == self.tasks[id].status]
        allowed = [event for event in here if event is not task.CouncilAnswered]
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
        elif kind is task.PersonAsked:
            self.task(id, task.PersonAsked(self.tasks[id].phase or PHASES[0], "timeout", "how shall I go on?"))
        elif kind is routing.TaskRouted:
            self._name(id)
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


def facts_of(path: Path, history: History) -> dict[str, str]:
    """What a store says that has taken a history and nothing else."""
    store = Store(path)
    store.take(history.records)
    said = store.fingerprint()
    store.close()
    return said
