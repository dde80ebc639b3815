"""Entities loaded from their own subject: twenty commits of one event each, read, decoded and folded.

The server looks for an entity's next commit message by message, so it matters how far apart they lie: with ten entities
written side by side, as in the peers' runs, every tenth message is the entity's own.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator

import nats
from nats.js import JetStreamContext

from actors.folds import FOLDS
from bus.envelope import Commit, Draft, encode, link
from bus.messages.base import Event
from bus.messages.kinds import read_commits
from bus.messages.task import AssignmentLost, PhaseAssigned
from ops.bench.ground import Ground, Lab, append_fast, ground
from ops.bench.rows import Row

ENTITIES = {10: 10_000, 100: 2_000, 1000: 1_000}
"""So many are written side by side: so many in all."""
EVENTS_EACH = 20
IN_FLIGHT = 64
PLAIN_ENTITIES = 300
GOAL_PER_S = 5_000
AT = "2026-01-01T00:00:00.000Z"


def rows(lab: Lab) -> Iterator[Row]:
    for side_by_side, count in ENTITIES.items():
        subjects = [f"evt.task.{number:06d}" for number in range(lab.scaled(count, side_by_side))]
        with ground(lab.fresh(f"entities-{side_by_side}")) as here:
            here.bridge.run(append_fast(here.connection, _histories(subjects, side_by_side)), timeout_s=120)
            ours = here.bridge.run(_rate(subjects, lambda subject: _load(here, subject)), timeout_s=120)
            plain = here.bridge.run(_plain(here, subjects[:PLAIN_ENTITIES]), timeout_s=120)
        against = f"plain nats-py, one direct get an event; {side_by_side} entities written side by side"
        if side_by_side == 10:
            yield Row("entities_loaded_per_s", ours, "entities/s", plain, against, GOAL_PER_S)
        else:
            yield Row(f"entities_{side_by_side}_apart_per_s", ours, "entities/s", plain, against)


def _histories(subjects: list[str], side_by_side: int) -> Iterator[Draft]:
    """In turns, one event each."""
    numbers = itertools.count(1)
    for first in range(0, len(subjects), side_by_side):
        ends = dict.fromkeys(subjects[first : first + side_by_side], "")
        for v in range(1, EVENTS_EACH + 1):
            for subject in ends:
                id = f"{next(numbers):026d}"
                commit = Commit(id, AT, "bench", id, subject[9:], v, ends[subject], [_event(subject[9:], v)])
                body = encode(commit)
                ends[subject] = link(subject, body)
                yield Draft(subject, body, id, None)


def _event(task: str, v: int) -> Event:
    if v % 2:
        return PhaseAssigned(phase="implement", agent="coder-01", run=f"{task}-{v}", epoch=v)
    return AssignmentLost(phase="implement", agent="coder-01", run=f"{task}-{v - 1}", reason="silent")


async def _rate(subjects: list[str], load: Callable[[str], Awaitable[int]]) -> float:
    """Entities a second, so many loads under way at once."""
    left = iter(subjects)

    async def pull() -> None:
        for subject in left:
            found = await load(subject)
            if found != EVENTS_EACH:
                raise RuntimeError(f"{subject} has {found} commits, not {EVENTS_EACH}")

    began = time.perf_counter()
    await asyncio.gather(*(pull() for _ in range(IN_FLIGHT)))
    return len(subjects) / (time.perf_counter() - began)


async def _load(here: Ground, subject: str) -> int:
    """As a desk does it."""
    fold = FOLDS["task"]
    state, commits = fold.initial(), 0
    loaded = await here.log.load(subject)
    for commit in read_commits(subject, loaded.bodies, loaded.seq):
        for event in commit.events:
            state = fold.evolve(state, event)
        commits = commit.v
    return commits


async def _plain(here: Ground, subjects: list[str]) -> float:
    nc = await nats.connect(here.server.url)
    stream: JetStreamContext = nc.jetstream()

    async def load(subject: str) -> int:
        seq = found = 0
        while found < EVENTS_EACH:
            told = await stream.get_msg("EVENTS", seq=seq + 1, subject=subject, direct=True, next=True)
            seq, found = told.seq or 0, found + 1
        return found

    try:
        return await _rate(subjects, load)
    finally:
        await nc.close()
