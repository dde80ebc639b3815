"""A synthetic log: what a busy Witan would have written, commit for commit, each chained to the one before it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from bus.blobs import sha256
from bus.envelope import Commit, Draft, encode, link
from bus.messages import agent, run, slots, task
from bus.messages.base import Artifact, Event
from ops.bench.turns import turns

PHASES = {
    "research": "researcher",
    "design": "designer",
    "implement": "coder",
    "test": "tester",
    "deploy": "deployer",
}
AT_ONCE = 100
PAUSED_EVERY = 50
ARTIFACT_BYTES = 1024
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_NAMES = list(PHASES)


class Story:
    """Waves of pipelines that go through their phases side by side. Nobody is left at work at the end of a wave.

    With `turns` each run is led in so many; without, it begins and ends in one commit.
    """

    def __init__(self, seed: int = 7, turns: int = 0) -> None:
        self.seq = self.events = 0
        self._turns = turns
        self._ends: dict[str, tuple[int, str]] = {}
        self._random = Random(seed)
        self._tasks = 0
        self._at = (-1, "")

    def waves(self) -> Iterator[list[Draft]]:
        """For ever; a wave is about 1,800 commits, and as many more as the turns are."""
        while True:
            wave: list[Draft] = []
            pipelines = [self._pipeline(f"{self._tasks + each:012x}", wave) for each in range(AT_ONCE)]
            self._tasks += AT_ONCE
            for _ in zip(*pipelines, strict=True):
                pass
            yield wave

    def _pipeline(self, id: str, wave: list[Draft]) -> Iterator[None]:
        """All steps of one task; some are paused before the fourth phase and stay so."""
        pauses = int(id, 16) % PAUSED_EVERY == PAUSED_EVERY - 1
        subject, cause = f"evt.task.{id}", f"cmd-{id}"
        opening: list[Event] = [
            task.TaskSubmitted(task=f"build the thing number {id}", workflow="tiered", phases=_NAMES),
            task.PipelineStarted(),
        ]
        self._slots(id, wave, slots.PipelineQueued(task=id), slots.PipelineAdmitted(task=id))
        for number, (phase, role) in enumerate(PHASES.items()):
            if pauses and number == 3:
                opening.append(task.PipelinePaused(order=f"order-{id[-6:]}", reason="let a person look"))
                self._commit(subject, opening, id, cause, wave)
                break
            worker, name = f"{role}-{int(id, 16) % 2 + 1:02d}", f"{id}-{number}"
            opening.append(task.PhaseRequested(phase=phase, role=role))
            opening.append(task.PhaseAssigned(phase=phase, agent=worker, run=name, epoch=number + 1))
            cause = self._commit(subject, opening, id, cause, wave)
            work = agent.WorkAssigned(run=name, task=id, phase=phase, role=role, text=f"build the thing number {id}")
            cause = self._commit(f"evt.agent.{worker}", [work], id, cause, wave)
            yield
            began, ended = self._run(id, phase, role)
            if self._turns:
                cause = self._commit(f"evt.run.{worker}.{name}", [began], id, cause, wave)
                cause = self._lead(f"{worker}.{name}", began, cause, wave)
            last = [ended] if self._turns else [began, ended]
            cause = self._commit(f"evt.run.{worker}.{name}", last, id, cause, wave)
            opening = [task.PhaseCompleted(phase=phase, agent=worker, run=name)]
        else:
            self._commit(subject, [*opening, task.TaskCompleted()], id, cause, wave)
        self._slots(id, wave, slots.PipelineReleased(task=id))
        for _ in range(2 if pauses else 0):
            yield

    def _lead(self, of: str, began: run.RunStarted, cause: str, wave: list[Draft]) -> str:
        """The conversation of one run; the cause of what comes after it."""
        for kind, events in turns(self._random, began, self._turns):
            cause = self._commit(f"evt.{kind}.{of}", events, began.task, cause, wave)
        for kind in ("step", "call", "exec"):
            self._ends.pop(f"evt.{kind}.{of}", None)
        return cause

    def _run(self, id: str, phase: str, role: str) -> tuple[run.RunStarted, run.RunFinished]:
        content = self._random.randbytes(ARTIFACT_BYTES // 2).hex()
        artifact = Artifact(f"{phase}.md", "document", sha256(content.encode()), len(content), content)
        began = run.RunStarted(task=id, phase=phase, role=role, mind="script")
        return began, run.RunFinished(artifacts=[artifact])

    def _slots(self, id: str, wave: list[Draft], *events: Event) -> None:
        self._commit("evt.slots.main", list(events), id, f"cmd-{id}", wave)

    def _commit(self, subject: str, events: list[Any], flow: str, cause: str, wave: list[Draft]) -> str:
        v, prev = self._ends.get(subject, (0, ""))
        self.seq += 1
        self.events += len(events)
        id = f"{self.seq:026d}"
        body = encode(Commit(id, self._moment(), "bench", cause, flow, v + 1, prev, events, self.seq - 1))
        self._ends[subject] = (v + 1, link(subject, body))
        if isinstance(events[-1], run.RunFinished | task.TaskCompleted | task.PipelinePaused):
            del self._ends[subject]
        wave.append(Draft(subject, body, id, None if v else 0))
        return id

    def _moment(self) -> str:
        """Two commits a millisecond."""
        ms = self.seq // 2
        if ms != self._at[0]:
            moment = _BEGAN + timedelta(milliseconds=ms)
            self._at = (ms, moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
        return self._at[1]
