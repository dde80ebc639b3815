"""The tables say what the log says: rows for events, at every prefix, after every kill, at every past place."""

import datetime
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from bus.errors import Invalid, Missing, Unavailable
from bus.messages import guardian, slots, task
from bus.messages.base import Excerpt
from bus.messages.exec import EndedBy
from bus.messages.kinds import EVENTS_OF
from projections.statements import VIEWS
from projections.store import Store
from tests.projected_councils import Chamber
from tests.projected_histories import START, History, rows
from tests.projected_stores import new_store

ROOT = Path(__file__).parent.parent


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = new_store(tmp_path / "live.duckdb")
    yield store
    store.close()


def one(store: Store, view: str, as_of: int | str | None = None, **params: Any) -> dict[str, Any]:
    (row,) = rows(store, view, as_of, **params)
    return row


@pytest.fixture
def running() -> History:
    history = History()
    history.submit("a", priority=2)
    history.commit("evt.slots.main", slots.PipelineAdmitted("a"), flow="a")
    history.task("a", task.PipelineStarted())
    history.start_phase("a")
    history.finish_phase("a")
    history.start_phase("a", "agent-2")
    return history


def test_a_running_task_says_where_it_is(store: Store, running: History) -> None:
    store.take(running.records)
    row = one(store, "tasks", id="a")
    assert (row["status"], row["phase"], row["agent"], row["run"]) == ("running", "design", "agent-2", "a-2")
    assert (row["text"], row["workflow"], row["priority"], row["progress"]) == ("build a", "tiered", 2, "1/3")
    assert row["created"] == START + datetime.timedelta(seconds=2)


def test_a_paused_task_says_why_and_a_resumed_one_waits_for_its_slot(store: Store, running: History) -> None:
    running.task("a", task.PipelinePaused("order-1", "look first"))
    store.take(running.records)
    assert (one(store, "tasks")["status"], one(store, "tasks")["reason"]) == ("paused", "look first")
    running.task("a", task.PipelineResumed("order-2"))
    store.take(running.records)
    assert (one(store, "tasks")["status"], one(store, "tasks")["reason"]) == ("pending", None)


@pytest.mark.parametrize("fold", [False, True])
def test_a_reset_of_a_running_task_leaves_it_running_and_of_a_failed_one_makes_it_pending(
    store: Store, running: History, fold: bool
) -> None:
    for event, status in (
        (task.TaskReset(), "running"),
        (task.TaskFailed("no"), "failed"),
        (task.TaskReset(), "pending"),
    ):
        running.task("a", event)
        store.take(running.records)
        if fold:
            store.fold()
        assert one(store, "tasks")["status"] == status
    assert one(store, "tasks")["ended"] is None


def test_phases_say_who_did_them_and_how_long_it_took(store: Store, running: History) -> None:
    store.take(running.records)
    research, design = rows(store, "phases", task="a")
    assert (research["status"], research["agent"], research["attempts"], research["seconds"]) == (
        "completed",
        "agent-1",
        1,
        3,
    )
    assert (design["status"], design["run"], design["ended"]) == ("running", "a-2", None)


def test_pipelines_show_their_steps_the_slots_and_the_queue(store: Store, running: History) -> None:
    running.submit("b")
    running.submit("c", priority=1)
    store.take(running.records)
    a, c, b = rows(store, "pipelines")
    assert (a["id"], a["steps"]) == ("a", "research:completed design:running implement:waiting")
    assert [(row["id"], row["queue_place"]) for row in (a, c, b)] == [("a", None), ("c", 1), ("b", 2)]
    assert (a["slots_used"], a["slots"], a["frozen"]) == (1, 2, False)


def test_who_queued_before_the_fold_and_was_submitted_after_it_keeps_the_place(store: Store, running: History) -> None:
    running.submit("b")
    queued = len(running.records) - 1
    running.submit("c")
    store.take(running.records[:queued])
    store.fold()
    assert [row["id"] for row in rows(store, "tasks")] == ["a"]
    store.take(running.records)
    for _ in range(2):
        assert [(row["id"], row["queue_place"]) for row in rows(store, "pipelines")] == [
            ("a", None),
            ("b", 1),
            ("c", 2),
        ]
        store.fold()


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_an_answer_is_the_same_with_a_tail_without_one_and_at_the_place_itself(store: Store, view: str) -> None:
    records = Chamber(17).grow(4).history.grow(150).records
    store.take(records[:70])
    store.fold()
    store.take(records)
    with_tail, then = store.query(view), store.query(view, as_of=len(records))
    assert store.folded < len(records)
    store.fold()
    assert with_tail == then == store.query(view)
    assert with_tail.at and (with_tail.rows or view == "mix"), "nobody in these histories asks two kinds of models"


def test_slots_and_a_freeze_are_remembered_by_the_fold(store: Store, running: History) -> None:
    running.commit("evt.slots.main", slots.SlotsResized(5), slots.WorkFrozen("f"))
    store.take(running.records)
    store.fold()
    running.submit("b")
    store.take(running.records)
    assert {(row["slots"], row["frozen"]) for row in rows(store, "pipelines")} == {(5, True)}
    running.commit("evt.slots.main", slots.WorkThawed("f"))
    store.take(running.records)
    store.fold()
    assert {(row["slots"], row["frozen"]) for row in rows(store, "pipelines")} == {(5, False)}


def test_agents_say_what_they_are_busy_with(store: Store, running: History) -> None:
    store.take(running.records)
    first, second = rows(store, "agents")
    assert (first["agent"], first["busy_with"], first["finished"]) == ("agent-1", [], 1)
    assert (second["agent"], second["busy_with"], second["finished"]) == ("agent-2", ["a/design"], 0)


def test_artifacts_are_listed_with_their_phase(store: Store, running: History) -> None:
    store.take(running.records)
    row = one(store, "artifacts", task="a")
    assert (row["phase"], row["name"], row["bytes"], row["run"]) == ("research", "research.md", 12, "a-1")


def test_an_order_waits_until_it_is_applied_and_a_freeze_names_who_is_missing(store: Store, running: History) -> None:
    running.commit("evt.guardian.order-1", guardian.PauseOrdered("a", "look"), by="guardian")
    store.take(running.records)
    assert one(store, "guardian")["state"] == "waiting"
    running.task("a", task.PipelinePaused("order-1", "look"))
    running.commit("evt.guardian.main", guardian.FreezeOrdered("f", ["orchestrator", "treasurer"]), by="guardian")
    running.commit("evt.slots.main", slots.WorkFrozen("f"))
    running.commit("evt.guardian.main", guardian.FreezeAcknowledged("f", "orchestrator"), by="guardian")
    store.take(running.records)
    assert one(store, "guardian", order_id="order-1")["state"] == "applied"
    freeze = one(store, "guardian", what="freeze")
    assert (freeze["state"], freeze["acknowledged"], freeze["missing"]) == (
        "unacknowledged",
        ["orchestrator"],
        ["treasurer"],
    )


def test_activity_has_a_readable_line_for_every_event(store: Store) -> None:
    store.take(History(7).grow(80).records)
    lines = rows(store, "activity", limit=1000)
    assert lines and all(row["line"] for row in lines)
    assert [row["seq"] for row in lines] == sorted((row["seq"] for row in lines), reverse=True)


def test_the_log_view_adds_up(store: Store) -> None:
    history = History(7).grow(80)
    store.take(history.records)
    total, *parts = rows(store, "log", limit=1000)
    assert total["commits"] == len(history.records) == sum(row["commits"] for row in parts)
    assert total["events"] == sum(row["events"] for row in parts)


def test_every_default_of_an_event_is_a_value_in_its_row(store: Store) -> None:
    history, wanted = History(), []
    names = {"limit": "slots"}
    for kind, union in EVENTS_OF.items():
        for type in get_args(union):
            fields = msgspec.structs.fields(type)
            needed = {one.name: _some(one.type) for one in fields if one.required}
            history.commit(f"evt.{kind}.x", type(**needed))
            wanted.append(
                {names.get(one.name, one.name): one.default for one in fields if one.type in (int, str, float, bool)}
            )
    store.take(history.records)
    with store.reading(None) as (cursor, _):
        found = cursor.execute("SELECT * FROM events ORDER BY seq").fetchall()
        heads = [head[0] for head in cursor.description or []]
    columns = {*heads} - {"text"}
    for row, defaults in zip(found, wanted, strict=True):
        facts = dict(zip(heads, row, strict=True))
        told = {name: value for name, value in defaults.items() if value is not msgspec.NODEFAULT and name in columns}
        assert {name: facts[name] for name in told} == told, facts["type"]


def _some(type: Any) -> Any:
    plain = {str: "x", int: 1, float: 1.0, bool: True, list[str]: ["x"], Excerpt: Excerpt("x")}
    return plain.get(type, "exit" if type is EndedBy else {})


MALFORMED = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe\x00",
    b'{"id":"x","events":{"type":"TaskSubmitted"}}',
    b'{"id":"x","events":[]}',
    b'{"id":"x","events":[1,"two",null,[]]}',
    b'{"id":"x","events":[{"type":7}]}',
    b'{"id":"x","at":"never","v":-1,"events":[{"type":"TaskSubmitted","phases":{"a":1},"priority":"high"}]}',
    b'{"id":"x","v":1e400,"events":[{"type":"TaskCompleted"}]}',
    b'{"id":"x","events":[{"type":"N\\u0000L","phase":"\\u0000"}]}',
    b'{"id":"x","events":[{"type":"\\ud800"}]}',
    b'{"id":"x","id":"y","events":[{"type":"A"}],"events":[{"type":"B"}]}',
    b'{"id":"x","events":[{"type":"RunFinished","artifacts":[1,{"name":{}},null]}]}',
    b'{"id":"x","events":[{"type":"ToolRequested","call":"x","tool":"run","input":"\\ud800"}]}',
    b'{"id":"x","events":[{"type":"ExecEnded","call":"x","ms":"long","exit":{},"read":{},"tests":[]}]}',
    b'{"id":"x","events":[{"type":"StepEnded","call":"\\ud800","loop":[]},{"type":"ChecklistItemDone","item":1e99}]}',
    b'{"id":"x","events":[{"type":"ChecklistExtended","items":{"a":[1]}},{"type":"WorkspaceOpened","repo":["x"]}]}',
    b"[" * 30_000 + b"]" * 30_000,
    b'{"id":"x","events":[{"type":"Z","a":' + b"[" * 30_000 + b"]" * 30_000 + b"}]}",
    b'{"id":"x","events":[{"type":"' + b"T" * 60_000 + b'"}]}',
]


@pytest.mark.parametrize(
    "subject",
    [
        *("evt.task.odd", "evt.run.agent-1.odd", "evt.step.agent-1.odd", "evt.exec.agent-1.odd", "evt.workspace.odd"),
        *("evt.slots.main", "evt.a.b.c.d", "x", ""),
    ],
)
def test_what_cannot_be_read_is_shown_and_stops_nobody(store: Store, running: History, subject: str) -> None:
    places = [running.raw(subject, body).seq for body in MALFORMED]
    running.submit("after")
    store.take(running.records[:20])
    store.take(running.records[20:])
    store.fold()
    assert one(store, "tasks", id="after")["status"] == "pending"
    with store.reading(None) as (cursor, _):
        seen = {row[0] for row in cursor.execute("SELECT DISTINCT seq FROM events").fetchall()}
    assert seen >= set(places)
    assert len(rows(store, "activity", type="Unreadable")) >= 9
    for view in VIEWS:
        store.query(view)


def test_an_event_that_is_not_ours_keeps_its_type_and_what_fits(store: Store, running: History) -> None:
    for at, event in (
        ("2026-11-20T13:00:00+01:00", b'{"type":"Weighed","task":"a","limit":7}'),
        ("2026-11-20 12:00:00", b'{"type":"Weighed","limit":"seven"}'),
        ("never", b'{"type":"PhaseRequested","attempt":"often","phase":"x"}'),
        (None, b'{"type":"PhaseRequested","phase":"x"}'),
    ):
        running.raw("evt.scale.one", b'{"id":"x","at":%s,"events":[%s]}' % (msgspec.json.encode(at), event))
    store.take(running.records)
    with store.reading(None) as (cursor, _):
        cursor.execute(
            "SELECT type, task, slots, phase, attempt, happened FROM events WHERE kind = 'scale' ORDER BY seq"
        )
        found = cursor.fetchall()
    assert found == [
        ("Weighed", "a", 7, None, None, START),
        ("Weighed", None, None, None, None, START),
        ("PhaseRequested", None, None, None, None, None),
        ("PhaseRequested", None, None, "x", 1, None),
    ]


@pytest.mark.parametrize(
    ("body", "path", "found"),
    [
        ('{"a": {"b": "x"}}', "$.a.b", "x"),
        ('{"a": "b"}', "$.b", None),
        ('{"a": [{"b": 1}, {"b": 2}]}', "$.a[*].b", ["1", "2"]),
        ('{"scores": {"c-1": 7}}', '$.scores."c-1"', "7"),
        ('{"a": null}', "$.a", None),
        ('{"a": "x"', "$.a", None),
        (None, "$.a", None),
    ],
)
def test_a_piece_of_an_event_is_found_where_it_is(store: Store, body: str | None, path: str, found: object) -> None:
    with store.reading(None) as (cursor, _):
        assert cursor.execute(f"SELECT piece($body, '{path}')", {"body": body}).fetchall() == [(found,)]


def test_wrong_questions_are_refused_with_what_is_known(store: Store) -> None:
    with pytest.raises(Missing, match="no view 'nonsense'") as missing:
        store.query("nonsense")
    assert "tasks" in missing.value.what_next
    with pytest.raises(Invalid, match="no parameter 'colour'") as unknown:
        store.query("tasks", {"colour": "red"})
    assert "workflow" in unknown.value.what_next
    for params in (
        {"priority": "high"},
        {"limit": -1},
        {"offset": True},
        {"id": 1.5},
        {"limit": "1; DROP TABLE facts"},
    ):
        with pytest.raises(Invalid):
            store.query("tasks", params)
    assert store.query("tasks", {"id": "' OR 1=1 --"}).rows == []
    for place in (-1, 5, "tomorrow", "99999999999999999999"):
        with pytest.raises((Invalid, Missing)):
            store.query("tasks", as_of=place)


def test_limit_and_offset_turn_the_pages(store: Store) -> None:
    history = History()
    for i in range(7):
        history.submit(f"task-{i}")
    store.take(history.records)
    first, second = (store.query("tasks", {"limit": 4, "offset": offset}) for offset in (0, 4))
    assert (len(first.rows), first.truncated, len(second.rows), second.truncated) == (4, True, 3, False)
    assert len({row[0] for row in first.rows + second.rows}) == 7


def test_a_file_made_by_other_sql_or_damaged_is_begun_anew(store: Store, running: History) -> None:
    store.take(running.records)
    with store.reading(None) as (cursor, _):
        cursor.execute("UPDATE position SET schema = 'older'")
    store.close()
    with pytest.raises(Unavailable, match="another version"):
        Store(store.path, read_only=True)
    store.open()
    assert store.position == 0
    store.take(running.records)
    store.close()
    store.path.write_bytes(b"this is no database" * 1000)
    store.open()
    assert store.position == 0


def test_without_a_daemon_the_file_is_read_as_it_is(store: Store, running: History) -> None:
    store.take(running.records)
    said = store.fingerprint()
    store.close()
    reader = Store(store.path, read_only=True)
    assert reader.fingerprint() == said
    reader.close()
    with pytest.raises(Missing):
        Store(store.path.with_name("nothing.duckdb"), read_only=True)


def test_a_second_process_is_told_that_the_file_is_taken(store: Store) -> None:
    program = f"from projections.store import Store; Store({str(store.path)!r})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "another process has" in done.stderr


def test_a_snapshot_says_the_same_is_reused_and_replaced(store: Store, running: History, tmp_path: Path) -> None:
    store.take(running.records[:5])
    first, seq = store.snapshot(tmp_path / "copies")
    assert seq == 5 and store.snapshot(tmp_path / "copies") == (first, 5)
    store.take(running.records)
    second, seq = store.snapshot(tmp_path / "copies")
    assert [path.name for path in (tmp_path / "copies").iterdir()] == [second.name]
    copy = Store(second, read_only=True)
    assert copy.fingerprint() == store.fingerprint() and copy.position == seq == len(running.records)
    copy.close()
