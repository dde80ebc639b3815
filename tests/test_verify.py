"""An edit, a deletion, a swap and a truncation are each found, and an honest log passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.envelope import Commit, Record, encode, link
from bus.errors import Broken
from bus.messages.base import Event
from bus.messages.task import PhaseCompleted, PipelineStarted, TaskSubmitted
from bus.verify import Head, Walk, verify

EVENTS: list[Event] = [
    TaskSubmitted(task="build it", workflow="direct", phases=["implement"]),
    PipelineStarted(),
    PhaseCompleted(phase="implement", agent="ada", run="r1"),
]


def history(order: list[str]) -> list[Record]:
    """A log in which the tasks made their commits in this order."""
    ends: dict[str, tuple[int, str]] = {}
    records: list[Record] = []
    for seq, task in enumerate(order, 1):
        v, prev = ends.get(task, (0, ""))
        subject = f"evt.task.{task}"
        event = EVENTS[min(v, len(EVENTS) - 1)]
        at = f"2026-11-20T12:00:{seq:02d}.000Z"
        body = encode(Commit(f"c{seq}", at, "orchestrator", f"m{seq}", task, v + 1, prev, [event]))
        records.append(Record(subject, seq, body))
        ends[task] = (v + 1, link(subject, body))
    return records


LOG = history(["a", "b", "a", "b", "a", "c"])


def test_an_honest_log_passes_and_its_head_does_not_depend_on_the_batches() -> None:
    whole, single = verify([LOG]), verify([record] for record in LOG)
    assert whole == single
    assert (whole.seq, whole.count, whole.at) == (6, 6, "2026-11-20T12:00:06.000Z")


def test_the_walk_counts_commits_entities_and_events() -> None:
    walk = Walk()
    walk.take(LOG)
    assert (walk.count, walk.entities, walk.events, walk.kinds) == (6, 3, 6, {"task": 6})


def test_an_empty_log_passes() -> None:
    assert verify([]) == Head(0, "", 0)


def test_an_edited_commit_is_found_where_the_next_one_no_longer_follows() -> None:
    edited = [*LOG]
    edited[0] = replace(LOG[0], body=LOG[0].body.replace(b"build it", b"break it"))
    with pytest.raises(Broken, match=r"evt\.task\.a at seq 3 does not follow its commit at seq 1"):
        verify([edited])


def test_a_deleted_record_is_found() -> None:
    with pytest.raises(Broken, match=r"seq 3 is missing: evt\.task\.b at seq 4 comes next"):
        verify([LOG[:2] + LOG[3:]])


def test_a_deleted_record_is_found_although_the_places_were_closed_up() -> None:
    closed = [Record(record.subject, seq, record.body) for seq, record in enumerate(LOG[:2] + LOG[3:], 1)]
    with pytest.raises(Broken, match=r"evt\.task\.a at seq 4 is version 3, but version 2 must follow"):
        verify([closed])


def test_two_commits_that_traded_places_are_found() -> None:
    swapped = [*LOG]
    swapped[2], swapped[4] = replace(LOG[2], body=LOG[4].body), replace(LOG[4], body=LOG[2].body)
    with pytest.raises(Broken, match=r"evt\.task\.a at seq 3 is version 3"):
        verify([swapped])


def test_two_commits_that_traded_subjects_are_found() -> None:
    swapped = [*LOG]
    swapped[0], swapped[1] = replace(LOG[0], body=LOG[1].body), replace(LOG[1], body=LOG[0].body)
    with pytest.raises(Broken, match=r"evt\.task\.a at seq 3 does not follow"):
        verify([swapped])


def test_records_out_of_order_are_found() -> None:
    with pytest.raises(Broken, match="changed places"):
        verify([[LOG[0], LOG[1], LOG[0]]])


def test_a_truncated_log_is_found_with_the_head_that_was_exported_before() -> None:
    head = verify([LOG])
    assert verify([LOG[:4]]).seq == 4
    with pytest.raises(Broken, match="the log ends at 4, but the exported head says that it went up to 6"):
        verify([LOG[:4]], head)


def test_a_truncated_log_is_found_when_the_server_still_knows_its_last_place() -> None:
    with pytest.raises(Broken, match="seq 5 is missing: the log goes up to 6"):
        verify([LOG[:4]], end=6)


def test_a_head_that_was_exported_before_still_fits_after_the_log_grew() -> None:
    assert verify([LOG], verify([LOG[:4]])).seq == 6


def test_an_edit_of_an_entitys_last_commit_is_found_with_the_head() -> None:
    head = verify([LOG])
    edited = [*LOG[:5], replace(LOG[5], body=LOG[5].body.replace(b"build it", b"break it"))]
    assert verify([edited]).seq == 6
    with pytest.raises(Broken, match="its digest differs"):
        verify([edited], head)


def test_a_record_that_is_no_commit_is_found() -> None:
    with pytest.raises(Broken, match=r"evt\.task\.a at 1 cannot be read"):
        verify([[Record("evt.task.a", 1, b"{}")]])


def test_an_event_of_an_unknown_type_is_found() -> None:
    with pytest.raises(Broken, match=r"evt\.task\.a at 1 cannot be read"):
        verify([[replace(LOG[0], body=LOG[0].body.replace(b"TaskSubmitted", b"TaskImagined"))]])


@given(st.data(), st.lists(st.sampled_from("abc"), min_size=1, max_size=30))
def test_whatever_byte_is_changed_the_exported_head_no_longer_fits(data: st.DataObject, order: list[str]) -> None:
    records = history(order)
    head = verify([records])
    place = data.draw(st.integers(0, len(records) - 1))
    body = bytearray(records[place].body)
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    records[place] = replace(records[place], body=bytes(body))
    with pytest.raises(Broken):
        verify([records], head)
