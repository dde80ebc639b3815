"""The mix: of the last calls, whether they were paid; found again on the log after a restart."""

from actors.desk import Desk
from bus.messages.call import CallStarted
from bus.messages.kinds import read_commit

RECENT = 100
"""The mix is that of so many calls."""
LOOK_BACK = (1000, 10_000, 100_000)
"""After a restart they are looked for among so many places of the log, more when there are too few."""


def begun_before(desk: Desk, newest: int) -> list[bool]:
    """Of the last calls on the log: whether they were paid."""
    found: list[bool] = []
    for back in LOOK_BACK if newest else ():
        records = desk.records("evt.call.*.*", max(0, newest - back))
        events = [event for record in records for event in read_commit(record).events]
        found = [not each.local for each in events if isinstance(each, CallStarted) and each.local is not None]
        if len(found) >= RECENT or back >= newest:
            break
    return found[-RECENT:]
