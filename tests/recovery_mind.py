"""A virtual mind: it does what its phase is about, and beyond that only what the texts that it was given tell it to."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from actors import tools
from bus.messages import exec as done
from bus.messages import step as said
from bus.messages.agent import WorkAssigned
from bus.messages.base import Event, Pieces, Recovery, ToolCall

WORDS = {
    "look": r"\b(?:list|search|create)\b",
    "check": r"\bsee what is there\b",
    "mend": r"\b(?:mend|correct|find the cause)\b",
    "smaller": r"\b(?:less|smaller|fewer)\b",
    "unasked": r"\bwait for input\b",
    "inside": r"\bstay inside\b",
    "otherwise": r"\banother way\b",
    "short": r"\bshort\b",
}
"""What it must be told in so many words before it does it."""
WAYS = ("inside", "otherwise", "smaller", "unasked")
"""These are ways to do the same thing, and seen in how it is done."""


class Seen(NamedTuple):
    """A call of this run. `ok` is None as long as it has not ended."""

    call: str
    tool: str
    input: Pieces
    ok: bool | None = None
    text: str = ""


class View(NamedTuple):
    """All that a mind has before it: its work, what its agent and the rules said to it, and what came of its calls."""

    work: WorkAssigned
    turn: int
    note: str
    """What was said last; empty: nothing."""
    told: tuple[str, ...]
    calls: dict[str, Seen]

    @property
    def read(self) -> str:
        return "\n".join([*self.told, *(seen.text for seen in self.calls.values())])


def view_of(work: WorkAssigned, steps: Iterable[Event], execs: Iterable[Event]) -> View:
    """What stands on the log of the run, and nothing else."""
    turn, note, told = 0, "", _words_of(work.recovery)
    calls: dict[str, Seen] = {}
    for event in steps:
        match event:
            case said.ModelRequested():
                turn, note = event.turn, event.note
                told.append(note)
            case said.ToolRequested():
                calls[event.call] = Seen(event.call, event.tool, event.input)
            case said.StepEnded() if event.call in calls:
                calls[event.call] = calls[event.call]._replace(ok=event.ok)
            case said.StepRefused():
                told.append(event.reason)
    for event in execs:
        if isinstance(event, done.ExecEnded | done.ToolEnded) and event.call in calls:
            calls[event.call] = calls[event.call]._replace(text=event.output.text)
    return View(work, turn, note, tuple(told), calls)


def _words_of(recovery: Recovery | None) -> list[str]:
    return [recovery.hint, recovery.error] if recovery else []


def remedies(view: View, quoted: str) -> set[str]:
    """What it is told to do. What a program said is not an order, wherever it is quoted."""
    lines = [line.strip() for text in view.told for line in text.splitlines()]
    orders = " ".join(line for line in lines if line not in quoted and not line.startswith("- "))
    return {remedy for remedy, words in WORDS.items() if re.search(words, orders, re.IGNORECASE)}


def ways_of(tool: Any) -> set[str]:
    """In which ways this is done."""
    if isinstance(tool, tools.Write):
        return {"inside"} if tool.path.startswith("src/") else set()
    return set(str(getattr(tool, "command", "")).split(" --")[1:])


def is_trying(tool: Any) -> bool:
    """Whether this is what the phase is about, and not looking around, mending or the end."""
    match tool:
        case tools.Run() | tools.Test() | tools.Git(verb="diff"):
            return True
        case tools.Write():
            return tool.path.endswith("plan.md")
    return False


def reply_to(view: View, case: Any) -> list[ToolCall]:
    """What it does now."""
    told = remedies(view, case.quoted)
    running = [seen.call for seen in view.calls.values() if seen.ok is None and seen.tool != "wait"]
    if running:
        return [ToolCall("wait", {"call": running[0]})]
    if (habit := case.habit_in(view.work.phase, told)) is not None:
        return [_habitual(habit, view.turn, case.quoted)]
    step = _next_step(view, case, told)
    before = _before(view, case, told)
    return before if before and step.tool == "finish" else [*before, step]


def _before(view: View, case: Any, told: set[str]) -> list[ToolCall]:
    """What it was told to do first, as long as it has not done it in this run. A tester mends nothing."""
    wanted: list[ToolCall] = []
    if "look" in told:
        wanted.append(ToolCall("list", {"path": "."}))
    if "check" in told:
        wanted.append(ToolCall("git", {"verb": "status"}))
    fault = case.fault
    if (
        "mend" in told
        and view.work.role == "coder"
        and fault
        and fault.clue
        and all(clue in view.read for clue in fault.clue)
    ):
        wanted.append(ToolCall("edit", {"path": "src/app.py", "old": "as it is", "new": "; ".join(fault.clue)}))
    made = [(seen.tool, seen.input) for seen in view.calls.values() if seen.ok]
    return [call for call in wanted if (call.tool, call.input) not in made]


def _next_step(view: View, case: Any, told: set[str]) -> ToolCall:
    """The first step of its phase that it has not done; who tests reports what fails."""
    phase = view.work.phase
    for call in _plan(phase, case.tools_in(phase), sorted(told.intersection(WAYS))):
        tries = [seen for seen in view.calls.values() if seen.tool == call.tool and _same(seen.input, call.input)]
        if any(seen.ok for seen in tries):
            continue
        if call.tool == "test" and tries and not view.note:
            break
        return call
    return ToolCall("finish", {"summary": "done"})


def _plan(phase: str, tried: set[str], ways: list[str]) -> list[ToolCall]:
    flags = "".join(f" --{way}" for way in ways)
    place = "src" if "inside" in ways else "docs"
    attempts = {
        "run": ToolCall("run", {"command": f"make{flags}"}),
        "write": ToolCall("write", {"path": f"{place}/plan.md", "content": "the plan"}),
        "git": ToolCall("git", {"verb": "diff"}),
    }
    found = [call for tool, call in attempts.items() if tool in tried]
    if phase == "test":
        return [*found, ToolCall("test", {"command": f"make test{flags}"})]
    written = {"design": "docs/design.md", "implement": "src/app.py"}[phase]
    return [ToolCall("write", {"path": written, "content": "as it is"}), *found]


def _same(one: Pieces, other: Pieces) -> bool:
    """Whether two inputs are tries of the same thing."""
    names = [str(each.get("path", "")).rsplit("/", 1)[-1] for each in (one, other)]
    return names[0] == names[1] and one.get("verb") == other.get("verb")


def _habitual(habit: str, turn: int, text: str) -> ToolCall:
    """What it does instead, again and again."""
    match habit:
        case "asks":
            return ToolCall("ask_for_help", {"question": text.partition(": ")[2].strip()})
        case "repeats":
            return ToolCall("read", {"path": "src/app.py"})
        case "to and fro":
            old, new = ("one", "other") if turn % 2 else ("other", "one")
            return ToolCall("edit", {"path": "src/app.py", "old": old, "new": new})
    return ToolCall("search", {"pattern": f"place {turn}"})
