"""The floor: who works on what right now, who waits for an agent, and until when an assignment may be silent.

All of it follows from the tasks that hold a slot; it is derived anew at every start and never stored.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping

from actors.orchestrator.roster import Member
from actors.orchestrator.routing import Rules
from actors.orchestrator.workflow import Phase, Workflow
from actors.territory import Territory, overlaps


class Floor:
    """Kept beside the folds, because asking every task each time would make an assignment cost what a scan costs."""

    def __init__(
        self,
        workflows: Mapping[str, Workflow],
        lease_s: float,
        council_after: int | None = None,
        rules: Rules | None = None,
        *,
        reviews: bool = False,
        roles: Collection[str] = (),
    ) -> None:
        """`council_after`: so many tries of one kind before a council is asked; None: there is none."""
        self.roles = roles
        self.workflows, self.rules, self.reviews = workflows, rules, reviews
        self.plans = {(flow.name, phase.name): phase for flow in workflows.values() for phase in flow.phases}
        self.lease_s, self.council_after = lease_s, council_after
        self.architects = rules.goal.architects if rules else []
        """They look at other people's phases, if `reviews`, and never do them."""
        self.named: dict[str, float] = {}
        """By task: until when the agent that was named for it is waited for."""
        self.load: dict[str, int] = {}
        self.deadlines: dict[str, float] = {}
        self.task_of: dict[str, str] = {}
        self.agent_of: dict[str, str] = {}
        self.waiting: dict[str, deque[str]] = {}
        self.suspects: set[str] = set()
        self.role_of: dict[str, str] = {}
        self.idle: dict[str, dict[str, None]] = {}
        self.armed = False
        self.repo_of: dict[str, str] = {}
        self.at_work: dict[str, dict[str, str]] = {}
        """By repository: its runs and their agents."""
        self.held_up: dict[str, dict[str, None]] = {}
        """By repository: the tasks that wait until a territory is free, in the order of their coming."""

    def plan(self, workflow: str, phase: str) -> Phase:
        """What the file says of a phase; one that no file knows any more can still come to its end."""
        return self.plans.get((workflow, phase)) or Phase(phase, "")

    def enter(self, agent: str, role: str) -> None:
        """An agent is there."""
        self.suspects.discard(agent)
        if not self.load.get(agent):
            self.idle.setdefault(role, {})[agent] = None
        self.role_of[agent] = role

    def work_in(self, repo: str, run: str) -> None:
        """The run's territory in this repository is taken until the run is given back."""
        self.repo_of[run] = repo
        self.at_work.setdefault(repo, {})[run] = self.agent_of[run]

    def take(self, agent: str, run: str, task: str, now_s: float) -> None:
        self.load[agent] = self.load.get(agent, 0) + 1
        self.idle.get(self.role_of.get(agent, ""), {}).pop(agent, None)
        self.deadlines[run] = now_s + self.lease_s
        self.task_of[run], self.agent_of[run] = task, agent

    def give_back(self, run: str) -> None:
        agent = self.agent_of.pop(run, "")
        if agent:
            self.load[agent] -= 1
            if not self.load[agent] and agent not in self.suspects and agent in self.role_of:
                self.idle.setdefault(self.role_of[agent], {})[agent] = None
            del self.deadlines[run], self.task_of[run]
            if repo := self.repo_of.pop(run, ""):
                del self.at_work[repo][run]
                if not self.at_work[repo]:
                    del self.at_work[repo]

    def wait(self, role: str, task: str) -> None:
        line = self.waiting.setdefault(role, deque())
        if task not in line:
            line.append(task)

    def stop_waiting(self, role: str, task: str, repo: str = "") -> None:
        line = self.waiting.get(role)
        if line and task in line:
            line.remove(task)
        self.let_go(repo, task)

    def hold_up(self, repo: str, task: str) -> None:
        """The task waits for a territory, and those that come after it wait behind it."""
        self.held_up.setdefault(repo, {})[task] = None

    def let_go(self, repo: str, task: str) -> None:
        line = self.held_up.get(repo)
        if line is not None:
            line.pop(task, None)
            if not line:
                del self.held_up[repo]

    def next_in(self, repo: str) -> str:
        return next(iter(self.held_up.get(repo, ())), "")

    def choose(self, role: str, members: dict[str, Member], repo: str = "", avoid: str = "", *, only: str = "") -> str:
        """The least loaded agent of the role that has room and a free territory; others before one to `avoid`.

        One that let a lease expire is taken only if nobody else has room. `only`: this one or nobody.
        """
        others = [members[agent].territory for agent in self.at_work[repo].values()] if repo in self.at_work else []
        if only:
            members = {only: members[only]} if only in members else {}
        for agent in self.idle.get(role, ()):
            if agent in members and agent != avoid and (not others or _is_clear(members[agent].territory, others)):
                return agent
        best, best_rank = "", (True, True, 0.0)
        for agent, member in members.items():
            load = self.load.get(agent, 0)
            if member.role != role or load >= member.capacity or (others and not _is_clear(member.territory, others)):
                continue
            rank = (agent in self.suspects, agent == avoid, load / member.capacity)
            if not best or rank < best_rank:
                best, best_rank = agent, rank
        return best

    def alive(self, agent: str, runs: Iterable[str], now_s: float) -> None:
        if agent in self.suspects and agent in self.role_of:
            self.enter(agent, self.role_of[agent])
        for run in runs:
            if self.agent_of.get(run) == agent:
                self.deadlines[run] = now_s + self.lease_s

    def suspect(self, agent: str) -> None:
        """It let a lease expire: others first, until it is heard again."""
        self.suspects.add(agent)
        self.idle.get(self.role_of.get(agent, ""), {}).pop(agent, None)

    def expired(self, now_s: float) -> list[str]:
        return [run for run, deadline in self.deadlines.items() if deadline <= now_s]


def _is_clear(territory: Territory, others: Iterable[Territory]) -> bool:
    return not any(overlaps(territory, other) for other in others)
