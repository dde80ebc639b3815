"""Replay: the whole log, read through a follower, decoded and folded into the state of every entity."""

import time
from collections.abc import Iterator
from typing import Any

import nats
from nats.js.api import AckPolicy, ConsumerConfig

from actors.folds import FOLDS
from bus.envelope import Record
from bus.log import replay
from bus.messages.kinds import read_commit
from ops.bench.ground import Ground, Lab, ground
from ops.bench.rows import Row

EVENTS = 2_000_000
"""A million commits."""
SLICE = 20_000
GOAL_PER_S = 200_000


def rows(lab: Lab) -> Iterator[Row]:
    with ground(lab.grown(lab.scaled(EVENTS))) as here:
        raw_per_s = here.bridge.run(_raw(here), timeout_s=120)
        folded_per_s = here.bridge.run(_folded(here), timeout_s=300)
        plain_per_s = here.bridge.run(_plain(here), timeout_s=120)
    against = f"plain nats-py, fetched 1,000 at a time, not decoded, {SLICE:,} of them"
    yield Row("replay_commits_per_s", folded_per_s, "commits/s", plain_per_s, against, GOAL_PER_S)
    yield Row("replay_raw_per_s", raw_per_s, "commits/s", plain_per_s, "the same; our follower, not decoded")


class Entity:
    """One entity as it is kept: with its state, or with its newest record where no more than that is needed."""

    __slots__ = ("evolve", "kept")

    def __init__(self, subject: str) -> None:
        table = FOLDS.get(subject) or FOLDS[subject.split(".", 2)[1]]
        self.kept: Any = table.initial()
        self.evolve = None if table.newest_only else table.evolve


async def _folded(here: Ground) -> float:
    entities: dict[str, Entity] = {}
    count = 0
    began = time.perf_counter()
    async for batch in replay(here.log):
        fold(entities, batch)
        count += len(batch)
    for entity in entities.values():
        if entity.evolve is None:
            read_commit(entity.kept)
    return count / (time.perf_counter() - began)


def fold(entities: dict[str, Entity], batch: list[Record]) -> None:
    """What the actors' desks do with their log, for every kind at once."""
    for record in batch:
        entity = entities.get(record.subject)
        if entity is None:
            entity = entities[record.subject] = Entity(record.subject)
        if (evolve := entity.evolve) is None:
            entity.kept = record
            continue
        state = entity.kept
        for event in read_commit(record).events:
            state = evolve(state, event)
        entity.kept = state


async def _raw(here: Ground) -> float:
    count = 0
    began = time.perf_counter()
    async for batch in replay(here.log):
        count += len(batch)
    return count / (time.perf_counter() - began)


async def _plain(here: Ground) -> float:
    nc = await nats.connect(here.server.url)
    try:
        config = ConsumerConfig(ack_policy=AckPolicy.NONE, mem_storage=True)
        puller = await nc.jetstream().pull_subscribe("evt.>", stream="EVENTS", config=config)
        count = 0
        began = time.perf_counter()
        while count < SLICE:
            fetched = await puller.fetch(1000, timeout=2)
            count += len(fetched)
            if len(fetched) < 1000:
                break
        return count / (time.perf_counter() - began)
    finally:
        await nc.close()
