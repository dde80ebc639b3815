"""Sixty-four callers, every fault and kills of the daemon: not a millionth over a cap, on the log or on the bill."""

import asyncio
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from actors.treasurer.asking import Prompt, ProviderFailed, Text, Turn
from actors.treasurer.prices import Prices
from actors.treasurer.providers.chat_presets import PRESETS
from actors.treasurer.providers.ollama import Ollama
from actors.treasurer.providers.openai import OpenAI
from bus.commands import request
from bus.envelope import Commit, Record, encode
from bus.jetstream import JetStreamLog
from bus.log import replay
from bus.messages import budget, call
from bus.messages.call import Usage
from bus.messages.kinds import read_commit
from tests.money_ground import MODEL, Free, Paid, charged, over_a_cap
from tests.test_faults import ROOT, Daemon

CALLERS = 64
KEY = "sk-money-5f2e9c71d0a84b63"
MICRO = 1_000_000
IMPATIENT = (
    "from actors.treasurer import buying, health; from cli.main import main; "
    "buying.CALL_MAX_S = 0.7; health.REST_FIRST_S = 0.2; health.REST_MAX_S = 1.0; main()"
)
"""A daemon that waits for a silent provider no longer than a test can, and for one that fails not much longer."""


class Spender(Daemon):
    """A daemon whose agents are many and whose providers are these two."""

    def __init__(self, folder: Path, free: Free, paid: Paid, daily_usd: float) -> None:
        super().__init__(folder, CALLERS)
        self.free, self.paid = free, paid
        told = {"pipelines": CALLERS, "agent_capacity": CALLERS, "daily_usd": daily_usd, "task_usd": daily_usd / 8}
        told |= {"monthly_usd": daily_usd * 1.5, "lease_s": 30.0}
        lines = [f"{name} = {value}" for name, value in told.items()]
        (folder / "witan.toml").write_text("\n".join([*lines, 'workflow = "direct"', 'log_level = "error"', ""]))

    def _launch(self) -> None:
        (self.folder / ".witan" / "daemon.json").unlink(missing_ok=True)
        kept = {name: value for name, value in os.environ.items() if name in ("LANG", "TMPDIR", "VIRTUAL_ENV")}
        own = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{self.paid.url}/v1", "OLLAMA_HOST": self.free.url}
        environment = {**kept, **own, "PYTHONPATH": str(ROOT), "HOME": str(self.folder), "PATH": "/usr/bin:/bin"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", IMPATIENT, "up"], cwd=self.folder, env=environment, stderr=self.said
        )

    async def submit(self, number: int) -> None:
        async with self.connected() as connection:
            body = json.dumps({"task": f"TASK-{number:04d}: count up", "workflow": "direct"}).encode()
            await request(connection, "orchestrator", "submit_task", body, f"task-{number}", timeout_s=20)

    async def records(self) -> list[Record]:
        async with self.connected() as connection:
            return [record async for batch in replay(JetStreamLog(connection)) for record in batch]


async def _spent(folder: Path, daily_usd: float, kills: int, seed: int) -> tuple[list[Record], Paid]:
    """Kills while the money goes, and then peace until no more of it can be spent."""
    dice, cap = random.Random(seed), int(daily_usd * MICRO)
    with Free(seed) as free, Paid(seed + 1) as paid:
        spender = Spender(folder, free, paid, daily_usd)
        await spender.start()
        try:
            for number in range(CALLERS * 3 // 2):
                await spender.submit(number)
            for _ in range(kills):
                await spender.grown_by(dice.randrange(20, 200))
                spender.kill()
                await spender.start()
            for _ in range(600):
                records = await spender.records()
                spent, reserved = charged(records)
                if spent >= cap * 0.95 and not reserved:
                    break
                await asyncio.sleep(0.2)
            return records, paid
        finally:
            spender.stop()


def _shown(folder: Path, daily_usd: float, kills: int, seed: int) -> None:
    records, paid = asyncio.run(_spent(folder, daily_usd, kills, seed))
    cap = int(daily_usd * MICRO)
    spent, reserved = charged(records)
    events = [event for record in records for event in read_commit(record).events]
    parked = sum(isinstance(event, call.CallParked) and event.why == "budget" for event in events)
    unknown = sum(isinstance(event, budget.FundsSettled) and event.unknown for event in events)
    print(
        f"cap {cap}, charged {spent} ({spent / cap:.1%}), reserved {reserved}, billed {paid.bill_micro}; "
        f"{len(paid.billed)} paid calls, {parked} parked, {unknown} unknown, {dict(paid.outcomes)}"
    )
    assert over_a_cap(records) == []
    assert paid.bill_micro <= spent + reserved <= cap
    assert max(paid.by_task().values()) <= cap // 8
    assert spent >= cap * 0.95
    assert parked and unknown


def test_parallel_callers_with_faults_and_kills_spend_the_cap_and_no_more(tmp_path: Path) -> None:
    _shown(tmp_path, 4.0, 2, 1)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", range(3))
def test_the_same_with_more_money_and_more_kills(tmp_path: Path, seed: int) -> None:
    _shown(tmp_path, 30.0, 25, seed)


class Naive:
    """A budget as it is often written: look whether there is money left, ask, and add what it cost."""

    def __init__(self, cap: int, free: Ollama, paid: OpenAI) -> None:
        self.cap, self.free, self.paid, self.prices = cap, free, paid, Prices()
        self.spent = 0

    async def caller(self, number: int) -> None:
        prompt = Prompt(
            model="qwen3:8b",
            system="You count.",
            turns=(Turn("user", (Text(f"TASK-{number:04d}: count up " * 200),)),),
            tools=(),
            output_max_tokens=8192,
            context_max_tokens=32_000,
        )
        while self.spent < self.cap:
            try:
                await self.free.ask(prompt, lambda _: None, 0.7)
                continue
            except ProviderFailed:
                pass
            if self.spent < self.cap:
                try:
                    reply = await self.paid.ask(prompt._replace(model=MODEL), lambda _: None, 0.7)
                    self.spent += self.prices.micro_of("openai", MODEL, reply.usage) or 0
                except ProviderFailed as failed:
                    self.spent += self.prices.micro_of("openai", MODEL, failed.usage or Usage()) or 0


def test_a_budget_that_checks_and_then_adds_overspends_under_the_same_load() -> None:
    async def load(free: Free, paid: Paid, cap: int) -> int:
        environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{paid.url}/v1", "OLLAMA_HOST": free.url}
        naive = Naive(cap, Ollama(environ), OpenAI(PRESETS["openai"], environ))
        await asyncio.gather(*(naive.caller(number) for number in range(CALLERS)))
        await naive.free.close()
        await naive.paid.close()
        return naive.spent

    with Free(1) as free, Paid(2) as paid:
        cap = 4 * MICRO
        spent = asyncio.run(load(free, paid, cap))
        print(f"check, then add: cap {cap}, counted {spent}, billed {paid.bill_micro}")
        assert paid.bill_micro > cap and spent > cap


def test_spending_over_any_cap_is_found() -> None:
    for day, month, task in ((10, 99, 99), (99, 10, 99), (99, 99, 10)):
        revised = budget.CapsRevised(day=day, month=month, task=task, council=0)
        first = budget.FundsReserved(reservation="a", task="t", model="m", role="r", micro=8, at_day="2026-11-21")
        settled = budget.FundsSettled(reservation="a", micro=7)
        second = budget.FundsReserved(reservation="b", task="t", model="m", role="r", micro=4, at_day="2026-11-21")
        told = enumerate((revised, first, settled, second), 1)
        bodies = [encode(Commit(f"c{number}", "", "x", "x", "", number, "", [event])) for number, event in told]
        records = [Record("evt.budget.main", seq, body) for seq, body in enumerate(bodies, 1)]
        assert over_a_cap(records[:3]) == [] and len(over_a_cap(records)) == 1
