"""What every log must do, told as stories; the fake log and the real ones are held to the same ones."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable

import pytest

from bus.envelope import Draft, Record
from bus.errors import Conflict
from bus.log import FETCH_BYTES, Log, replay
from tests.bus_ground import Ringing, draft, everything, id_of, into, until

Story = Callable[[list[Log]], Awaitable[None]]
"""Gets three writers on one empty log."""

WRITERS = 3


async def an_append_stands_where_it_says(logs: list[Log]) -> None:
    first, second = draft("evt.task.a", 0), draft("evt.task.b", 0)
    assert await logs[0].append([first]) == [1]
    assert await logs[1].append([second]) == [2]
    third = draft("evt.task.a", 1)
    assert await logs[2].append([third]) == [3]
    assert await logs[0].read("evt.task.a") == [
        Record("evt.task.a", 1, first.body),
        Record("evt.task.a", 3, third.body),
    ]
    assert await logs[0].read("evt.task.b") == [Record("evt.task.b", 2, second.body)]


async def a_stale_guard_is_a_conflict_and_stores_nothing(logs: list[Log]) -> None:
    await logs[0].append([draft("evt.task.a", 0)])
    for stale in (0, 2, 7):
        with pytest.raises(Conflict):
            await logs[1].append([draft("evt.task.a", stale)])
        with pytest.raises(Conflict):
            await logs[1].append([draft("evt.task.new", stale or 1)])
    assert await logs[0].head() == 1
    assert await logs[2].append([draft("evt.task.a", 1)]) == [2]


async def many_drafts_keep_their_order(logs: list[Log]) -> None:
    for count in (2, 11, 12, 40):
        drafts = [draft(f"evt.task.{count}-{number}", 0) for number in range(count)]
        head = await logs[0].head()
        assert await logs[0].append(drafts) == list(range(head + 1, head + count + 1))
        assert [id_of(record) for record in (await everything(logs[1]))[head:]] == [each.id for each in drafts]


async def one_entity_comes_several_times_in_one_append(logs: list[Log]) -> None:
    for repeats in (2, 5, 30):
        subject = f"evt.task.r{repeats}"
        drafts = [draft(subject, None if number else 0) for number in range(repeats)]
        between = draft(f"evt.task.between{repeats}", 0)
        places = await logs[0].append([*drafts[:1], between, *drafts[1:]])
        assert places == sorted(places)
        assert [id_of(record) for record in await logs[1].read(subject)] == [each.id for each in drafts]


async def appends_that_do_not_wait_are_chained(logs: list[Log]) -> None:
    drafts = [draft("evt.task.a", None if number else 0) for number in range(50)]
    futures = [logs[0].submit([each]) for each in drafts]
    places = [place for future in futures for place in await future]
    assert places == sorted(places)
    assert [id_of(record) for record in await logs[1].read("evt.task.a")] == [each.id for each in drafts]


async def one_stale_wish_in_a_crowd_harms_nobody_else(logs: list[Log]) -> None:
    await logs[0].append([draft("evt.task.taken", 0)])
    wishes = [[draft(f"evt.task.{number}", 0), draft(f"evt.task.{number}", None)] for number in range(20)]
    wishes[7] = [draft("evt.task.taken", 0)]
    outcomes = await asyncio.gather(*(logs[1].submit(wish) for wish in wishes), return_exceptions=True)
    assert [place for place, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)] == [7]
    assert isinstance(outcomes[7], Conflict)
    on_the_log = {id_of(record): record.seq for record in await everything(logs[2])}
    for wish, outcome in zip(wishes, outcomes, strict=True):
        if not isinstance(outcome, BaseException):
            assert [on_the_log.get(each.id) for each in wish] == outcome
    assert wishes[7][0].id not in on_the_log and len(on_the_log) == 1 + 2 * 19


async def what_stands_behind_a_refused_draft_of_its_entity_is_refused_too(logs: list[Log]) -> None:
    await logs[0].append([draft("evt.task.a", 0)])
    with pytest.raises(Conflict):
        await logs[1].append([draft("evt.task.a", 0), draft("evt.task.a", None), draft("evt.task.a", None)])
    assert await logs[0].head() == 1


async def reading_begins_behind_a_place(logs: list[Log]) -> None:
    drafts = [draft(f"evt.task.{'ab'[number % 2]}", None if number > 1 else 0) for number in range(20)]
    await logs[0].append(drafts)
    assert [record.seq for record in await logs[1].read("evt.task.a", 9)] == [11, 13, 15, 17, 19]
    assert await logs[1].read("evt.task.a", 19) == []
    assert await logs[1].read("evt.task.nobody") == []
    assert await logs[1].read("evt.task") == []


async def a_pattern_reads_all_that_fit_in_their_order(logs: list[Log]) -> None:
    subjects = [("evt.task.a", "evt.run.x.a", "evt.task.b", "evt.taskless.c")[number % 4] for number in range(2400)]
    drafts = [draft(subject, None if number > 3 else 0) for number, subject in enumerate(subjects)]
    for start in range(0, len(drafts), 800):
        await logs[0].append(drafts[start : start + 800])
    wanted = [seq for seq, subject in enumerate(subjects, 1) if subject in ("evt.task.a", "evt.task.b")]
    found = await logs[1].read("evt.task.*")
    assert [record.seq for record in found] == wanted
    assert [record.subject for record in found] == [subjects[seq - 1] for seq in wanted]
    assert [record.body for record in found] == [drafts[seq - 1].body for seq in wanted]
    assert [record.seq for record in await logs[1].read("evt.task.*", 2390)] == [seq for seq in wanted if seq > 2390]
    assert await logs[1].read("evt.nobody.*") == []


async def a_long_history_is_read_whole(logs: list[Log]) -> None:
    drafts = [draft("evt.task.long", None if number else 0) for number in range(2100)]
    for start in range(0, len(drafts), 700):
        await logs[0].append(drafts[start : start + 700])
    assert [id_of(record) for record in await logs[1].read("evt.task.long")] == [each.id for each in drafts]


async def the_last_record_fits_the_pattern(logs: list[Log]) -> None:
    assert await logs[0].last("evt.>") is None
    await logs[0].append([draft("evt.run.alice.r1", 0), draft("evt.task.a", 0), draft("evt.run.bob.r2", 0)])
    for pattern, seq in {"evt.>": 3, "evt.task.*": 2, "evt.run.alice.*": 1, "evt.run.*.r2": 3, "evt.task.a": 2}.items():
        newest = await logs[1].last(pattern)
        assert newest is not None and newest.seq == seq, pattern
    assert await logs[1].last("evt.task.*.*") is None
    assert await logs[1].last("evt.agent.>") is None


async def the_head_counts_every_record(logs: list[Log]) -> None:
    assert await logs[0].head() == 0
    await logs[0].append([draft("evt.task.a", 0), draft("evt.run.x.y", 0)])
    assert await logs[1].head() == 2


async def a_follower_starts_anywhere_and_misses_nothing(logs: list[Log]) -> None:
    await logs[0].append([draft(f"evt.task.{number}", 0) for number in range(40)])
    got: dict[int, list[Record]] = defaultdict(list)
    followers = []
    for after in (0, 17, 40):
        followers.append(await logs[1].follow(["evt.>"], after, into(got[after])))
    for number in range(40, 60):
        await logs[0].append([draft(f"evt.task.{number}", 0)])
    await until(lambda: all(got[after] and got[after][-1].seq == 60 for after in (0, 17, 40)))
    for after in (0, 17, 40):
        assert [record.seq for record in got[after]] == list(range(after + 1, 61))
    for follower in followers:
        await follower.close()


async def a_follower_gets_every_subject_that_it_asked_for_and_no_other(logs: list[Log]) -> None:
    got: list[Record] = []
    follower = await logs[1].follow(["evt.run.*.*", "evt.task.a"], 0, into(got))
    subjects = ["evt.task.a", "evt.task.b", "evt.run.alice.r1", "evt.run.r2", "evt.agent.alice", "evt.run.bob.r3"]
    await logs[0].append([draft(subject, 0) for subject in subjects])
    await until(lambda: got and got[-1].seq == 6)
    assert [record.seq for record in got] == [1, 3, 6]
    await follower.close()


async def a_follower_gets_no_more_than_it_has_room_for(logs: list[Log]) -> None:
    await logs[0].append([draft(f"evt.task.{number}", 0) for number in range(50)])
    for window in (1, 3, 10):
        got: list[Record] = []
        follower = await logs[1].follow(["evt.>"], 0, into(got), window)
        seqs: list[int] = []
        while len(seqs) < 50:
            await until(lambda got: got, got)
            assert len(got) <= window
            seqs += [record.seq for record in got]
            follower.done(len(got))
            got.clear()
        assert seqs == list(range(1, 51))
        await follower.close()


async def a_reader_fetches_what_is_there_and_is_told_when_that_is_less(logs: list[Log]) -> None:
    got: list[int] = []
    ends: list[int] = []

    def take(batch: list[Record], _: int) -> None:
        got.extend(record.seq for record in batch)
        if not batch:
            ends.append(len(got))

    await logs[0].append([draft(f"evt.task.{number}", 0) for number in range(10)])
    follower = await logs[1].follow(["evt.>"], 0, take, 1)
    for fetched, upto, ended in [(0, 1, []), (3, 4, []), (4, 8, []), (100, 10, [10]), (100, 10, [10, 10])]:
        if fetched:
            follower.fetch(fetched)
        await until(lambda upto, ended: len(got) >= upto and len(ends) == len(ended), upto, ended)
        await asyncio.sleep(0.02)  # no more comes unasked
        assert (got, ends) == (list(range(1, upto + 1)), ended)
    await logs[0].append([draft(f"evt.task.{number}", 0) for number in range(10, 13)])
    await asyncio.sleep(0.02)
    assert len(got) == 10  # what was fetched and was not there has lapsed
    follower.done(1)
    await until(lambda: len(got) > 10)
    assert got == list(range(1, 12))
    await follower.close()


async def a_fetch_ends_where_its_records_would_be_too_large_together(logs: list[Log]) -> None:
    batches: list[list[Record]] = []
    body, number = "x" * 700_000, 2 * FETCH_BYTES // 700_000
    for place in range(number):
        await logs[0].append([draft(f"evt.task.{place}", 0, text=body)])
    follower = await logs[1].follow(["evt.>"], 0, lambda batch, _: batches.append(batch), 1)
    await until(lambda: batches)
    for _ in range(2):
        del batches[:]
        follower.fetch(1000)
        await until(lambda: batches and not batches[-1])
        assert FETCH_BYTES - 2 * len(body) < sum(len(record.body) for batch in batches for record in batch)
        assert sum(len(record.body) for batch in batches for record in batch) <= FETCH_BYTES
    follower.fetch(1000)
    await until(lambda: sum(map(len, batches)) == number)
    await follower.close()


async def what_comes_while_a_reader_fetches_is_neither_lost_nor_told_twice(logs: list[Log]) -> None:
    readers = [await Ringing(much).follow(logs[1]) for much in (1, 7, 1000)]
    for number in range(200):
        await logs[number % 3].append([draft(f"evt.task.{number}-{place}", 0) for place in range(number % 4)])
    head = await logs[0].head()
    for reader in readers:
        await until(lambda reader: reader.seqs and reader.seqs[-1] == head, reader)
        assert reader.seqs == list(range(1, head + 1))
        await reader.close()


async def a_closed_follower_is_silent(logs: list[Log]) -> None:
    got: list[Record] = []
    follower = await logs[1].follow(["evt.>"], 0, into(got))
    witness: list[Record] = []
    other = await logs[1].follow(["evt.>"], 0, into(witness))
    await logs[0].append([draft("evt.task.a", 0)])
    await until(lambda: got and witness)
    await follower.close()
    await logs[0].append([draft("evt.task.b", 0)])
    await until(lambda: len(witness) == 2)
    assert [record.seq for record in got] == [1]
    await other.close()


async def a_replay_ends_at_the_head(logs: list[Log]) -> None:
    await logs[0].append([draft(f"evt.{'task' if number % 3 else 'run.x'}.{number}", 0) for number in range(90)])
    fits_task = [seq for seq in range(1, 91) if (seq - 1) % 3]
    for patterns, after, end, seqs in [
        (("evt.>",), 0, None, list(range(1, 91))),
        (("evt.>",), 30, 60, list(range(31, 61))),
        (("evt.task.*",), 0, None, fits_task),
        (("evt.task.*", "evt.agent.*"), 10, None, [seq for seq in fits_task if seq > 10]),
        (("evt.nobody.*",), 0, None, []),
        (("evt.nobody.*", "evt.agent.*"), 0, None, []),
        (("evt.>",), 90, None, []),
    ]:
        async with asyncio.timeout(10):
            batches = [batch async for batch in replay(logs[1], patterns, after, end, window=7)]
        assert [record.seq for batch in batches for record in batch] == seqs, patterns


async def a_race_has_one_winner_a_version(logs: list[Log]) -> None:
    for _ in range(20):
        head = await logs[0].head()
        stands = await logs[0].read("evt.task.contested")
        expect = stands[-1].seq if stands else 0
        outcomes = await asyncio.gather(
            *(log.append([draft("evt.task.contested", expect)]) for log in logs), return_exceptions=True
        )
        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == len(logs) - 1, outcomes
        assert await logs[0].head() == head + 1


def broken_guards(records: list[Record], wishes: list[list[Draft]]) -> list[str]:
    """Every draft on the log must stand where its guard said, and a chained one right behind the one before it."""
    before: dict[str, tuple[int, str]] = {}
    came_before: dict[str, tuple[int, str]] = {}
    wrong = [f"{record.seq} comes twice" for record in records if before.get(record.subject, (0, ""))[0] >= record.seq]
    for record in records:
        came_before[id_of(record)] = before.get(record.subject, (0, ""))
        before[record.subject] = record.seq, id_of(record)
    if len(came_before) != len(records):
        wrong.append("an id is on the log twice")
    for wish in wishes:
        for place, each in enumerate(wish):
            seq, id = came_before.pop(each.id, (each.expect, wish[place - 1].id))
            if seq != each.expect if each.expect is not None else id != wish[place - 1].id:
                wrong.append(f"{each} stands behind {seq} {id}")
    return wrong + [f"nobody wrote {id}" for id in came_before]


async def random_writers(logs: list[Log], seed: int) -> None:
    """Writers that read, decide and append as they like, some on wrong knowledge; the log is the witness."""
    dice = random.Random(seed)
    wishes: list[list[Draft]] = []
    accepted: dict[str, int] = {}

    async def write(log: Log, dice: random.Random) -> None:
        for _ in range(dice.randint(1, 8)):
            turn = []
            for subject in dice.sample([f"evt.task.{name}" for name in "abcdefgh"], dice.randint(1, 5)):
                stands = await log.read(subject)
                expect = (stands[-1].seq if stands else 0) + (dice.random() < 0.1)
                chained = dice.choice((0, 0, 0, 1, 7))
                turn.append([draft(subject, expect), *(draft(subject, None) for _ in range(chained))])
            wishes.extend(turn)
            outcomes = await asyncio.gather(*(log.submit(wish) for wish in turn), return_exceptions=True)
            for wish, outcome in zip(turn, outcomes, strict=True):
                if isinstance(outcome, BaseException):
                    assert isinstance(outcome, Conflict), outcome
                else:
                    accepted.update({each.id: seq for seq, each in zip(outcome, wish, strict=True)})

    await asyncio.gather(*(write(log, random.Random(dice.random())) for log in logs))
    records = await everything(logs[0])
    assert broken_guards(records, wishes) == []
    assert accepted.items() <= {id_of(record): record.seq for record in records}.items()


async def an_entity_is_loaded_as_it_is_read(logs: list[Log]) -> None:
    """Also when it takes several answers, and when there is nothing."""
    for count in (1, 999, 1000, 1001, 2000):
        subject = f"evt.task.long{count}"
        await logs[0].append([draft(subject, None if number else 0) for number in range(count)])
        records = await logs[0].read(subject)
        assert await logs[1].load(subject) == ([record.body for record in records], records[-1].seq)
    assert await logs[1].load("evt.task.nobody") == ([], 0)


STORIES: list[Story] = [
    an_append_stands_where_it_says,
    a_stale_guard_is_a_conflict_and_stores_nothing,
    many_drafts_keep_their_order,
    one_entity_comes_several_times_in_one_append,
    appends_that_do_not_wait_are_chained,
    one_stale_wish_in_a_crowd_harms_nobody_else,
    what_stands_behind_a_refused_draft_of_its_entity_is_refused_too,
    reading_begins_behind_a_place,
    a_pattern_reads_all_that_fit_in_their_order,
    a_long_history_is_read_whole,
    an_entity_is_loaded_as_it_is_read,
    the_last_record_fits_the_pattern,
    the_head_counts_every_record,
    a_follower_starts_anywhere_and_misses_nothing,
    a_follower_gets_every_subject_that_it_asked_for_and_no_other,
    a_follower_gets_no_more_than_it_has_room_for,
    a_reader_fetches_what_is_there_and_is_told_when_that_is_less,
    what_comes_while_a_reader_fetches_is_neither_lost_nor_told_twice,
    a_closed_follower_is_silent,
    a_replay_ends_at_the_head,
    a_race_has_one_winner_a_version,
]
