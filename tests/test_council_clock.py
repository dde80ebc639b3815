"""The council's clock goes off once, at its moment or at once when that is past, and not after it was stopped."""

import asyncio

from actors.council.clock import Clock
from actors.decider import Done, Effect, Progress

LONG_S = 3600.0


def test_a_clock_goes_off_once_for_each_council_and_not_for_those_that_were_stopped() -> None:
    async def listen() -> list[Progress | Done]:
        heard: list[Progress | Done] = []
        rung = asyncio.Event()

        def tell(told: Progress | Done) -> None:
            heard.append(told)
            if told.key == "time/last":
                rung.set()

        clock = Clock(lambda: 1000.0)
        await clock.open(tell)
        clock.perform(Effect("time/later", 1000.0 + LONG_S))
        clock.perform(Effect("time/past", 900.0))
        clock.perform(Effect("time/past", 900.0))
        clock.perform(Effect("time/stopped", 1000.0))
        clock.perform(Effect("time/stopped", None))
        clock.perform(Effect("time/nobody", None))
        clock.perform(Effect("time/last", 1000.0))
        await rung.wait()
        clock.perform(Effect("time/closed", 1000.0))
        await clock.close()
        await asyncio.sleep(0)
        return heard

    assert asyncio.run(listen()) == [Done("time/past", None), Done("time/last", None)]
