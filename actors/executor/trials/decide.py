"""What the executor decides for councils: each problem is gathered once, each candidate tried once, a few at a time."""

from collections import deque
from typing import NamedTuple

import msgspec

from actors.council.problem import Brief, read_brief
from actors.council.state import Council
from actors.council.state import Trials as Told
from actors.decider import Hold, Message
from actors.desk import Desk
from actors.executor.jobs import Stop
from actors.executor.trials.wanted import Found, Gather, Trial
from actors.executor.workspace import Workspace
from bus.errors import Broken, Missing
from bus.messages import council as said
from bus.messages import exec, step
from bus.messages.base import TestResults
from bus.messages.kinds import read_commit
from bus.messages.trial import CandidateTried, GatheringFailed
from bus.messages.workspace import WorkspaceOpened

GUARDIAN = "evt.guardian.main"
AT_ONCE = 4
"""Of these the bench lets two run commands; the trees of the others are made meanwhile."""
FAILING_MAX = 50


class _Case(NamedTuple):
    """What a council said when it began. It stays as it is."""

    convened: said.CouncilConvened
    brief: Brief


class Trials:
    """Everything that is done for councils and is not done yet."""

    def __init__(self) -> None:
        self.cases: dict[str, _Case] = {}
        self.waiting: deque[Trial] = deque()
        self.under_way: dict[str, Gather | Trial] = {}
        self.over: set[str] = set()
        """Councils that ended while something was done for them."""

    def hear(self, desk: Desk, message: Message, unheld: str) -> None:
        """A council says something. `unheld` is why commands are not run on this machine, if they are not."""
        id, body = message.subject.rsplit(".", 1)[1], message.body
        if isinstance(body, said.CouncilEnded):
            self._council_ended(desk, id)
        elif not self._is_over(desk, message, id):
            if isinstance(body, said.CouncilConvened):
                self._convened(desk, id, body)
            elif isinstance(body, said.TrialAsked):
                self._asked(desk, id, body, unheld)

    def found(self, desk: Desk, found: Found) -> None:
        """Something is done. What was interrupted by a freeze is done again behind it, in a fresh tree."""
        work = found.work
        if self.under_way.pop(work.key, None) is None:
            return
        if work.council in self.over:
            desk.close(_asked_as(work))
            self._forget(desk, work.council)
        elif found.interrupted and isinstance(work, Trial):
            self.waiting.appendleft(work._replace(again=work.again + 1))
        else:
            for blob in found.blobs:
                desk.keep(blob)
            desk.append(_subject(work.council), found.event, flow=self.cases[work.council].convened.task)
            desk.close(_asked_as(work))
        self.advance(desk)

    def advance(self, desk: Desk) -> None:
        """Begin what waits, as far as there is room and nothing stands still."""
        while self.waiting and self._trying() < AT_ONCE and not desk.state(GUARDIAN).frozen:
            trial = self.waiting.popleft()
            workspace: Workspace = desk.state(f"evt.workspace.{self.cases[trial.council].convened.task}")
            self._begin(desk, trial._replace(opened=_opened(workspace), now_s=desk.message.now_s))

    def _trying(self) -> int:
        return sum(isinstance(work, Trial) for work in self.under_way.values())

    def _begin(self, desk: Desk, work: Gather | Trial) -> None:
        self.under_way[work.key] = work
        desk.perform(work.key, work)

    def _is_over(self, desk: Desk, message: Message, id: str) -> bool:
        """Whether the council has ended. Of a fresh message that is heard in time."""
        if id in self.over:
            return True
        if message.fresh and (id in self.cases or isinstance(message.body, said.CouncilConvened)):
            return False
        council: Council = desk.peek(message.subject)
        return council.ended is not None

    def _convened(self, desk: Desk, id: str, convened: said.CouncilConvened) -> None:
        told: Told = desk.state(_subject(id), opens=True)
        key = f"gather/{id}"
        if told.told or key in self.under_way:
            return
        if desk.state(GUARDIAN).frozen:
            raise Hold
        try:
            brief = self._known(desk, id, convened).brief
        except (Missing, Broken, msgspec.MsgspecError) as error:
            desk.append(_subject(id), GatheringFailed(reason=f"the brief cannot be read: {error}"), flow=convened.task)
            return
        workspace: Workspace = desk.state(f"evt.workspace.{convened.task}")
        desk.open(key)
        self._begin(desk, Gather(id, brief, _opened(workspace), *_tested(desk, brief)))

    def _asked(self, desk: Desk, id: str, asked: said.TrialAsked, unheld: str) -> None:
        told: Told = desk.state(_subject(id))
        known = [*self.waiting, *(work for work in self.under_way.values() if isinstance(work, Trial))]
        if asked.candidate in told.tried or any((id, asked.candidate) == (e.council, e.candidate) for e in known):
            return
        if desk.state(GUARDIAN).frozen:
            raise Hold
        try:
            case = self._known(desk, id)
            solution = desk.blob(asked.solution)
        except (Missing, Broken, msgspec.MsgspecError) as error:
            desk.append(_subject(id), CandidateTried(candidate=asked.candidate, applies=False, reason=str(error)))
            return
        trial = Trial(
            id,
            asked.candidate,
            solution,
            None,
            tuple(case.brief.territory),
            told.gathered.tests if told.gathered else "",
            0,
            case.convened.until_s,
            unheld,
            tree=told.gathered.tree if told.gathered else "",
        )
        desk.open(_asked_as(trial))
        self.waiting.append(trial)
        self.advance(desk)

    def _council_ended(self, desk: Desk, id: str) -> None:
        """What waits is not begun, what runs is stopped, and of neither anything is told: the council's end is said."""
        for trial in [trial for trial in self.waiting if trial.council == id]:
            self.waiting.remove(trial)
            desk.close(_asked_as(trial))
        self.over.add(id)
        keys = tuple(work.key for work in self.under_way.values() if work.council == id)
        if keys:
            desk.perform(f"stop/{desk.message.id}", Stop(keys, "cancel"))
        self._forget(desk, id)

    def _forget(self, desk: Desk, id: str) -> None:
        if not any(work.council == id for work in self.under_way.values()):
            self.over.discard(id)
            self.cases.pop(id, None)
            desk.forget(_subject(id))

    def _known(self, desk: Desk, id: str, convened: said.CouncilConvened | None = None) -> _Case:
        """What the council is about; read from the log where its beginning was heard in an earlier life."""
        case = self.cases.get(id)
        if case is None:
            if convened is None:
                council: Council = desk.peek(f"evt.council.{id}")
                convened = council.convened
            if convened is None:
                raise Missing(f"nobody has convened the council {id}")
            case = self.cases[id] = _Case(convened, read_brief(desk.blob(convened.brief)))
        return case


def _subject(council: str) -> str:
    return f"evt.trial.{council}"


def _asked_as(work: Gather | Trial) -> str:
    """What stays open until it is told, however often it is begun."""
    return work.key if isinstance(work, Gather) else f"trial/{work.council}/{work.candidate}"


def _opened(workspace: Workspace) -> WorkspaceOpened | None:
    return workspace.opened if workspace.status == "open" else None


def _tested(desk: Desk, brief: Brief) -> tuple[tuple[str, ...], str]:
    """The tests that failed last in the failed run, and what it ran its tests by, where it said so itself."""
    failing: tuple[str, ...] = ()
    command = ""
    for record in desk.records(f"evt.*.{brief.agent}.{brief.run}"):
        if record.subject.startswith(("evt.step.", "evt.exec.")):
            for event in read_commit(record).events:
                match event:
                    case exec.ExecEnded(tests=TestResults() as tests):
                        failing = tuple(tests.failures[:FAILING_MAX])
                    case step.ToolRequested(tool="test", input={"command": str() as said_command}) if said_command:
                        command = said_command
    return failing, command
