"""The corpus of faults: what each of them says, where it strikes, and what really heals it."""

import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from actors import tools

NOISE = "nothing of interest happened in place {:05}\n"
Remedy = Literal[
    "mend", "look", "check", "smaller", "unasked", "inside", "otherwise", "short", "wait", "again", "never"
]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the corpus."""

    name: str
    failure: str
    text: str
    heals: Remedy
    tool: str = ""
    exit: int | None = None
    ended_by: str = ""
    recoverable: bool = True
    clue: list[str] = []
    phase: str = ""
    after_s: float = 0
    times: int = 1
    before: int = 0
    behind: int = 0
    then: str = ""
    habit: str = ""
    lost: bool = False

    @property
    def strikes_in(self) -> str:
        return self.phase or ("test" if self.tool == "test" else "implement")

    @property
    def output(self) -> str:
        before = "".join(NOISE.format(n) for n in range(self.before // len(NOISE)))
        behind = "".join(NOISE.format(10_000 + n) for n in range(self.behind // len(NOISE)))
        return f"{before}{self.text}{behind}"


def read_corpus() -> dict[str, Fault]:
    text = (Path(__file__).parent / "recovery_corpus.toml").read_text()
    faults = msgspec.convert(tomllib.loads(text)["faults"], list[Fault])
    return {fault.name: fault for fault in faults}


class Case:
    """The faults that one task still has before it, and what was done against the first of them since it struck."""

    def __init__(self, fault: Fault, corpus: dict[str, Fault]) -> None:
        self.left = [fault, *([corpus[fault.then]] if fault.then else [])]
        self.met = list(self.left)
        self._next()

    def _next(self) -> None:
        self.struck, self.first_s = 0, 0.0
        self.done: set[str] = set()

    @property
    def fault(self) -> Fault | None:
        return self.left[0] if self.left else None

    @property
    def quoted(self) -> str:
        """What programs and providers say in this task."""
        return "\n".join(fault.output for fault in self.met)

    def tools_in(self, phase: str) -> set[str]:
        """What the phase is about, beside its usual work."""
        return {fault.tool for fault in self.met if fault.strikes_in == phase}

    def habit_in(self, phase: str, told: set[str]) -> str | None:
        """What the mind does instead of its work, until it is told to do something else."""
        if (fault := self.fault) is None or not fault.habit or fault.strikes_in != phase:
            return None
        if fault.heals not in told:
            return fault.habit
        self.left.pop(0)
        return None

    def meets(self, tool: str, phase: str, now_s: float, doing: set[str]) -> Fault | None:
        """The fault that strikes now, if one does; `doing` says in which way the thing is done this time."""
        while (fault := self.fault) and (fault.tool, fault.strikes_in) == (tool, phase) and not fault.habit:
            if not self._is_healed(fault, now_s, doing):
                self.first_s = self.first_s or now_s
                self.struck += 1
                return fault
            self.left.pop(0)
            self._next()
        return None

    def _is_healed(self, fault: Fault, now_s: float, doing: set[str]) -> bool:
        match fault.heals:
            case "again":
                return self.struck >= fault.times
            case "wait":
                return bool(self.struck) and now_s >= self.first_s + fault.after_s
            case "never":
                return False
            case remedy:
                return remedy in self.done or remedy in doing

    def acted(self, tool: Any) -> None:
        """Something was done in the workspace that may help the next try."""
        fault = self.fault
        match tool:
            case tools.List() | tools.Search():
                self.done |= {"look"} if self.struck else set()
            case tools.Git(verb="status"):
                self.done |= {"check"} if self.struck else set()
            case tools.Edit() if fault and all(clue in tool.new for clue in fault.clue):
                self.done.add("mend")
