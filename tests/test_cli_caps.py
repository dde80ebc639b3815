"""What a person who sets caps is told of what is gone already."""

import time
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from bus.days import day_of
from bus.messages import budget
from tests.bus_ground import in_force
from tests.test_cli_runs import House, in_a_house


def test_who_sets_a_cap_below_what_is_spent_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def story(house: House) -> None:
        async def heard(message: Msg) -> None:
            await message.respond(b'{"ok":true}')

        caps = budget.CapsRevised(day=2_000_000, month=20_000_000, task=500_000, council=1_000_000)
        today = day_of(time.time())
        await house.say("evt.budget.main", caps, budget.FundsReserved("r", "a", "p/ant", "coder", 300_000, today))
        await house.client.subscribe("cmd.treasurer.*", cb=heard)
        await in_force(house.client)
        await house.asked(tmp_path)
        low = await house.type("budget", "set", "--daily", "0.10", "--monthly", "5")
        assert low.exit_code == 0 and "nothing more is paid" in low.stderr and "month" not in low.stderr
        assert "paid" not in (await house.type("budget", "set", "--daily", "5")).stderr

    in_a_house(tmp_path, story)
