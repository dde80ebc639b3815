"""Who is around the runs of a simulated conversation: a Guardian that freezes, and staff that gives out the work."""

from typing import Any

import msgspec

from bus.messages import guardian, run, task
from bus.messages.agent import WorkAssigned, WorkRevoked
from bus.messages.base import Recovery
from bus.messages.kinds import read_commit

MAIN = "evt.guardian.main"
AGENTS = ("coder-01", "coder-02", "coder-03")
ATTEMPTS_MAX = 2


class Guard:
    """Freezes and thaws, and writes down who has answered."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.frozen = ""
        self.silent: set[str] = set()
        """Who has acknowledged the freeze."""

    def freeze(self) -> None:
        if not self.frozen:
            self.frozen = f"freeze-{self.world.next()}"
            self.world.say(MAIN, guardian.FreezeOrdered(order=self.frozen, actors=[]))

    def thaw(self) -> None:
        if self.frozen:
            self.world.say(MAIN, guardian.ThawOrdered(order=self.frozen))
            self.frozen, self.silent = "", set()

    def answer(self, sending: Any) -> dict[str, object]:
        body = sending.body
        if sending.command == "acknowledge_freeze" and body.order == self.frozen and body.actor not in self.silent:
            self.silent.add(body.actor)
            self.world.say(MAIN, guardian.FreezeAcknowledged(order=body.order, actor=body.actor))
            if body.actor == "executor":
                self.world.wrong += self.world.hands.not_stopped()
        return {"ok": True}


class Staff:
    """The orchestrator, as far as a run knows it: gives work out once, takes it away, tells who asks what is open."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.open: dict[str, tuple[str, WorkAssigned]] = {}
        self.runs_of: dict[str, list[str]] = {}
        self.produces: dict[str, str] = {}
        self.read = 0

    def begin(self, id: str, phase: str) -> None:
        self.world.say(f"evt.task.{id}", task.TaskSubmitted(task="do it", workflow="w", phases=[phase]))
        self.produces[phase] = self.world.random.choice(("code", "test_results"))
        self._assign(id, phase, None)

    def _assign(self, id: str, phase: str, recovery: Recovery | None) -> None:
        runs = self.runs_of.setdefault(id, [])
        agent = self.world.random.choice(AGENTS)
        run_id = f"{id}-{len(runs) + 1}"
        runs.append(run_id)
        work = WorkAssigned(
            run_id, id, phase, "coder", "do it", len(runs), recovery=recovery, produces=self.produces[phase]
        )
        self.open[run_id] = (agent, work)
        self.world.say(f"evt.agent.{agent}", work)

    def answer(self, sending: Any) -> dict[str, object]:
        """Who registers is told which runs are open."""
        agent = sending.body.agent
        runs = [msgspec.to_builtins(work) for its, work in self.open.values() if its == agent]
        return {"ok": True, "agent": agent, "runs": runs}

    def has_news(self) -> bool:
        return any(record.subject.startswith("evt.run.") for record in self.world.log.records[self.read :])

    def hear_news(self) -> None:
        """Runs that have ended: the work is merged, thrown away, or done once more."""
        records, self.read = self.world.log.records[self.read :], len(self.world.log.records)
        for record in records:
            if not record.subject.startswith("evt.run."):
                continue
            for event in read_commit(record).events:
                run_id = record.subject.rsplit(".", 1)[1]
                if isinstance(event, run.RunFinished | run.RunFailed) and run_id in self.open:
                    _, work = self.open.pop(run_id)
                    self._after(work, event)

    def _after(self, work: WorkAssigned, end: run.RunFinished | run.RunFailed) -> None:
        if isinstance(end, run.RunFailed) and len(self.runs_of[work.task]) < ATTEMPTS_MAX:
            solution = self.world.log.keep(b"an answer") if self.world.random.random() < 0.3 else ""
            recovery = Recovery(end.failure, "again", "mind the step", end.reason, solution=solution)
            self._assign(work.task, work.phase, recovery)
        elif self.world.trouble and self.world.random.random() < 0.3:
            order = self.world.random.choice((guardian.MergeApproved, guardian.DiscardOrdered))
            self.world.say(f"evt.guardian.o{self.world.next()}", order(task=work.task))
            if self.world.random.random() < 0.3:
                self.world.say(f"evt.guardian.o{self.world.next()}", guardian.DiscardOrdered(task=work.task))

    def revoke(self) -> None:
        """Somebody is thought to be dead, and another does it."""
        if self.open:
            run_id = self.world.random.choice(list(self.open))
            agent, work = self.open.pop(run_id)
            self.world.say(f"evt.agent.{agent}", WorkRevoked(run=run_id, reason="silent"))
            if len(self.runs_of[work.task]) < ATTEMPTS_MAX:
                self._assign(work.task, work.phase, None)
