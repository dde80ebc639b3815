"""Staying with a council until it has ended, and saying meanwhile how far it is."""

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec

from bus.envelope import Record
from bus.errors import Unavailable
from bus.messages import council as said
from bus.messages.kinds import read_commit
from cli.config import Settings
from cli.follow import COUNCILS, following
from cli.output import clean, talk
from cli.reach import on_log

if TYPE_CHECKING:
    from bus.jetstream import JetStreamLog

SLACK_S = 10.0
"""So much longer than a council's own time limit its end is waited for."""


def stay_with(settings: Settings, council: str, until_s: float) -> dict[str, object]:
    """The end of the council, as it stands on the log."""

    async def look(log: "JetStreamLog") -> dict[str, object]:
        try:
            async with asyncio.timeout(max(0.0, until_s - time.time()) + SLACK_S):
                async for record in following(log, [f"{COUNCILS}{council}"]):
                    if ended := _told(record):
                        fields: dict[str, object] = msgspec.to_builtins(ended)
                        return {name: value for name, value in fields.items() if name not in ("type", "scores")}
        except TimeoutError:
            raise Unavailable(
                f"the council {council} is convened, but has not ended in its time",
                f"See how far it is: `witan council show {council}`. Is everything frozen? See `witan doctor`.",
            ) from None
        raise AssertionError("a follower never ends by itself")

    return on_log(settings, look)


def _told(record: Record) -> said.CouncilEnded | None:
    for event in read_commit(record).events:
        match event:
            case said.MembersChosen(members=members):
                talk(f"The council sits: {clean(', '.join(each.model for each in members)) or 'nobody'}.")
            case said.CandidateMade(candidate=candidate):
                talk(f"{candidate} has proposed something.")
            case said.OpinionMissing(member=member, failure=failure):
                talk(f"{member} has no answer: {failure}.")
            case said.OpinionAsked(purpose="judge", model=model):
                talk(f"{model} judges.")
            case said.CouncilEnded():
                return event
    return None
