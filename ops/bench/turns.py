"""What a run that is led turn by turn says about itself, commit by commit: thoughts, calls, outcomes, failures."""

from collections.abc import Iterator
from random import Random

from bus.messages import call, exec, run, step
from bus.messages.base import Event, Excerpt, Pieces, TestResults, ToolCall

TOOLS = ("read", "read", "search", "edit", "write", "run", "test")
COMMANDS = ("run", "test")
THOUGHT = "The next thing is to look at how this is called, and then to change the one place that is wrong. " * 2
OUTPUT = "a line of what was there to be read, as files and commands have them\n" * 6
FAILS_OF_100 = 10

Said = tuple[str, list[Event]]
"""A kind, and the events of one commit to it."""


def turns(random: Random, began: run.RunStarted, count: int) -> Iterator[Said]:
    """So many turns of one or two calls each; some fail and are made good in the turn after."""
    opening: list[Event] = [step.StepsOpened(task=began.task, phase=began.phase, role=began.role)]
    for turn in range(1, count + 1):
        yield "step", [*opening, step.ModelRequested(turn)]
        wanted = [_wish(random) for _ in range(random.randint(1, 2))]
        yield "call", [call.ModelReplied(turn, "script", THOUGHT, wanted, ms=900)]
        calls = {f"{turn}-{place}": wish for place, wish in enumerate(wanted, 1)}
        yield "step", [step.ToolRequested(id, wish.tool, wish.input) for id, wish in calls.items()]
        opening = []
        for id, wish in calls.items():
            failed = random.randrange(100) < FAILS_OF_100
            for events in _carried_out(id, wish, failed):
                yield "exec", events
            opening += _noted(id, failed)
    yield "step", [*opening, step.StepsClosed("finished")]


def _wish(random: Random) -> ToolCall:
    tool = random.choice(TOOLS)
    path = f"src/part_{random.randrange(20)}.py"
    wanted: Pieces = {"command": "python -m pytest -q"} if tool in COMMANDS else {"path": path}
    return ToolCall(tool, wanted)


def _carried_out(id: str, wish: ToolCall, failed: bool) -> Iterator[list[Event]]:
    told = Excerpt(OUTPUT)
    if wish.tool in COMMANDS:
        yield [exec.ExecStarted(id, "A")]
        tests = TestResults(9, int(failed)) if wish.tool == "test" else None
        yield [exec.ExecEnded(id, "exit", told, 850.5, int(failed), tests=tests)]
        return
    touched = [] if failed else [str(wish.input["path"])]
    read, wrote = (touched, []) if wish.tool in ("read", "search") else ([], touched)
    failure = "file_not_found" if failed else ""
    yield [exec.ToolEnded(id, not failed, told, 2.5, failure, read, wrote=wrote)]


def _noted(id: str, failed: bool) -> list[Event]:
    if not failed:
        return [step.StepEnded(id, True, "mark")]
    failure = "file_not_found"
    tried = step.StepRecoveryStarted(id, failure, "say it otherwise", 1)
    return [step.StepEnded(id, False, "mark", failure=failure), tried, step.StepRecoveryEnded(failure, True)]
