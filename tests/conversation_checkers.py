"""What must be true of every conversation, as its log tells it: pure functions that name what is wrong."""

from collections import Counter
from collections.abc import Iterable

from actors.tools import EXECUTED
from bus.envelope import Record
from bus.messages import call, exec, guardian, run, step, workspace
from tests.checkers import broken_chains, told

TERMINAL = exec.ExecEnded | exec.ExecLost | exec.ToolEnded
END = run.RunFinished | run.RunFailed | run.RunStopped
REQUEST = step.ModelRequested | step.ToolRequested


def run_of(subject: str) -> str:
    return subject.split(".", 2)[2]


def ended_other_than_once(records: Iterable[Record]) -> list[str]:
    """Each call that the executor was asked for has exactly one end for each time that it was made."""
    asked: Counter[tuple[str, str, int]] = Counter()
    ends: Counter[tuple[str, str, int]] = Counter()
    for _, subject, _, event in told(records):
        if isinstance(event, step.ToolRequested) and event.tool in EXECUTED:
            asked[run_of(subject), event.call, event.again] += 1
        elif isinstance(event, TERMINAL):
            ends[run_of(subject), event.call, event.again] += 1
    wrong = [f"{key} has {ends[key]} ends" for key in asked if ends[key] != 1]
    return wrong + [f"{key} ends and was never asked for" for key in ends if key not in asked]


def done_twice(records: Iterable[Record]) -> list[str]:
    """Nothing that happens once happens twice: replies, notes, requests, beginnings, ends, orders, workspaces."""
    wrong: list[str] = []
    seen: set[tuple[object, ...]] = set()
    for seq, subject, _, event in told(records):
        key: tuple[object, ...] = ()
        match event:
            case call.ModelReplied() | call.ModelFailed():
                key = ("reply", event.turn, event.again)
            case step.ModelRequested():
                key = ("asked", event.turn, event.again)
            case step.ToolRequested():
                key = ("requested", event.call, event.again)
            case step.StepEnded():
                key = ("noted", event.call)
            case exec.ExecStarted() | exec.ExecBackgrounded():
                key = (type(event).__name__, event.call, event.again)
            case run.RunFinished() | run.RunFailed() | run.RunStopped():
                key = ("end",)
            case run.RunStarted() | step.StepsOpened() | step.StepsClosed() | workspace.WorkspaceOpened():
                key = (type(event).__name__,)
            case workspace.WorkspaceMerged() | workspace.WorkspaceDiscarded() | workspace.MergeRefused():
                key = ("order", event.order)
        if key and (subject, *key) in seen:
            wrong.append(f"{seq}: {subject} {key} a second time")
        seen.add((subject, *key))
    return wrong


def begun_while_frozen(records: Iterable[Record]) -> list[str]:
    """Who has acknowledged a freeze asks for nothing and begins nothing until the thaw."""
    wrong: list[str] = []
    silent: set[str] = set()
    for seq, subject, commit, event in told(records):
        match event:
            case guardian.FreezeAcknowledged():
                silent.add(event.actor)
            case guardian.ThawOrdered():
                silent.clear()
            case step.ModelRequested() | step.ToolRequested() | exec.ExecStarted() | run.RunStarted():
                if commit.by in silent:
                    wrong.append(f"{seq}: {commit.by} goes on with {subject} though it is frozen")
    return wrong


def never_ended(records: Iterable[Record]) -> list[str]:
    """Every run that began ends, and its steps with it."""
    begun: dict[str, str] = {}
    opened: dict[str, str] = {}
    for _, subject, _, event in told(records):
        match event:
            case run.RunStarted():
                begun[subject] = "has no end"
            case step.StepsOpened():
                opened[subject] = "are not closed"
            case step.StepsClosed():
                opened.pop(subject, None)
            case _ if isinstance(event, END):
                begun.pop(subject, None)
    return [f"{subject} {what}" for subject, what in (begun | opened).items()]


def turns_out_of_line(records: Iterable[Record], turns_max: int) -> list[str]:
    """Turns follow each other without a gap, and there are never too many."""
    wrong: list[str] = []
    turns: dict[str, tuple[int, int]] = {}
    for seq, subject, _, event in told(records):
        if isinstance(event, step.ModelRequested):
            turn, again = turns.get(subject, (0, 0))
            if (event.turn, event.again) not in ((turn + 1, 0), (turn, again + 1)):
                wrong.append(f"{seq}: {subject} asks for {event.turn}/{event.again} after {turn}/{again}")
            if event.turn > turns_max:
                wrong.append(f"{seq}: {subject} has a turn {event.turn}")
            turns[subject] = (event.turn, event.again)
    return wrong


def requested_after_the_end(records: Iterable[Record]) -> list[str]:
    """A run that is closed asks for nothing more."""
    closed: set[str] = set()
    wrong: list[str] = []
    for seq, subject, _, event in told(records):
        if isinstance(event, step.StepsClosed):
            closed.add(subject)
        elif isinstance(event, REQUEST) and subject in closed:
            wrong.append(f"{seq}: {subject} goes on after its end")
    return wrong


def replies_lost(records: Iterable[Record]) -> list[str]:
    """Each call of each reply is requested or refused, unless the run was over before or by another call of it."""
    wrong: list[str] = []
    wanted: dict[str, list[str]] = {}
    for _, subject, _, event in told(records):
        name = run_of(subject)
        match event:
            case call.ModelReplied():
                wanted[name] = [f"{event.turn}-{place + 1}" for place in range(len(event.calls))]
            case step.ToolRequested() | step.StepRefused():
                wanted[name] = [each for each in wanted.get(name, []) if each != event.call]
            case step.ModelRequested() if wanted.get(name):
                wrong.append(f"{name}: {wanted[name]} of a reply came to nothing")
            case step.StepsClosed():
                wanted.pop(name, None)
    return wrong


def everything_wrong(records: list[Record], turns_max: int) -> list[str]:
    """All of it."""
    return [
        *broken_chains(records),
        *ended_other_than_once(records),
        *done_twice(records),
        *begun_while_frozen(records),
        *never_ended(records),
        *turns_out_of_line(records, turns_max),
        *requested_after_the_end(records),
        *replies_lost(records),
    ]
