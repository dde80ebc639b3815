"""Ground for tests of trials: a task's workspace with real tests in it, and an executor's hands that really try."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from actors.council.problem import Brief, Change, Proposal
from actors.decider import Done, Effect, Progress
from actors.executor.commands import Commands, Limits
from actors.executor.git.workspaces import open_workspace
from actors.executor.hands import Hands
from actors.executor.jobs import Stop
from actors.executor.reports import PYTEST, UNCONFIGURED
from actors.executor.trials.wanted import Found, Gather, Trial
from actors.redaction import Redactor
from bus.messages.trial import CandidateTried
from bus.messages.workspace import WorkspaceOpened
from tests.repositories import commit, repository

WRONG, RIGHT = "def add(a, b):\n    return a - b\n", "    return a + b\n"
TESTS = "from src.sums import add\n\n\ndef test_add():\n    assert add(2, 2) == 4\n"
COMMAND = PYTEST + UNCONFIGURED
SECRET = "sk-verysecretvalue-0123456789"
LONG_S = 60.0


def encoded(proposal: Proposal) -> bytes:
    return msgspec.json.encode(proposal)


def changing(*changes: Change) -> bytes:
    return encoded(Proposal(list(changes), "because", 0.9))


GREEN = changing(Change("src/sums.py", RIGHT, "    return a - b\n"))


class Ground:
    """One task with its workspace, and hands in one folder of state that live several lives."""

    def __init__(self, folder: Path) -> None:
        repo = repository(folder / "repo")
        for path, text in (("src/sums.py", WRONG), ("src/__init__.py", ""), ("tests/test_sums.py", TESTS)):
            (repo / path).parent.mkdir(exist_ok=True)
            (repo / path).write_text(text)
        commit(repo)
        self.state = folder / "state"
        opened = open_workspace(self.state / "work", "t1", str(repo))
        self.place = Path(opened.path)
        self.opened = WorkspaceOpened(opened.repo, opened.branch, opened.base, opened.target, opened.path)
        self.runner = asyncio.Runner()
        self.told: list[Any] = []
        self.news = asyncio.Event()
        self.open()

    def open(self) -> None:
        """A new life of the hands."""
        self.commands = Commands(self.state / "execs", list(_readable()), Limits())
        self.hands = Hands(self.state, self.commands, {}, lambda *_: None, Redactor({"KEY": SECRET}))
        self.do(self.hands.open(self._tell))

    def close(self) -> None:
        self.do(self.hands.close())
        self.runner.close()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def _tell(self, told: Progress | Done) -> None:
        self.told.append(told.told)
        self.news.set()

    def trial(self, candidate: str = "m1", solution: bytes = GREEN, **more: Any) -> Trial:
        known: dict[str, Any] = {"territory": ("**",), "tests": COMMAND, "now_s": 0.0, "until_s": LONG_S, **more}
        return Trial("t1-c1", candidate, solution, self.opened, **known)

    def tried(self, solution: bytes = GREEN, **more: Any) -> CandidateTried:
        """What one candidate comes to."""
        (found,) = self.all_of(self.trial("m1", solution, **more))
        assert isinstance(found.event, CandidateTried)
        return found.event

    def gathered(self, **brief: Any) -> Found:
        (found,) = self.all_of(gather(self.opened, **brief))
        return found

    def all_of(self, *works: Gather | Trial, then: Callable[[], Any] = lambda: None) -> list[Found]:
        """They are begun at once; `then` is called when all are under way."""
        return list(self.do(self._all(works, then)))

    async def _all(self, works: tuple[Gather | Trial, ...], then: Callable[[], Any]) -> list[Found]:
        before = len(self.told)
        for work in works:
            self.hands.perform(Effect(work.key, work))
        then()
        async with asyncio.timeout(120):
            while len(self.told) - before < len(works):
                self.news.clear()
                await self.news.wait()
        return self.told[before:]

    def stop(self, *works: Trial, why: Any = "cancel") -> None:
        self.hands.perform(Effect("stop", Stop(tuple(work.key for work in works), why)))

    def trees(self) -> list[str]:
        """Scratch trees, whole and half removed."""
        folder = self.state / "trials"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def gather(opened: WorkspaceOpened | None, failing: tuple[str, ...] = (), **more: Any) -> Gather:
    known: dict[str, Any] = {
        "task": "make sums right", "phase": "code", "failure": "test_failure", "error": "E  assert 0 == 4",
        "attempts": [], "constraints": [], "agent": "coder-1", "run": "t1-1", "territory": ["**"],
        "repo": "", "base": "",
    }  # fmt: skip
    return Gather("t1-c1", Brief(**{**known, **more}), opened, failing)


def _readable() -> Iterator[str]:
    yield from dict.fromkeys((sys.prefix, sys.base_prefix))


@contextmanager
def ground_in(folder: Path) -> Iterator[Ground]:
    ground = Ground(folder)
    try:
        yield ground
    finally:
        ground.close()
