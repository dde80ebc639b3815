"""What a run writes while it is led turn by turn: one random story, commit by commit."""

import random
from collections.abc import Generator, Iterator

from bus.messages import call, exec, run, step
from bus.messages.base import Event, Excerpt, Pieces, TestResults, ToolCall

TOOLS = ("read", "write", "run", "test", "playbook", "checklist", "search")
FAILURES = ("file_not_found", "timeout", "test_failure")
PATHS = ("src/a.py", "src/b.py", "tests/test_a.py")

Said = tuple[str, list[Event]]
"""A kind, and the events of one commit to it."""


def work(dice: random.Random, task: str, phase: str, items: int) -> Iterator[Said]:
    """Some turns of a run; whoever takes part may stop listening after any commit."""
    yield "run", [run.RunStarted(task, phase, "dev", "scripted")]
    first: list[Event] = [step.StepsOpened(task, phase, "dev")]
    if dice.random() < 0.2:
        yield from _solution(dice, first)
        first = []
    for turn in range(1, dice.randrange(2, 6)):
        yield "step", [*first, step.ModelRequested(turn)]
        if dice.random() < 0.1:
            yield "call", [call.ModelFailed(turn, "scripted", "rate_limit", "slow down")]
            yield "step", [step.ModelRequested(turn, 1)]
        wanted = [dice.choice(TOOLS) for _ in range(dice.randrange(1, 4))]
        calls = [ToolCall(tool, _input(dice, tool)) for tool in wanted]
        yield "call", [call.ModelReplied(turn, "scripted", f"thought {turn}", calls, ms=3)]
        first = []
        for place, wish in enumerate(calls, 1):
            yield from _call(dice, f"{turn}-{place}", wish, items)
    yield "step", [*first, step.ModelRequested(9)]


def _solution(dice: random.Random, first: list[Event]) -> Iterator[Said]:
    """A council's answer is applied and tested before the mind is asked at all."""
    yield "step", [*first, step.ToolRequested("0-1", "apply", {"solution": "ab" * 32})]
    ok = yield from _effect(dice, "0-1", "apply", 0)
    if ok:
        yield "step", [step.StepEnded("0-1", True), step.ToolRequested("0-2", "test", {})]
        ok = yield from _effect(dice, "0-2", "test", 0)
        yield "step", [step.StepEnded("0-2", ok, failure="" if ok else "test_failure")]
    else:
        yield "step", [step.StepEnded("0-1", False, failure="permission_denied")]


def _input(dice: random.Random, tool: str) -> Pieces:
    if tool in ("run", "test"):
        return {"command": dice.choice(("pytest -q", "make", "")) if tool == "test" else f"echo {dice.randrange(3)}"}
    return {"path": dice.choice(PATHS)}


def _call(dice: random.Random, id: str, wish: ToolCall, items: int) -> Iterator[Said]:
    if dice.random() < 0.1:
        yield "step", [step.StepRefused(id, wish.tool, wish.input, "not allowed")]
        return
    request = step.ToolRequested(id, wish.tool, wish.input)
    if wish.tool == "playbook":
        opened = step.PlaybookOpened(id, "run_tests", "ab" * 32)
        yield "step", [request, opened, step.StepEnded(id, True)]
        yield "step", [dice.choice((step.PlaybookSucceeded("run_tests", 1, 2.5, ["run"]),
                                    step.PlaybookFailed("run_tests", "broken", 1.5, [])))]  # fmt: skip
        return
    if wish.tool == "checklist":
        added: list[Event] = [step.ChecklistExtended(["one more"])] if dice.random() < 0.3 else []
        ticked = [step.ChecklistItemDone(dice.randrange(1, items + 2)) for _ in range(dice.randrange(3))]
        yield "step", [request, *added, *ticked, step.StepEnded(id, True)]
        return
    yield "step", [request]
    ok = yield from _effect(dice, id, wish.tool, 0)
    failure = "" if ok else dice.choice(FAILURES)
    ended: list[Event] = [step.StepEnded(id, ok, "mark", loop=dice.random() < 0.1, failure=failure)]
    if failure:
        ended.append(step.StepRecoveryStarted(id, failure, "say it otherwise", 1))
    yield "step", ended
    if failure and dice.random() < 0.7:
        yield "step", [step.StepRecoveryEnded(failure, dice.random() < 0.6)]


def _effect(dice: random.Random, id: str, tool: str, again: int) -> Generator[Said, None, bool]:
    """Carry it out; what is lost is sometimes asked for again."""
    if tool not in ("run", "test"):
        ok, path = dice.random() < 0.8, dice.choice(PATHS)
        read = [path, dice.choice(PATHS)] if tool == "read" else []
        wrote = [path] if tool == "write" and ok else []
        created = wrote if dice.random() < 0.5 else []
        told = exec.ToolEnded(id, ok, Excerpt("told"), 1.5, "" if ok else "permission_denied", read, created, wrote)
        yield "exec", [told]
        return ok
    started = exec.ExecStarted(id, "A", again)
    if dice.random() < 0.2:
        yield "exec", [started]
        yield "exec", [exec.ExecLost(id, "killed", again)]
        if again < 2 and dice.random() < 0.7:
            yield "step", [step.ToolRequested(id, tool, {"command": "pytest -q"}, again + 1)]
            return (yield from _effect(dice, id, tool, again + 1))
        return False
    exit = dice.choice((0, 0, 1))
    tests = TestResults(dice.randrange(5), exit) if tool == "test" else None
    yield "exec", [started, *([exec.ExecSilent(id, 30, again)] if dice.random() < 0.2 else [])]
    if dice.random() < 0.2:
        yield "exec", [exec.ExecBackgrounded(id, again)]
    tree = "cd" * 20 if dice.random() < 0.5 else ""
    yield "exec", [exec.ExecEnded(id, "exit", Excerpt("out"), 12.5, exit, tests=tests, tree=tree, again=again)]
    return exit == 0
