"""The projector follows a log and answers over a real server; nothing a question holds stops it."""

import asyncio
import functools
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import nats
import pytest
from nats.aio.client import Client

from bus.bridge import Bridge
from bus.envelope import Draft
from bus.log import MemoryLog
from projections import asking, intake, projector
from projections.asking import Asking, read_question
from projections.projector import Projection, Snapshot
from projections.statements import NOW, VIEWS
from projections.store import AsOf
from tests.bus_ground import until
from tests.projected_histories import History, facts_of

PATIENCE_S = 30


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    bridge = Bridge("test-loop")
    yield bridge
    bridge.close()


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def live(tmp_path: Path, log: MemoryLog, bridge: Bridge) -> Iterator[Projection]:
    live = Projection(tmp_path / "live.duckdb", log, bridge)
    yield live
    live.close()


def write(bridge: Bridge, log: MemoryLog, history: History, start: int = 0) -> int:
    """Put a history on the log, and say where it ends."""
    drafts = [Draft(record.subject, record.body, "", None) for record in history.records[start:]]
    return bridge.run(log.append(drafts))[-1]


def test_the_projector_follows_from_where_the_file_is(
    tmp_path: Path, log: MemoryLog, bridge: Bridge, live: Projection
) -> None:
    history = History(1).grow(200)
    half = len(history.records) // 2
    first = History()
    first.records = history.records[:half]
    assert live.store.reached(write(bridge, log, first), PATIENCE_S)
    live.close()
    end = write(bridge, log, history, half)
    again = Projection(tmp_path / "live.duckdb", log, bridge)
    assert again.store.position >= half and again.store.reached(end, PATIENCE_S)
    assert again.store.fingerprint() == facts_of(tmp_path / "fresh.duckdb", history)
    again.close()


def test_a_projector_that_dies_is_started_again_and_goes_on(
    tmp_path: Path, log: MemoryLog, bridge: Bridge, live: Projection
) -> None:
    history = History(2).grow(100)
    blocked = tmp_path / "a file"
    blocked.write_text("where a folder should be")
    for _ in range(2):
        assert live.store.reached(write(bridge, log, history), PATIENCE_S)
        ref = live.ref
        ref.tell(Snapshot(blocked / "copies"))
        assert ref.actor_stopped.wait(PATIENCE_S)
    assert live.store.reached(write(bridge, log, history), PATIENCE_S) and live.restarts >= 1


def test_a_log_that_is_shorter_than_the_file_is_another_log(tmp_path: Path, bridge: Bridge) -> None:
    path = tmp_path / "live.duckdb"
    facts_of(path, History(3).grow(100))
    log, history = MemoryLog(), History(4).grow(10)
    end = write(bridge, log, history)
    live = Projection(path, log, bridge)
    live.snapshot(tmp_path / "copies")
    assert live.store.reached(end, PATIENCE_S)
    assert live.store.fingerprint() == facts_of(tmp_path / "fresh.duckdb", history)
    live.close()


@pytest.fixture
def server() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    binary = Path(sys.executable).parent / "nats-server"
    child = subprocess.Popen([binary, "-a", "127.0.0.1", "-p", str(port)], stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None and any("Server is ready" in line for line in child.stderr)
    yield f"nats://127.0.0.1:{port}"
    child.terminate()
    child.communicate(timeout=PATIENCE_S)


Ask = Callable[..., Awaitable[dict[str, Any]]]


Scenario = Callable[[Ask, Client], Awaitable[None]]


def over_nats(url: str, bridge: Bridge, live: Projection, folder: Path, scenario: Scenario) -> None:
    """Open the service on one client, and let the scenario ask through another."""

    async def ask(client: Client, view: str, body: object = b"") -> dict[str, Any]:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        reply = await client.request(f"ask.{view}", payload, timeout=PATIENCE_S)
        assert len(reply.data) < 1_000_000
        said: dict[str, Any] = json.loads(reply.data)
        return said

    async def play() -> None:
        mine, theirs = await nats.connect(url), await nats.connect(url)
        service = Asking(live, folder)
        try:
            await service.open(mine)
            await scenario(functools.partial(ask, theirs), theirs)
            await service.close()
        finally:
            await mine.close()
            await theirs.close()

    bridge.run(play(), 120)


def test_one_question_at_a_time_is_answered_but_a_long_one_holds_nobody_up(
    tmp_path: Path, server: str, log: MemoryLog, bridge: Bridge, live: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert live.store.reached(write(bridge, log, History(8).grow(20)), PATIENCE_S)
    looked_up, let_go, under_way, most = live.store.query, threading.Event(), set[int](), list[int]()

    def query(view: str, *given: Any) -> Any:
        if view == "phases":
            assert let_go.wait(PATIENCE_S)
        under_way.add(threading.get_ident())
        most.append(len(under_way))
        try:
            time.sleep(0.01)
            return looked_up(view, *given)
        finally:
            under_way.remove(threading.get_ident())

    monkeypatch.setattr(live.store, "query", query)

    async def scenario(ask: Ask, client: Client) -> None:
        monkeypatch.setattr(asking, "TURN_S", PATIENCE_S)
        let_go.set()
        await asyncio.gather(*map(ask, VIEWS))
        assert len(most) == len(VIEWS) and max(most) == 1
        let_go.clear()
        monkeypatch.setattr(asking, "TURN_S", 0.01)
        long = asyncio.ensure_future(ask("phases"))
        assert all([(await ask("counts"))["ok"] for _ in range(5)]) and not long.done()
        let_go.set()
        assert (await long)["view"] == "phases"

    over_nats(server, bridge, live, tmp_path / "copies", scenario)


def test_questions_over_the_bus(tmp_path: Path, server: str, log: MemoryLog, bridge: Bridge, live: Projection) -> None:
    history = History(8).grow(120)
    end = write(bridge, log, history)
    assert live.store.reached(end, PATIENCE_S)

    async def scenario(ask: Ask, client: Client) -> None:
        for view in VIEWS:
            said = await ask(view)
            assert (said["ok"], said["view"], said["seq"]) == (True, view, end), said
            assert all(len(row) == len(said["columns"]) for row in said["rows"])
        one = await ask("tasks", {"params": {"id": "task-1"}, "limit": 5})
        assert [row[0] for row in one["rows"]] == ["task-1"] and one["columns"][0] == {"name": "id", "type": "VARCHAR"}
        assert (await ask("tasks", {"as_of": 3}))["seq"] == 3
        known = await ask("views")
        assert {view["view"] for view in known["views"]} == set(VIEWS)
        copy = await ask("snapshot")
        assert copy["seq"] == end and copy["path"].startswith(str(tmp_path))
        answers = await asyncio.gather(*(ask("counts") for _ in range(50)))
        assert all(said["ok"] for said in answers)
        ping = await client.request("$SRV.PING.witan", b"", timeout=PATIENCE_S)
        assert json.loads(ping.data)["name"] == "witan"

    over_nats(server, bridge, live, tmp_path / "copies", scenario)


BAD = [
    b"{",
    b"\xff",
    b"null",
    b"[]",
    b"7",
    b'{"params": []}',
    b'{"params": {"colour": 1}}',
    b'{"params": {"id": {"$gt": ""}}}',
    b'{"params": {"priority": "many"}}',
    b'{"limit": -1}',
    b'{"limit": "all"}',
    b'{"limit": 99999999999999999999}',
    b'{"as_of": "yesterday"}',
    b'{"as_of": 999999999}',
    b'{"as_of": -1}',
    b'{"as_of": 1.5}',
    b'{"sql": "SELECT 1"}',
    b'{"params": {"id": ' + b"[" * 20_000 + b"]" * 20_000 + b"}}",
    b'{"x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    b'{"params": {"id": "' + b"x" * 70_000 + b'"}}',
    b" " * 900_000,
]


def test_bad_questions_get_a_refusal_that_says_what_to_do(
    tmp_path: Path, server: str, log: MemoryLog, bridge: Bridge, live: Projection
) -> None:
    assert live.store.reached(write(bridge, log, History(8).grow(20)), PATIENCE_S)

    async def scenario(ask: Ask, client: Client) -> None:
        for body in BAD:
            said = await ask("tasks", body)
            assert said["ok"] is False and said["code"] in ("invalid", "missing") and said["hint"], (body[:60], said)
        assert (await ask("tasks"))["ok"]

    over_nats(server, bridge, live, tmp_path / "copies", scenario)


def test_an_answer_that_is_too_large_says_that_it_is_cut(
    tmp_path: Path, server: str, log: MemoryLog, bridge: Bridge, live: Projection
) -> None:
    history = History()
    for i in range(100):
        history.submit(f"{i}-" + "x" * 50)
        history.commit(f"evt.odd.{i}", *[], flow="y" * 20_000)
    assert live.store.reached(write(bridge, log, history), PATIENCE_S)

    async def scenario(ask: Ask, client: Client) -> None:
        said = await ask("activity", {"limit": 10_000})
        assert said["ok"] and said["truncated"] and 10 < len(said["rows"]) < 300

    over_nats(server, bridge, live, tmp_path / "copies", scenario)


def test_an_empty_question_asks_for_everything() -> None:
    assert read_question(b"").params == {} and read_question(b'{"limit": 3}').params == {"limit": 3}


@pytest.mark.parametrize(("limit", "most"), [("projector.TAIL", 50), ("store.TAIL_BYTES", 10_000)])
def test_a_long_tail_is_folded_at_once(
    log: MemoryLog, bridge: Bridge, live: Projection, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    monkeypatch.setattr(f"projections.{limit}", most)
    monkeypatch.setattr(projector, "FOLD_S", 3600.0)
    end = write(bridge, log, History(5).grow(200))
    assert live.store.reached(end, PATIENCE_S)
    live.ref.ask("anything", timeout=PATIENCE_S)  # what came before it is done
    assert live.store.folded > end - 50


def test_the_first_facts_after_a_quiet_time_are_folded_soon_and_those_behind_them_later(
    log: MemoryLog, bridge: Bridge, live: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "FOLD_SOON_S", 0.01)
    monkeypatch.setattr(projector, "FOLD_S", 3600.0)
    live.ref.proxy().folded_s = -3600.0
    records = History(5).grow(60).records
    drafts = [Draft(record.subject, record.body, "", None) for record in records]
    first = bridge.run(log.append(drafts[:30]))[-1]
    bridge.run(until(lambda: live.store.folded == first))
    last = bridge.run(log.append(drafts[30:]))[-1]
    assert live.store.reached(last, PATIENCE_S)
    live.ref.ask("anything", timeout=PATIENCE_S)
    assert live.store.folded == first


def test_what_nobody_asks_about_waits_and_a_question_does_not_miss_it(
    tmp_path: Path, server: str, log: MemoryLog, bridge: Bridge, live: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "LATE_S", 3600.0)
    monkeypatch.setattr(intake, "ASKED_S", 0.0)
    history = History(6).grow(100)

    async def scenario(ask: Ask, client: Client) -> None:
        end = 0
        for upto in (50, len(history.records)):
            drafts = [Draft(record.subject, record.body, "", None) for record in history.records[end:upto]]
            end = (await log.append(drafts))[-1]
            await asyncio.sleep(2 * intake.STALE_S)
            assert live.store.position < end
            answers = await asyncio.gather(*(ask("counts") for _ in range(20)))
            assert {said["seq"] for said in answers} == {end}

    over_nats(server, bridge, live, tmp_path / "copies", scenario)


def test_much_is_taken_in_without_a_question(
    log: MemoryLog, bridge: Bridge, live: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "LATE_S", 3600.0)
    monkeypatch.setattr(intake, "MUCH", 50)
    end = write(bridge, log, History(6).grow(100))
    assert live.store.reached(end - 49, PATIENCE_S)


def test_a_question_is_answered_though_nobody_takes_in(
    tmp_path: Path, server: str, log: MemoryLog, bridge: Bridge, live: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "PATIENCE_S", 0.05)
    released = threading.Event()
    monkeypatch.setattr(live.store, "take", lambda batch: released.wait(PATIENCE_S))
    write(bridge, log, History(6).grow(10))

    async def scenario(ask: Ask, client: Client) -> None:
        await asyncio.sleep(2 * intake.STALE_S)
        said = await ask("counts")
        assert said["ok"] and said["seq"] == 0
        released.set()

    over_nats(server, bridge, live, tmp_path / "copies", scenario)


def test_a_file_that_a_question_broke_is_opened_again(
    tmp_path: Path, server: str, log: MemoryLog, bridge: Bridge, live: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of DuckDB's own ends all use of a file in this process; a question that meets it is asked again."""
    end = write(bridge, log, History(6).grow(10))
    assert live.store.reached(end, PATIENCE_S)
    whole, broken = live.store.reading, threading.Event()

    def reading(as_of: AsOf, tail: str = NOW) -> Any:
        if live.restarts:
            return whole(as_of, tail)
        broken.set()
        raise duckdb.FatalException("FATAL Error: Failed: database has been invalidated because of a previous error")

    async def scenario(ask: Ask, client: Client) -> None:
        monkeypatch.setattr(live.store, "reading", reading)
        monkeypatch.setattr(asking, "AGAIN_S", (0.0,))
        said = await ask("counts")
        assert (said["ok"], said["code"], said["hint"]) == (False, "unavailable", "Ask again in a moment.")
        monkeypatch.setattr(asking, "AGAIN_S", (0.0, 0.02) + (0.1,) * 100)
        said = await ask("counts")
        assert broken.is_set() and said["ok"] and said["seq"] == end and live.restarts

    over_nats(server, bridge, live, tmp_path / "copies", scenario)
