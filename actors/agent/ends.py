"""How calls end, and what has to be said when a run does."""

from typing import NamedTuple

from actors import recovery
from actors.agent.steps import Steps
from actors.essence import ERROR_CHARS
from actors.executor.execs import OUTSIDE
from bus.messages import exec as done
from bus.messages import step as said
from bus.messages.base import Artifact, Event, TestResults

NAMES_CHARS = 400


class End(NamedTuple):
    """How a call of the run came out, whatever carried it out. `lost`: nobody knows, or it was stopped from outside."""

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
    lost: bool = False

    def type_of(self, tool: str) -> str:
        """Which failure it is; empty: none."""
        if self.ok or self.failure:
            return "" if self.ok else self.failure
        return recovery.classify(self.text, exit=self.exit, ended_by=self.ended_by, tool=tool).failure


def end_of(told: done.ToolEnded | done.ExecEnded | done.ExecLost) -> End:
    """The end that an event tells of."""
    match told:
        case done.ExecLost():
            return End(told.call, False, told.reason, told.again, failure="lost", lost=True)
        case done.ExecEnded() if told.ended_by in OUTSIDE:
            return End(told.call, False, told.output.text, told.again, told.exit, told.ended_by, "lost", lost=True)
        case done.ExecEnded():
            ok = told.ended_by == "exit" and told.exit == 0
            end = End(told.call, ok, told.output.text, told.again, told.exit, told.ended_by)
            if told.tests is None or told.tests.green:
                return end
            end = end._replace(note=_in_words(told.tests, told.output.text))
            return end._replace(ok=False, failure="test_failure") if told.ended_by == "exit" else end
        case done.ToolEnded():
            end = End(told.call, told.ok, told.output.text, told.again, failure=told.failure)
            return end._replace(artifacts=tuple(told.artifacts), tree=told.tree)


def closing(steps: Steps, outcome: str, now_s: float, why: str = "", artifacts: int = 0) -> list[Event]:
    """How the steps of a run end: with its playbook and its recoveries, which came to nothing if there is a `why`."""
    ended = [said.StepRecoveryEnded(failure=each, ok=not why) for each in (*steps.mind_tries, *steps.tries)]
    return [*playbook_ended(steps, now_s, why, artifacts), *ended, said.StepsClosed(outcome=outcome)]


def playbook_ended(steps: Steps, now_s: float, error: str, artifacts: int = 0) -> list[Event]:
    """What came of the playbook, for whoever learns from it."""
    open = steps.playbook
    if open is None:
        return []
    seconds, used = round(now_s - open.at_s, 3), list(open.tools)
    if error:
        return [said.PlaybookFailed(playbook=open.name, error=error, seconds=seconds, tools=used)]
    return [said.PlaybookSucceeded(playbook=open.name, artifacts=artifacts, seconds=seconds, tools=used)]


def _in_words(tests: TestResults, output: str) -> str:
    """What a test run came to, for whoever mends it: which tests, as far as that was counted, and what they said."""
    names = ", ".join(tests.failures[:10])
    counted = f"{tests.failed} failed, {tests.errors} errors, {tests.passed} passed: {names}"[:NAMES_CHARS]
    return f"{counted}\n{recovery.essence_of('test_failure', output, ERROR_CHARS - len(counted) - 1)}"
