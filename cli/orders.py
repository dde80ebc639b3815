"""An order about what a task has made, and the wait for what came of it."""

import asyncio
from typing import Any

import msgspec

from bus.envelope import Record
from bus.errors import Unavailable
from bus.messages.kinds import read_commit
from bus.messages.workspace import MergeRefused
from cli.config import Settings
from cli.exits import FAILED, OK
from cli.follow import following
from cli.output import Form, print_one
from cli.reach import command, connected


def order_work(settings: Settings, form: Form, subject: str, body: dict[str, object], id: str, wait_s: float) -> int:
    """Send the order and stay until the workspace says what became of it: 0 done, 1 refused."""

    async def work() -> Any:
        from bus.jetstream import JetStreamLog

        async with connected(settings) as connection:
            answer = await command(connection, subject, body, id)
            order, place = str(answer["order"]), f"evt.workspace.{body['task_id']}"
            try:
                async with asyncio.timeout(wait_s):
                    async for record in following(JetStreamLog(connection), [place]):
                        if event := answer_in(record, order):
                            return event
            except TimeoutError:
                raise Unavailable(
                    f"order {order} is recorded, but nothing came of it in {wait_s:g} s",
                    f"Look with `witan query guardian order_id={order}`. Said again with --id {id}, it only waits.",
                ) from None
        raise AssertionError("a follower never ends by itself")

    event = asyncio.run(work())
    facts = {"task_id": body["task_id"], "outcome": type(event).__name__, **msgspec.to_builtins(event)}
    del facts["type"]
    print_one(facts, form)
    return FAILED if isinstance(event, MergeRefused) else OK


def answer_in(record: Record, order: str) -> Any:
    """The event of a workspace that answers an order; None in a record about something else."""
    return next((event for event in read_commit(record).events if getattr(event, "order", None) == order), None)
