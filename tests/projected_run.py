"""One run that was led turn by turn, written down by hand."""

from typing import Any

from bus.messages import call, exec, run, step, task
from bus.messages.base import Excerpt, TestResults, ToolCall
from tests.projected_histories import History

OF = "agent-1.a-1"


def a_run_at_work() -> History:
    """One run: a file read and written, a test that fails, one that is lost and repeated, one refusal."""
    history = History()
    history.task("a", task.TaskSubmitted("build a", "tiered", ["research"], checklist=["read", "write"]))
    history.task("a", task.PipelineStarted())
    history.start_phase("a")

    def say(kind: str, *events: Any) -> None:
        history.commit(f"evt.{kind}.{OF}", *events, flow="a", by="agent-1")

    say("run", run.RunStarted("a", "research", "dev", "scripted"))
    say("step", step.StepsOpened("a", "research", "dev"), step.ModelRequested(1))
    calls = [ToolCall("read", {"path": "a.py"}), ToolCall("test", {"command": "pytest -q"})]
    say("call", call.ModelReplied(1, "scripted", "look first", calls))
    say("step", step.ToolRequested("1-1", "read", {"path": "a.py"}), step.ToolRequested("1-2", "test", {}))
    say("exec", exec.ToolEnded("1-1", True, Excerpt("the text"), 1.5, read=["a.py"]))
    say("step", step.StepEnded("1-1", True, "m"))
    say("exec", exec.ExecStarted("1-2", "A"))
    say("exec", exec.ExecLost("1-2", "killed"))
    say("step", step.ToolRequested("1-2", "test", {"command": "pytest -q"}, 1))
    say("exec", exec.ExecStarted("1-2", "A", 1))
    long = Excerpt("1 failed", 70_000, "ab" * 32)
    say("exec", exec.ExecEnded("1-2", "exit", long, 40, 1, tests=TestResults(2, 1, failures=["t"]), again=1))
    say(
        "step",
        step.StepEnded("1-2", False, "m", failure="test_failure"),
        step.StepRecoveryStarted("1-2", "test_failure", "read the error", 1),
        step.ModelRequested(2),
    )
    say("call", call.ModelReplied(2, "scripted", "mend it"))
    say("step", step.StepRefused("2-1", "deploy", {}, "not yours"))
    say("step", step.ToolRequested("2-2", "write", {"path": "a.py", "content": "x"}))
    say("exec", exec.ToolEnded("2-2", True, Excerpt("ok"), 2, wrote=["a.py"], created=["a.py", "b.py", "a.py"]))
    say("step", step.StepEnded("2-2", True, "m", loop=True), step.StepRecoveryEnded("test_failure", True))
    say("step", step.ChecklistExtended(["test"]), step.ChecklistItemDone(2), step.ChecklistItemDone(2))
    return history
