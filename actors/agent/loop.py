"""One run, turn by turn: the mind replies, its calls are requested or refused, their ends are noted, the next turn."""

import msgspec

from actors import recovery, tools
from actors.agent.ends import End, closing, playbook_ended
from actors.agent.steps import Steps
from actors.agent.team import Team
from actors.apart import whole
from actors.desk import Desk
from bus.blobs import sha256
from bus.errors import Invalid, Missing
from bus.messages import step as said
from bus.messages.agent import WorkAssigned
from bus.messages.base import Event, Pieces, ToolCall
from bus.messages.call import ModelFailed, ModelReplied
from bus.messages.run import RunFailed, RunFinished
from bus.messages.timers import StepDue

LOOP = 3
"""The same action with the same result, so often among the last steps, is a loop."""
AGAIN_MAX = 3
"""So often a call is repeated whose outcome was lost."""
REST_MAX_S = 900.0
"""No mind is waited for longer than this, whatever it asks for."""
REASON_CHARS, NAME_CHARS = 1000, 100
REFUSALS_CHARS = 16_000
"""What is said about refused calls of one reply, together with the calls themselves, fits into one commit."""
ASIDE_MAX_BYTES = 16 * 1024
"""What an agent decides alone it repeats in its own events."""
SPEECHLESS = "Reply with a tool call. When the phase is done, call `finish`."
CUT_SHORT = "Your last reply was cut off: it was longer than a reply may be. Do it in smaller parts, reply by reply."
APPLIED = "Before your first turn the council's solution was put into the workspace (0-1)."
NOT_APPLIED = "The council's solution could not be put into the workspace (0-1). Go on without it."
GREEN = "With it the tests pass (0-2). Look whether it is right and complete, and finish."
RED = "With it the tests do not pass (0-2). Go on from there, or undo it."


class Loop:
    """The rules of one run. It appends to the run and nothing else; a run that ends says so by `ended`.

    `aside` are the commands that went to the background in the present turn; it is the agent's to keep.
    """

    def __init__(self, desk: Desk, agent: str, work: WorkAssigned, team: Team, aside: set[str]) -> None:
        self.desk, self.agent, self.work, self.aside = desk, agent, work, aside
        self.role, self.playbooks = team.roles[work.role], team.playbooks
        self.subject = f"evt.step.{agent}.{work.run}"

    @property
    def steps(self) -> Steps:
        steps: Steps = self.desk.state(self.subject)
        return steps

    @property
    def ended(self) -> bool:
        return self.steps.closed

    def begin(self) -> None:
        """The first turn; a run that is to make something good is told what, and a solution is put in place before."""
        work = self.work
        failure, hint = (work.recovery.failure, work.recovery.hint) if work.recovery else ("", "")
        opened = said.StepsOpened(task=work.task, phase=work.phase, role=work.role, recovery=failure)
        if work.recovery and work.recovery.solution:
            input: Pieces = {"solution": work.recovery.solution}
            self._append(opened, said.ToolRequested(call="0-1", tool="apply", input=input))
        else:
            self._append(opened, said.ModelRequested(turn=1, note=hint))

    def replied(self, reply: ModelReplied) -> None:
        """Each call of the reply is requested, decided here, or refused with a reason."""
        if not self._is_answered_by(reply):
            return
        self._made_good(*self.steps.mind_tries)
        for place, call in enumerate(reply.calls, 1):
            self._call(f"{reply.turn}-{place}", call, min(REASON_CHARS, REFUSALS_CHARS // len(reply.calls)))
            if self.ended:
                return
        if not self._waits():
            self._next_turn(CUT_SHORT if reply.stop == "length" else "" if reply.calls else SPEECHLESS)

    def mind_failed(self, failed: ModelFailed) -> None:
        """Ask again after a pause, or give up."""
        if not self._is_answered_by(failed):
            return
        tries = self.steps.mind_tries.get(failed.failure, 0) + 1
        found = recovery.classified(failed.failure, failed.reason)
        if not found.recoverable or tries > recovery.TRIES_MAX:
            self._fail(f"the mind does not reply: {failed.reason}"[:REASON_CHARS], failed.failure)
            return
        wait_s = min(max(recovery.wait_s(failed.failure, tries), failed.wait_s), REST_MAX_S)
        strategy = recovery.recovery_of(found, tries=tries).strategy
        self._append(
            said.StepRecoveryStarted(
                call=str(failed.turn), failure=failed.failure, strategy=strategy, tries=tries, wait_s=wait_s
            )
        )
        self.rest()

    def rest(self) -> None:
        """The next try is due after the pause; after a crash it is set once more."""
        due = StepDue(agent=self.agent, run=self.work.run)
        self.desk.wake(self.agent, self.work.run, self.desk.message.now_s + self.steps.rest_s, due)

    def rested(self) -> None:
        """The pause is over."""
        steps = self.steps
        if steps.resting:
            self._append(said.ModelRequested(turn=steps.turn, again=steps.again + 1))

    def set_aside(self, call: str, again: int) -> None:
        """A command goes on in the background; if nothing else is waited for, the mind has its next turn."""
        request = self.steps.open.get(call)
        if request is not None and request.again == again and call not in self.steps.aside:
            self.aside.add(call)
            before = f"{APPLIED} " if self.steps.turn == 0 else ""
            self._go_on(f"{before}{call} goes on in the background; `wait` for it when you need its result.")

    def call_ended(self, end: End) -> None:
        """A call has come to its end. One that nobody knows the outcome of is made once more, a few times."""
        request = self.steps.open.get(end.call)
        if request is None or request.again != end.again:
            return
        if end.lost and end.again < AGAIN_MAX:
            self.aside.discard(end.call)
            self._append(msgspec.structs.replace(request, again=end.again + 1))
        else:
            self._note(request, end)

    def _note(self, request: said.ToolRequested, end: End) -> None:
        """What the end means, and what comes next."""
        steps = self.steps
        was_aside = end.call in steps.aside
        mark = sha256(msgspec.json.encode((request.tool, request.input, end.text)))[:16]
        loop = steps.marks.count(mark) >= LOOP - 1
        failure = "loop" if loop else end.type_of(request.tool)
        self._append(said.StepEnded(call=end.call, ok=end.ok, mark=mark, loop=loop, failure=failure, note=end.note))
        if steps.turn == 0:
            self._before_the_first_turn(request, end)
            return
        self._end_waits_for(end.call)
        hint = self._learn(request, end, failure)
        if self.ended:
            return
        if request.tool == "finish" and end.ok:
            self._finish(request, end)
        else:
            self._go_on(hint or (f"{end.call}, which was in the background, has ended." if was_aside else ""))

    def _before_the_first_turn(self, request: said.ToolRequested, end: End) -> None:
        """A solution that is in place is tested, if that can be done here; then the mind hears how it went."""
        if request.tool == "test":
            self._next_turn(f"{APPLIED} {GREEN if end.ok else RED}")
        elif end.ok and "test" in self.role.tools:
            command = self.work.recovery.tests if self.work.recovery else ""
            self._append(said.ToolRequested(call="0-2", tool="test", input={"command": command} if command else {}))
        else:
            self._next_turn(APPLIED if end.ok else NOT_APPLIED)

    def _is_answered_by(self, told: ModelReplied | ModelFailed) -> bool:
        steps = self.steps
        return steps.asked and (told.turn, told.again) == (steps.turn, steps.again)

    def _learn(self, request: said.ToolRequested, end: End, failure: str) -> str:
        """Frame the recovery of a failing step; three in a row of one type end the run."""
        steps = self.steps
        if not failure:
            self._made_good(*(each for each, tool in steps.recovering.items() if tool == request.tool))
            return ""
        if failure == "test_failure":
            return ""  # what the tests say is a result, and the mind's business
        tries, found = steps.tries.get(failure, 0) + 1, recovery.known(failure, end.text)
        if tries >= recovery.TRIES_MAX or not found.recoverable:
            times = "once, and for good" if tries == 1 else f"{tries} times"
            self._fail(f"{request.tool} failed {times}: {found.error}", failure)
            return ""
        told = recovery.recovery_of(found, tries=tries)
        self._append(said.StepRecoveryStarted(call=end.call, failure=failure, strategy=told.strategy, tries=tries))
        return told.hint

    def _made_good(self, *failures: str) -> None:
        steps = self.steps
        for failure in failures:
            if failure in steps.mind_tries or failure in steps.tries:
                self._append(said.StepRecoveryEnded(failure=failure, ok=True))

    def _call(self, id: str, call: ToolCall, reason_chars: int) -> None:
        """One thing that the mind wants."""
        try:
            self._refuse_unless_allowed(call.tool)
            given = whole(call.input, self.desk.blob)
            if call.tool in tools.DECIDED and len(msgspec.json.encode(given)) > ASIDE_MAX_BYTES:
                raise Invalid(f"{call.tool}: that is too long", "Say it in fewer words.")
            self._decide(id, call, tools.read_input(call.tool, given))
        except (Invalid, Missing) as refused:
            advice = "" if refused.what_next == type(refused).hint else f" {refused.what_next}"
            reason = f"{refused}{advice}"[:reason_chars]
            self._append(said.StepRefused(call=id, tool=call.tool[:NAME_CHARS], input=call.input, reason=reason))

    def _refuse_unless_allowed(self, tool: str) -> None:
        steps = self.steps
        if tool not in self.role.tools:
            known = ", ".join(self.role.tools)
            raise Invalid(f"a {self.role.name} has no tool {tool[:NAME_CHARS]!r}; it has: {known}")
        playbook = self.playbooks.get(steps.playbook.name) if steps.playbook else None
        if playbook is not None and not playbook.allows(tool):
            known = ", ".join(playbook.allowed_tools)
            raise Invalid(f"the playbook {playbook.name} does without {tool!r}; it takes: {known}")
        if any(request.tool == "finish" for request in steps.open.values()):
            raise Invalid("nothing comes behind `finish`")

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
            case tools.Wait() if wish.call not in steps.aside:
                raise Invalid(f"nothing runs in the background as {wish.call!r}")
            case tools.Finish() if self._is_red and all(each.tool != "test" for each in steps.open.values()):
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
        now_s = self.desk.message.now_s
        before = playbook_ended(self.steps, now_s, "another playbook was opened")
        opened = said.PlaybookOpened(
            call=request.call, playbook=playbook.name, version=playbook.version, at_s=now_s, inputs=wish.inputs
        )
        self._append(request, *before, opened, said.StepEnded(call=request.call, ok=True))

    @property
    def _is_red(self) -> bool:
        """Where test results are what the phase is for, it is not finished over tests that fail."""
        return bool(self.steps.red) and self.work.produces == "test_results"

    def _waits(self) -> bool:
        """Whether some call is still to end before the mind's next turn."""
        steps = self.steps
        return any(call not in steps.aside and call not in self.aside for call in steps.open)

    def _end_waits_for(self, ended: str) -> None:
        """Whoever waits for this command has waited long enough."""
        for call, request in list(self.steps.open.items()):
            if request.tool == "wait" and request.input.get("call") == ended:
                self._append(said.StepEnded(call=call, ok=True))

    def _go_on(self, note: str) -> None:
        """The next turn, unless something is waited for: a call, the mind, or the end of its pause."""
        steps = self.steps
        if not (steps.asked or steps.resting or self._waits()):
            self._next_turn(note)

    def _next_turn(self, note: str = "") -> None:
        steps = self.steps
        if steps.turn >= self.role.turns_max:
            self._fail(f"{steps.turn} turns were not enough", "turns")
        else:
            self._append(said.ModelRequested(turn=steps.turn + 1, note=note))

    def _finish(self, request: said.ToolRequested, end: End) -> None:
        """The phase is done, if nothing speaks against it."""
        steps = self.steps
        if steps.failed_now:
            self._next_turn("The phase is not finished: a step before `finish` failed in this turn. Look at it first.")
        elif steps.open:
            self._next_turn(f"The phase is not finished: {', '.join(steps.open)} still runs. `wait` for it first.")
        elif self._is_red:
            self._fail(steps.red, "test_failure")
        else:
            summary = str(whole(request.input, self.desk.blob).get("summary", ""))
            finished = RunFinished(artifacts=list(end.artifacts), tree=end.tree, summary=summary)
            self._end(finished, "finished", artifacts=len(end.artifacts))

    def _fail(self, reason: str, failure: str) -> None:
        self._end(RunFailed(reason=reason, failure=failure), failure, why=reason)

    def _end(self, end: RunFinished | RunFailed, outcome: str, why: str = "", artifacts: int = 0) -> None:
        self.desk.append(f"evt.run.{self.agent}.{self.work.run}", end, flow=self.work.task)
        self._append(*closing(self.steps, outcome, self.desk.message.now_s, why, artifacts))

    def _append(self, *events: Event) -> None:
        self.desk.append(self.subject, *events, flow=self.work.task)
