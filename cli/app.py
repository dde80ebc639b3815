"""The composition root: one object that holds all of Witan, opened and closed by the daemon, a test or a benchmark."""

import asyncio
import gc
import os
import sys
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from pykka import ActorRef

import actors
from actors.agent.decide import Agents
from actors.agent.mind import MODELS, Script, read_script
from actors.agent.team import Team
from actors.decider import Decider
from actors.executor.commands import Commands, Limits
from actors.executor.decide import Executor
from actors.executor.deploying import read_environments
from actors.executor.hands import Hands
from actors.executor.overseeing import Oversight
from actors.guardian.decide import Guardian
from actors.kept import Keep
from actors.librarian.decide import Librarian
from actors.orchestrator import reviewing
from actors.orchestrator.decide import Orchestrator
from actors.orchestrator.rules import read_rules
from actors.orchestrator.workflow import Workflow
from actors.outbox import Wires
from actors.redaction import Redactor
from actors.secrets import secrets_of
from actors.supervisor import Supervisor
from actors.treasurer.budget import Caps
from actors.treasurer.buying import Buyer
from actors.treasurer.decide import Treasurer
from actors.treasurer.minds import Minds
from actors.treasurer.presets import read_presets
from actors.treasurer.prices import read_prices
from actors.treasurer.providers.all import providers
from actors.treasurer.purse import micro_of
from actors.treasurer.thinking import Thinking
from bus import topology
from bus.blobs import Blobs
from bus.commands import answer_strangers, sweep
from bus.connection import Connection, connect
from bus.errors import Refused
from bus.jetstream import JetStreamLog
from cli.config import Settings
from cli.convened import new_council, rules_of
from cli.head_start import HeadStart
from cli.shelf import read_shelf, shelves
from projections.apart import Where

OWN_THREADS = 8
"""Up to so many agents have an actor of their own."""
SHARED_THREADS = 1
"""More of them share so many actors: all threads take turns at one lock, and 512 of them were 4 times slower."""
FILES = Path(actors.__file__).parent


class App:
    """Everything that runs in one process."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        projections: bool = True,
        begun: HeadStart | None = None,
    ) -> None:
        self.settings, self._clock, self._with_projections = settings, clock, projections
        self._begun = begun or HeadStart(settings, projections)
        self.bridge, self.server = self._begun.bridge, self._begun.server
        self._redactor = Redactor(secrets_of(os.environ))
        self.connection: Connection
        self.log: JetStreamLog
        self.blobs: Blobs
        self.supervisor: ActorRef[Supervisor] | None = None
        self._ready = asyncio.Event()

    @property
    def url(self) -> str:
        return self.server.url if self.server else self.settings.nats_url

    @property
    def public_url(self) -> str:
        return self.server.public_url if self.server else self.settings.nats_url.rsplit("@", 1)[-1]

    @property
    def tables_pid(self) -> int:
        """The process that keeps the tables; 0 when there is none."""
        return self._begun.tables_pid

    def open(self) -> "App":
        """Server, streams, actors, projections; ready when this returns."""
        gc.set_threshold(50_000, 20, 50)  # what lives here lives long: looking for rubbish less often costs little
        try:
            deciders = self._deciders()
            self.bridge.run(self._connect())
            keep = Keep(self.settings.state_dir / "kept")
            wires = Wires(self.bridge, self.connection, self.log, self.blobs, self._clock, keep)
            self.supervisor = Supervisor.start(wires)
            begun = self.supervisor.proxy().begin(deciders)
            if self._with_projections:
                self.bridge.run(self._open_tables())
            begun.get(timeout=60)
            self.bridge.post(self._ready.set)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Actors first, then what they stand on."""
        if self.supervisor is not None and self.supervisor.is_alive():
            self.supervisor.proxy().end().get(timeout=60)
            self.supervisor.stop(block=True, timeout=10)
        self.bridge.run(self._disconnect())
        self._begun.close()

    async def _open_tables(self) -> None:
        tables = await self._begun.tables()
        await tables.open(Where(self.url, self.server.teller_url if self.server else self.url))

    async def _connect(self) -> None:
        await self._begun.served()
        self.connection = await connect(self.url, "witan")
        await self._refuse_unless_alone()
        await topology.ensure(self.connection)
        self.log = JetStreamLog(self.connection, staging=self.server.staging if self.server else None)
        self.blobs = Blobs(self.connection)
        await answer_strangers(self.connection)
        await sweep(self.connection)

    async def _refuse_unless_alone(self) -> None:
        """Two orchestrators on one log would take each other's commands; the log's guards would stop both."""
        reply = await self.connection.request("$SRV.PING.witan", timeout_s=2)
        if reply.status != "503":
            where = self.public_url
            raise Refused(f"another Witan works on {where} already", "Talk to it with --nats, or use another server.")

    async def _disconnect(self) -> None:
        if connection := getattr(self, "connection", None):
            await connection.close()

    def _deciders(self) -> list[Decider]:
        settings = self.settings
        script = read_script(_script_path(settings.script)) if settings.script else MODELS
        shelf = read_shelf(settings)
        workflows = {name: found.what for name, found in shelf.workflows.items()}
        roles = {name: found.what for name, found in shelf.roles.items()}
        playbooks = {name: found.what for name, found in shelf.playbooks.items()}
        team = Team(roles, playbooks, settings.territories)
        _refuse_unless_staffed(workflows, roles, settings)
        council = rules_of(settings, script)
        deciders: list[Decider] = [
            Guardian(settings.freeze_answer_s),
            Orchestrator(
                workflows,
                settings.lease_s,
                settings.pipelines,
                settings.council_after_retries if council.enabled else None,
                rules=read_rules(*shelves(settings)),
                reviews=script.is_models or script.plays(reviewing.PHASE),
                roles=roles,
            ),
            self._treasurer(script, team),
            Executor(team, self._hands(), partial(reviewing.produced, workflows)),
            Librarian(list(playbooks.values())),
            new_council(council, team, workflows, self._clock),
        ]
        return deciders + _hosts(settings, script, team)

    def _treasurer(self, script: Script, team: Team) -> Treasurer:
        settings, folders = self.settings, shelves(self.settings)
        usd = (settings.daily_usd, settings.monthly_usd, settings.task_usd, settings.council_usd)
        caps = Caps(*map(micro_of, usd))
        if not script.is_models:
            return Treasurer(script, Minds(None, self._publish), caps=caps)
        prices = read_prices(folder / "prices.toml" for folder in folders)
        buyer = Buyer(prices, read_presets(*folders), self._redactor)
        thinking = Thinking(buyer, team, read_rules(*folders).weights, self._redactor)
        minds = Minds(partial(providers, os.environ), self._publish, self._redactor, self._ready.wait)
        return Treasurer(script, minds, thinking, caps)

    def _hands(self) -> Hands:
        settings = self.settings
        limits = Limits(
            settings.exec_warn_s,
            settings.exec_kill_s,
            settings.exec_cap_s,
            settings.exec_cap_s if settings.script else settings.exec_background_s,  # a script cannot say `wait`
            settings.exec_output_kb * 1024,
            settings.exec_memory_mb * 1024**2,
        )
        toolchains = [sys.prefix, sys.base_prefix, *settings.exec_readable]
        commands = Commands(settings.state_dir / "execs", list(dict.fromkeys(toolchains)), limits, self._begun.sandbox)
        environments = read_environments(*(folder / "environments.toml" for folder in shelves(settings)))
        oversight = Oversight(lambda: self.log, lambda: self.connection)
        return Hands(settings.state_dir, commands, environments, self._publish, self._redactor, oversight=oversight)

    def _publish(self, subject: str, body: bytes) -> None:
        if self.connection.connected:
            self.connection.murmur(subject.encode(), body)


def _hosts(settings: Settings, script: Script, team: Team) -> list[Decider]:
    """One actor for each agent, or, for many agents, a few actors that share them out."""
    counts, capacity = settings.agents, settings.agent_capacity
    roles = {f"{role}-{number:02d}": role for role, count in counts.items() for number in range(1, count + 1)}
    if len(roles) <= OWN_THREADS:
        return [Agents(name, {name: role}, capacity, script, team) for name, role in roles.items()]
    names = list(roles)
    shares = [names[start::SHARED_THREADS] for start in range(SHARED_THREADS)]
    return [
        Agents(f"agents-{number}", {name: roles[name] for name in share}, capacity, script, team)
        for number, share in enumerate(shares, 1)
    ]


def _script_path(script: str) -> Path:
    own = FILES / "scripts" / f"{script}.toml"
    return own if own.exists() else Path(script)


def _refuse_unless_staffed(workflows: dict[str, Workflow], roles: Collection[str], settings: Settings) -> None:
    for role in settings.agents:
        if role not in roles:
            known = ", ".join(sorted(roles))
            raise Refused(
                f"`agents.{role}` is set, and there is no role {role!r}",
                f"Add `witan/roles/{role}.toml`, or take it out of witan.toml. The roles are: {known}.",
            )
    if settings.workflow not in workflows:
        raise Refused(
            f"there is no workflow {settings.workflow!r}", f"The workflows are: {', '.join(sorted(workflows))}."
        )
    for phase in workflows[settings.workflow].phases:
        if not settings.agents.get(phase.role):
            raise Refused(
                f"workflow {settings.workflow!r} needs a {phase.role}, and there is none",
                f"Set `agents.{phase.role} = 1` in witan.toml.",
            )
