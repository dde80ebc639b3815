"""Commands decided and durably appended: from a request of another process, through shell and log, to its answer."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from actors.decider import Decider, Message, Plain
from actors.desk import Desk
from actors.outbox import Wires
from actors.supervisor import Supervisor
from bus.blobs import Blobs
from bus.envelope import Draft, Record
from bus.messages.guardian import PauseOrdered, PausePipeline
from ops.bench.asker import asking, told_by
from ops.bench.ground import Ground, Lab, ground, send_batch, taken
from ops.bench.rows import Row, percentile

IN_FLIGHT = 256
ENTITIES = 64
COMMANDS = 100_000
WARM_UP = 2_000
GOAL_PER_S = 10_000


class Counter(Plain):
    """A decider that says yes to everything: what is left is the way through the product."""

    name = "guardian"
    follows: Sequence[str] = ()
    woken_as: Sequence[str] = ("guardian",)

    def recover(self, desk: Desk, message: Message) -> None:
        pass

    def resume_after(self, last: Callable[[str], Record | None], head: int) -> int:
        return head

    def decide(self, desk: Desk, message: Message) -> None:
        """One event on the entity that the command names; a command said twice is done once."""
        if isinstance(message.body, PausePipeline):
            subject = f"evt.guardian.{message.body.pipeline_id}"
            if not desk.knows(subject, message.id):
                desk.append(subject, PauseOrdered(pipeline=message.body.pipeline_id))
            desk.answer(ordered="pause")


def rows(lab: Lab) -> Iterator[Row]:
    with ground(lab.fresh("commands")) as here:
        sizes = _sizes_of_groups(here)
        wires = Wires(here.bridge, here.connection, here.log, Blobs(here.connection), time.time)
        supervisor = Supervisor.start(wires)
        try:
            deciders: list[Decider] = [Counter()]
            supervisor.proxy().begin(deciders).get(timeout=30)
            told_by(asking(here.server.public_url, "commands", WARM_UP, IN_FLIGHT))
            sizes.clear()
            told = told_by(asking(here.server.public_url, "commands", lab.scaled(COMMANDS, WARM_UP), IN_FLIGHT))
            supervisor.proxy().end().get(timeout=30)
        finally:
            supervisor.stop(block=True, timeout=10)
        raw = here.bridge.run(_raw(here, sizes), timeout_s=120)
    mean = sum(sizes) / max(1, len(sizes))
    against = f"the raw server: {len(sizes):,} guarded groups of the same sizes (mean {mean:.0f}), two under way"
    yield Row("commands_per_s", told["per_s"], "commands/s", raw["per_s"], against, GOAL_PER_S)
    for part in ("p50_ms", "p99_ms"):
        yield Row(f"commands_{part}", told[part], "ms", raw[part], "one such group")


def _sizes_of_groups(here: Ground) -> list[int]:
    """The sizes of the groups that go to the log from now on, as they go."""
    sizes: list[int] = []
    write = here.log._write_group

    async def noted(group: list[object], drafts: list[Draft], subjects: set[str]) -> None:
        sizes.append(len(drafts))
        await write(group, drafts, subjects)  # type: ignore[arg-type]

    here.log._write_group = noted  # type: ignore[method-assign, assignment]
    return sizes


async def _raw(here: Ground, sizes: list[int]) -> dict[str, float]:
    """The same groups to the server, with nothing decided, two under way at once; they share no entity."""
    body = b"x" * 300
    under_way: deque[asyncio.Task[None]] = deque()
    took: list[float] = []
    places: dict[str, int] = {}
    halves = [[f"evt.guardian.raw-{half}-{number:02d}" for number in range(ENTITIES)] for half in (0, 1)]

    async def one(number: int, size: int) -> None:
        began = time.perf_counter()
        subjects = halves[number % 2]
        drafts = [Draft(subjects[place % ENTITIES], body, "", None) for place in range(size)]
        first = {draft.subject: replace(draft, expect=places.get(draft.subject, 0)) for draft in drafts[:ENTITIES]}
        answer = await taken(send_batch(here.connection, f"raw-{number}", [*first.values(), *drafts[ENTITIES:]]))
        last = int(answer.split(b'"seq":')[1].split(b",")[0].rstrip(b"}"))
        places.update((draft.subject, last - size + place) for place, draft in enumerate(drafts, 1))
        took.append(time.perf_counter() - began)

    began = time.perf_counter()
    for number, size in enumerate(sizes):
        under_way.append(asyncio.create_task(one(number, size)))
        if len(under_way) == 2:
            await under_way.popleft()
    await asyncio.gather(*under_way)
    wall_s = time.perf_counter() - began
    p50, p99 = (percentile(took, part) * 1000 for part in (0.5, 0.99))
    return {"per_s": sum(sizes) / wall_s, "p50_ms": p50, "p99_ms": p99}
