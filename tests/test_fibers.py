"""Actors without threads: they wait for the log on the loop's own thread while the others go on, and end like any."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pykka
import pytest

from actors.fiber import FiberActor
from bus.bridge import Bridge
from bus.errors import Unavailable


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    bridge = Bridge("fibers")
    yield bridge
    bridge.close()


class Reader(FiberActor):
    """Reads what it is told to from a slow log, and says on which thread."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self.bridge = bridge
        self.read: list[str] = []
        self.failures: list[BaseException] = []
        self.ended = threading.Event()

    def on_receive(self, message: Any) -> Any:
        match message:
            case asyncio.Event():
                self.bridge.run(message.wait())
                self.read.append("waited")
            case BaseException():
                raise message
            case "where":
                return threading.current_thread().name
            case "read":
                return list(self.read)
            case _:
                self.read.append(message)
        return None

    def on_failure(self, *why: Any) -> None:
        self.failures.append(why[1])
        self.bridge.run(asyncio.sleep(0))  # it can still wait for the loop while it ends
        self.ended.set()


def test_all_of_them_live_on_the_loops_thread(bridge: Bridge) -> None:
    assert {Reader.start(bridge).ask("where", timeout=10) for _ in range(3)} == {"fibers"}


def test_one_that_waits_for_the_log_holds_up_its_own_mail_and_nobody_elses(bridge: Bridge) -> None:
    gate = asyncio.Event()
    waiting, other = Reader.start(bridge), Reader.start(bridge)
    for mail in (gate, "behind it"):
        waiting.tell(mail)
    other.tell("at once")
    assert other.ask("read", timeout=10) == ["at once"]
    held = waiting.ask("read", block=False)
    with pytest.raises(pykka.Timeout):
        held.get(timeout=0.1)
    bridge.post(gate.set)
    assert held.get(timeout=10) == ["waited", "behind it"]


def test_mail_from_many_threads_and_from_the_loop_is_heard_once_each_and_in_its_senders_order(bridge: Bridge) -> None:
    reader = Reader.start(bridge)

    def tell(name: str, count: int = 2_000) -> None:
        for number in range(count):
            reader.tell(f"{name} {number}")
            if number % 500 == 0:
                time.sleep(0.001)

    async def from_the_loop() -> None:
        for number in range(20):
            tell(f"loop-{number}", 50)
            await asyncio.sleep(0)

    threads = [threading.Thread(target=tell, args=(f"thread-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    bridge.run(from_the_loop(), timeout_s=60)
    for thread in threads:
        thread.join()
    heard: dict[str, list[int]] = {}
    said: Any
    for said in reader.ask("read", timeout=60) or ():
        name, number = said.split(" ")
        heard.setdefault(name, []).append(int(number))
    assert heard == {
        **{f"thread-{number}": list(range(2_000)) for number in range(4)},
        **{f"loop-{number}": list(range(50)) for number in range(20)},
    }


def test_what_the_log_raises_comes_to_the_actor_and_ends_it_alone(bridge: Bridge, caplog: Any) -> None:
    reader, other = Reader.start(bridge), Reader.start(bridge)
    shell: Any = reader._actor_weakref()
    reader.tell(Unavailable("the log is gone"))
    assert shell.ended.wait(10)
    assert other.ask("where", timeout=10) == "fibers"
    assert [str(each) for each in shell.failures] == ["the log is gone"]
    with pytest.raises(pykka.ActorDeadError):
        reader.tell("more")


def test_whoever_waits_when_the_loop_ends_is_told_so(caplog: Any) -> None:
    bridge = Bridge("short")
    reader = Reader.start(bridge)
    shell: Any = reader._actor_weakref()
    reader.tell(asyncio.Event())
    assert reader.ask("where", block=False)
    bridge.run(asyncio.sleep(0.05))
    bridge.close()
    assert [str(each) for each in shell.failures] == ["the loop ends"]


def test_the_loop_does_not_wait_for_itself(bridge: Bridge) -> None:
    async def ask_itself() -> None:
        bridge.run(asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="would wait for itself"):
        bridge.run(ask_itself(), timeout_s=10)


def test_a_time_limit_holds_in_a_fiber_too(bridge: Bridge, caplog: Any) -> None:
    class Impatient(Reader):
        def on_receive(self, message: Any) -> Any:
            return self.bridge.run(message.wait(), timeout_s=0.01)

    with pytest.raises(TimeoutError):
        Impatient.start(bridge).ask(asyncio.Event(), timeout=10)
