"""One run, turn by turn: the mind replies, its calls are requested or refused, their ends are noted, the next turn."""

from typing import NamedTuple

import msgspec

from actors import recovery, tools
from actors.agent.playbooks import Playbook
from actors.agent.role import Role
from actors.agent.steps import Steps
from actors.desk import Desk
from bus.blobs import sha256
from bus.errors import Invalid
from bus.messages import step as said
from bus.messages.agent import WorkAssigned
from bus.messages.base import Artifact, Event, ToolCall
from bus.messages.call import ModelFailed, ModelReplied
from bus.messages.run import RunFailed, RunFinished
from bus.messages.timers import StepDue

LOOP = 3
"""The same action with the same result, so often among the last steps, is a loop."""
AGAIN_MAX = 3
"""So often a call is repeated whose outcome was lost."""
SPEECHLESS = "Reply with a tool call. When the phase is done, call `finish`."


class End(NamedTuple):
    """How a call of the run came out, whatever carried it out."""

    call: str
    ok: bool
    text: str
    again: int = 0
    exit: int | None = None
    ended_by: str = ""
    failure: str = ""
    note: str = ""
    artifacts: tuple[Artifact, ...] = ()
    tree: str = ""


class Loop:
    """The rules of one run. It appends to the run and nothing else; a run that ends says so by `ended`."""

    def __init__(self, desk: Desk, agent: str, work: WorkAssigned, role: Role, playbooks: dict[str, Playbook]) -> None:
        self.desk, self.agent, self.work, self.role, self.playbooks = desk, agent, work, role, playbooks
        self.subject = f"evt.step.{agent}.{work.run}"

    @property
    def steps(self) -> Steps:
        steps: Steps = self.desk.state(self.subject)
        return steps

    @property
    def ended(self) -> bool:
        return self.steps.closed

    def begin(self) -> None:
        """The first turn."""
        work = self.work
        recovery = work.recovery.failure if work.recovery else ""
        opened = said.StepsOpened(task=work.task, phase=work.phase, role=work.role, recovery=recovery)
        self._append(opened, said.ModelRequested(turn=1))

    def replied(self, reply: ModelReplied) -> None:
        """Each call of the reply is requested, decided here, or refused with a reason."""
        steps = self.steps
        if not steps.asked or (reply.turn, reply.again) != (steps.turn, steps.again):
            return
        self._made_good("rate_limit", "model_error", "timeout")
        for place, call in enumerate(reply.calls, 1):
            self._call(f"{reply.turn}-{place}", call)
            if self.ended:
                return
        if not self._waits():
            self._next_turn("" if reply.calls else SPEECHLESS)

    def mind_failed(self, failed: ModelFailed) -> None:
        """Ask again after a pause, or give up."""
        steps = self.steps
        if not steps.asked or (failed.turn, failed.again) != (steps.turn, steps.again):
            return
        tries = steps.tries.get(failed.failure, 0) + 1
        found = recovery.classified(failed.failure, failed.reason)
        if not found.recoverable or tries > recovery.TRIES_MAX:
            self._fail(f"the mind does not reply: {failed.reason}", failed.failure)
            return
        wait_s = max(recovery.wait_s(failed.failure, tries), failed.wait_s)
        self._append(
            said.StepRecoveryStarted(
                call=str(failed.turn),
                failure=failed.failure,
                strategy=recovery.recovery_of(found, tries=tries).strategy,
                tries=tries,
                wait_s=wait_s,
            )
        )
        self.rest(wait_s)

    def rest(self, wait_s: float) -> None:
        """The next try is due then; after a crash this is said again."""
        due = StepDue(agent=self.agent, run=self.work.run)
        self.desk.wake(self.agent, self.work.run, self.desk.message.now_s + wait_s, due)

    def rested(self) -> None:
        """The pause is over."""
        steps = self.steps
        if steps.resting:
            self._append(said.ModelRequested(turn=steps.turn, again=steps.again + 1))

    def set_aside(self, call: str, aside: set[str]) -> None:
        """A command goes on in the background; if nothing else is waited for, the mind has its next turn."""
        steps = self.steps
        if call in steps.open and not steps.asked and call not in steps.aside:
            aside.add(call)
            if not self._waits(aside):
                self._next_turn(f"{call} goes on in the background; `wait` for it when you need its result.")

    def lost(self, end: End) -> None:
        """Nobody knows how the call came out: it is made once more, a few times."""
        request = self.steps.open.get(end.call)
        if request is None or request.again != end.again:
            return
        if end.again >= AGAIN_MAX:
            self.noted(end)
        else:
            self._append(msgspec.structs.replace(request, again=end.again + 1))

    def noted(self, end: End) -> None:
        """A call has come to its end: what it means, and what comes next."""
        steps = self.steps
        request = steps.open.get(end.call)
        if request is None or request.again != end.again:
            return
        told_before = end.call in steps.aside
        mark = sha256(msgspec.json.encode((request.tool, request.input, end.text)))[:16]
        loop = steps.marks.count(mark) >= LOOP - 1
        failure = "" if end.ok else (end.failure or self._type_of(request, end))
        if loop:
            failure = "loop"
        self._append(said.StepEnded(call=end.call, ok=end.ok, mark=mark, loop=loop, failure=failure, note=end.note))
        self._waiters(end.call)
        hint = self._learn(request, end, failure)
        if self.ended:
            return
        if request.tool == "finish" and end.ok:
            self._finish(request, end)
        elif not steps.asked and not self._waits():
            note = f"{end.call}, which was in the background, has ended." if told_before else ""
            self._next_turn(hint or note)

    def _learn(self, request: said.ToolRequested, end: End, failure: str) -> str:
        """Frame the recovery of a failing step; three in a row of one type end the run."""
        steps = self.steps
        if not failure:
            self._made_good(*(each for each, tool in steps.recovering.items() if tool in (request.tool, "")))
            return ""
        if failure == "test_failure":
            return ""  # what the tests say is a result, and the mind's business
        tries = steps.tries.get(failure, 0) + 1
        if tries > recovery.TRIES_MAX:
            for each in list(steps.tries):
                self._append(said.StepRecoveryEnded(failure=each, ok=False))
            self._fail(f"{request.tool} failed {tries} times: {end.text[-1000:]}", failure)
            return ""
        found = recovery.recovery_of(recovery.classified(failure), end.text, tries)
        self._append(said.StepRecoveryStarted(call=end.call, failure=failure, strategy=found.strategy, tries=tries))
        return found.hint

    def _made_good(self, *failures: str) -> None:
        steps = self.steps
        for failure in [failure for failure in failures if failure in steps.tries]:
            self._append(said.StepRecoveryEnded(failure=failure, ok=True))

    @staticmethod
    def _type_of(request: said.ToolRequested, end: End) -> str:
        return recovery.classify(end.text, exit=end.exit, ended_by=end.ended_by, tool=request.tool).failure

    def _call(self, id: str, call: ToolCall) -> None:
        """One thing that the mind wants."""
        try:
            if call.tool not in self.role.tools:
                raise Invalid(f"a {self.role.name} has no tool {call.tool!r}; it has: {', '.join(self.role.tools)}")
            wish = tools.read_input(call.tool, call.input)
            self._decide(id, call, wish)
        except Invalid as refused:
            reason = f"{refused} {refused.what_next}".strip()
            self._append(said.StepRefused(call=id, tool=call.tool, input=call.input, reason=reason))

    def _decide(self, id: str, call: ToolCall, wish: tools.Tool) -> None:
        steps = self.steps
        request = said.ToolRequested(call=id, tool=call.tool, input=call.input)
        match wish:
            case tools.Checklist():
                extended: list[Event] = [said.ChecklistExtended(items=wish.add)] if wish.add else []
                ticked = [said.ChecklistItemDone(item=item) for item in wish.done]
                self._append(request, *extended, *ticked, said.StepEnded(call=id, ok=True))
            case tools.Playbook():
                self._open_playbook(request, wish)
            case tools.AskForHelp():
                self._append(request, said.HelpAsked(question=wish.question), said.StepEnded(call=id, ok=True))
                self._fail(wish.question, "help")
            case tools.Wait():
                if wish.call not in steps.aside:
                    raise Invalid(f"nothing runs in the background as {wish.call!r}")
                self._append(request)
            case tools.Finish() if steps.red and self.work.produces == "test_results":
                reason = "the tests do not pass, so the phase has failed"
                self._append(said.StepRefused(call=id, tool=call.tool, input=call.input, reason=reason))
                self._fail(steps.red, "test_failure")
            case tools.Finish() if steps.aside:
                raise Invalid(f"{', '.join(sorted(steps.aside))} still runs: `wait` for it before you finish")
            case _:
                self._append(request)

    def _open_playbook(self, request: said.ToolRequested, wish: tools.Playbook) -> None:
        playbook = self.playbooks.get(wish.name)
        if playbook is None or wish.name not in self.role.playbooks:
            raise Invalid(f"a {self.role.name} has the playbooks: {', '.join(self.role.playbooks) or 'none'}")
        playbook.text(wish.inputs)
        if self.steps.playbook is not None:
            self._close_playbook("another playbook was opened")
        opened = said.PlaybookOpened(
            call=request.call,
            playbook=playbook.name,
            version=playbook.version,
            at_s=self.desk.message.now_s,
            inputs=wish.inputs,
        )
        self._append(request, opened, said.StepEnded(call=request.call, ok=True))

    def _close_playbook(self, error: str = "", artifacts: int = 0) -> None:
        """What came of the playbook, for whoever learns from it."""
        playbook = self.steps.playbook
        if playbook is None:
            return
        seconds, used = round(self.desk.message.now_s - playbook.at_s, 3), list(playbook.tools)
        if error:
            self._append(said.PlaybookFailed(playbook=playbook.name, error=error, seconds=seconds, tools=used))
        else:
            ended = said.PlaybookSucceeded(playbook=playbook.name, artifacts=artifacts, seconds=seconds, tools=used)
            self._append(ended)

    def _waits(self, aside: set[str] | None = None) -> bool:
        """Whether some call is still to end before the mind's next turn."""
        steps = self.steps
        return any(call not in steps.aside and call not in (aside or ()) for call in steps.open)

    def _waiters(self, ended: str) -> None:
        """Whoever waits for this command has waited long enough."""
        for call, request in list(self.steps.open.items()):
            if request.tool == "wait" and request.input.get("call") == ended:
                self._append(said.StepEnded(call=call, ok=True))

    def _next_turn(self, note: str = "") -> None:
        steps = self.steps
        if steps.turn >= self.role.turns_max:
            self._fail(f"{steps.turn} turns were not enough", "turns")
        else:
            self._append(said.ModelRequested(turn=steps.turn + 1, note=note))

    def _finish(self, request: said.ToolRequested, end: End) -> None:
        if self.steps.failed_now:
            self._next_turn("The phase is not finished: a step before `finish` failed in this turn. Look at it first.")
            return
        self._close_playbook(artifacts=len(end.artifacts))
        summary = str(request.input.get("summary", ""))
        self._end(RunFinished(artifacts=list(end.artifacts), tree=end.tree, summary=summary), "finished")

    def _fail(self, reason: str, failure: str) -> None:
        self._close_playbook(error=reason)
        self._end(RunFailed(reason=reason, failure=failure), failure)

    def _end(self, end: RunFinished | RunFailed, outcome: str) -> None:
        self.desk.append(f"evt.run.{self.agent}.{self.work.run}", end, flow=self.work.task)
        self._append(said.StepsClosed(outcome=outcome))

    def stop(self) -> None:
        """The work was taken away."""
        if self.steps.status == "open":
            self._append(said.StepsClosed(outcome="stopped"))

    def _append(self, *events: Event) -> None:
        self.desk.append(self.subject, *events, flow=self.work.task)
