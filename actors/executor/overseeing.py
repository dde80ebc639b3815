"""Tools about other people's work: what the log says of it, and words to the orchestrator that are heard once."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import msgspec

from actors import tools
from actors.executor.jobs import Job, Result
from actors.executor.telling import ended, failed
from actors.folds import FOLDS
from actors.orchestrator.roster import SUBJECT as ROSTER
from actors.orchestrator.slots import SUBJECT as SLOTS
from actors.orchestrator.task import Task
from bus import commands
from bus.connection import Connection
from bus.envelope import Record
from bus.errors import Unavailable
from bus.messages import call, exec, routing, run, step
from bus.messages import task as said
from bus.messages.kinds import read_commit

TEXT_MAX, LINE_MAX, TASK_MAX = 9_000, 300, 2_000
RUNS_MAX = 10
ANSWER_S, ANSWERS_MAX = 3.0, 5
"""The orchestrator is asked so often; what it was told is stored, and carried out once all the same."""


class Log(Protocol):
    """Where the records of an entity are read."""

    async def read(self, subject: str, after: int = 0) -> list[Record]: ...


class Line(NamedTuple):
    """Something that happened, and whether it went wrong."""

    seq: int
    words: str
    wrong: bool = False


class Oversight:
    """Reads the log itself, so that it is always as new as the log is."""

    def __init__(self, log: Callable[[], Log], connection: Callable[[], Connection]) -> None:
        self._log, self._connection = log, connection

    async def carry_out(self, job: Job, began: float) -> Result:
        """One call, to its end."""
        id = getattr(job.tool, "task_id", "") or job.place.task
        match job.tool:
            case tools.QueryLogs() as asked:
                text = await self._logs(id, asked)
            case tools.AboutTask():
                text = await self._task(id)
            case tools.ListAgents():
                return ended(job, True, await self._agents(), began)
            case tools.AssignTask(agent=agent, reason=reason):
                assign = routing.AssignTask(task_id=id, agent=agent, reason=reason, by=job.agent)
                return await self._tell(job, "assign_task", assign, began)
            case tools.EscalateTask(reason=reason, urgency=urgency):
                escalate = routing.EscalateTask(task_id=id, reason=reason, urgency=urgency, by=job.agent)
                return await self._tell(job, "escalate_task", escalate, began)
            case _:
                raise TypeError(f"{job.name} is no tool of oversight")
        return ended(job, True, text, began) if text else failed(job, f"there is no task {id!r}", began, "unknown")

    async def _tell(self, job: Job, command: str, body: msgspec.Struct, began: float) -> Result:
        """The orchestrator's answer or refusal. The id is the call's own, so a repeat after a crash changes nothing."""
        encoded = msgspec.json.encode(body)
        for _ in range(ANSWERS_MAX):
            try:
                connection, id = self._connection(), f"{job.run}-{job.call}-{command}"
                answer = await commands.request(connection, "orchestrator", command, encoded, id, ANSWER_S)
            except Unavailable:
                continue
            if answer.get("ok") is True:
                told = "\n".join(f"{name}: {value}" for name, value in answer.items() if value not in ("", True, None))
                return ended(job, True, told, began)
            refused = f"{answer.get('message', '')}. {answer.get('hint', '')}".strip()
            return failed(job, f"refused: {refused}", began, "unknown")
        return failed(job, "the orchestrator has not answered; it will do this once all the same", began, "timeout")

    async def _state(self, subject: str) -> Any:
        fold = FOLDS.get(subject) or FOLDS[subject.split(".", 2)[1]]
        state = fold.initial()
        for record in await self._log().read(subject):
            for event in read_commit(record).events:
                state = fold.evolve(state, event)
        return state

    async def _task(self, id: str) -> str:
        state: Task = await self._state(f"evt.task.{id}")
        if state.status == "absent":
            return ""
        done = [each.phase for each in state.done]
        facts: dict[str, object] = {
            "task": id,
            "status": state.status,
            "workflow": state.workflow,
            "phases": ", ".join(f"{each}{' (done)' if each in done else ''}" for each in state.phases),
            "next or present phase": state.phase or state.next_phase,
            "attempt": state.attempt or "",
            "agent": state.assignment.agent if state.assignment else "",
            "priority": state.priority,
            "named for the next phase": f"{state.routed.agent or state.routed.role}" if state.routed else "",
            "checklist": "; ".join(state.checklist)[:TASK_MAX],
            "text": state.text[:TASK_MAX],
        }
        lines = [f"{name}: {value}" for name, value in facts.items() if value != ""]
        tried = [f"{each.phase} ({each.failure}), {each.strategy}: {each.error}" for each in state.trouble.attempts]
        return "\n".join([*lines, *(f"went wrong: {_short(each)}" for each in tried)])

    async def _agents(self) -> str:
        members = (await self._state(ROSTER)).members
        work: dict[str, list[str]] = {}
        for id in (await self._state(SLOTS)).holders:
            state: Task = await self._state(f"evt.task.{id}")
            if state.assignment is not None:
                what = "looks at" if state.assignment.is_review else "works on"
                work.setdefault(state.assignment.agent, []).append(f"{what} {state.phase or state.next_phase} of {id}")
        return "\n".join(
            f"{agent}: {member.role}, {', '.join(work.get(agent, ['idle']))} (room for {member.capacity})"
            for agent, member in sorted(members.items())
        )

    async def _logs(self, id: str, asked: tools.QueryLogs) -> str:
        records = await self._log().read(f"evt.task.{id}")
        lines, runs = list[Line](), list[tuple[str, str]]()
        for record in records:
            for event in read_commit(record).events:
                lines += _of_task(record.seq, event)
                if isinstance(event, said.PhaseAssigned | routing.ReviewAssigned):
                    runs.append((event.agent, event.run))
        for agent, run_id in runs[-RUNS_MAX:]:
            for kind in ("run", "step", "call", "exec"):
                for record in await self._log().read(f"evt.{kind}.{agent}.{run_id}"):
                    for event in read_commit(record).events:
                        lines += [each._replace(words=f"{run_id} {each.words}") for each in _of_run(record.seq, event)]
        lines = sorted((each for each in lines if each.wrong or not asked.errors_only), key=lambda each: each.seq)
        if records and not lines:
            return "nothing went wrong" if asked.errors_only else "nothing has happened yet"
        return _bounded(f"{each.seq} {'! ' if each.wrong else ''}{each.words}" for each in lines[-asked.last :])


def _bounded(lines: Iterable[str]) -> str:
    """The last of them that there is room for."""
    kept, room = list[str](), TEXT_MAX
    for line in reversed([_short(each) for each in lines]):
        room -= len(line.encode()) + 1
        if room < 0:
            break
        kept.append(line)
    return "\n".join(reversed(kept))


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= LINE_MAX else f"{plain[:LINE_MAX]}…"


def _of_task(seq: int, event: object) -> Iterable[Line]:
    match event:
        case said.PhaseAssigned() | routing.ReviewAssigned():
            yield Line(seq, f"{event.phase} was given to {event.agent} as run {event.run}")
        case said.PhaseFailed():
            yield Line(seq, f"{event.phase} failed ({event.failure}): {event.reason}", True)
        case said.AssignmentLost():
            yield Line(seq, f"{event.phase} was lost by {event.agent}: {event.reason}", True)
        case said.PersonAsked():
            yield Line(seq, f"a person is asked ({event.failure}): {event.question}", True)
        case said.PhaseCompleted():
            yield Line(seq, f"{event.phase} was completed by {event.agent}")
        case routing.TaskRouted():
            yield Line(seq, f"{event.by} named {event.agent or event.role} for {event.phase}: {event.reason}")
        case _:
            pass


def _of_run(seq: int, event: object) -> Iterable[Line]:
    match event:
        case step.ToolRequested():
            yield Line(
                seq,
                f"{event.call} {event.tool} {msgspec.json.encode(event.input)[:LINE_MAX].decode('utf-8', 'replace')}",
            )
        case step.StepRefused():
            yield Line(seq, f"{event.call} {event.tool} was refused: {event.reason}", True)
        case exec.ToolEnded() if not event.ok:
            yield Line(seq, f"{event.call} failed ({event.failure}): {event.output.text}", True)
        case exec.ExecEnded() if event.exit != 0 or event.ended_by != "exit":
            yield Line(seq, f"{event.call} ended by {event.ended_by} with {event.exit}: {event.output.text}", True)
        case exec.ToolEnded() | exec.ExecEnded():
            yield Line(seq, f"{event.call} done: {event.output.text[:LINE_MAX]}")
        case exec.ExecLost():
            yield Line(seq, f"{event.call} was lost: {event.reason}", True)
        case call.ModelFailed():
            yield Line(seq, f"the model failed ({event.failure}): {event.reason}", True)
        case run.RunFailed():
            yield Line(seq, f"the run failed ({event.failure}): {event.reason}", True)
        case run.RunFinished():
            yield Line(seq, f"the run finished: {event.summary}")
        case _:
            pass
