"""The inside of the tables' process: it follows the log, keeps the file and answers, until its parent lets go."""

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import msgspec

from bus.bridge import Bridge
from bus.connection import connect
from bus.errors import Unavailable, WitanError
from bus.jetstream import JetStreamLog
from projections.apart import END, Told, Where
from projections.asking import Asking
from projections.projector import Projection
from projections.store import Store

BEHIND = 5
"""How nice it is to the daemon and its server where the processors are busy: work does not wait for tables.

Where the kernel gives each session a share of its own (`sched_autogroup_enabled`) this changes nothing, and so did a
share of a seventieth: the pipelines were as fast.
"""
LOCKED_S = 10.0
"""So long the process of a daemon that was killed may take to let go of the file."""


def serve(folder: Path) -> int:
    """Take the parent's words: where the log is, and when to end. If it dies, so do we, in the middle of anything."""
    gc.set_threshold(50_000, 20, 50)  # as in the daemon
    os.nice(BEHIND)
    heard: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_listen, args=(heard,), daemon=True).start()
    bridge = Bridge()
    try:
        store = _opened(folder / "witan.duckdb")
        word = heard.get()
        if word == END:
            store.close()
            return 0
        with _answering(bridge, store, msgspec.json.decode(word, type=Where), folder / "snapshots"):
            _say(Told(True))
            heard.get()
    except WitanError as error:
        _say(Told(False, str(error), error.what_next))
        return 1
    finally:
        bridge.close()
    return 0


@contextmanager
def _answering(bridge: Bridge, store: Store, where: Where, copies: Path) -> Iterator[None]:
    connection = bridge.run(connect(where.url, "witan-tables"))
    teller = bridge.run(connect(where.teller_url, "witan-teller"))
    projection = Projection(store, JetStreamLog(connection), bridge)
    for copy in copies.glob("*.duckdb*"):
        copy.unlink()  # of an earlier life, and perhaps of one that ended with the machine
    asking = Asking(projection, copies)
    bridge.run(asking.open(teller.nc))
    yield
    bridge.run(asking.close())
    projection.close()
    for each in (teller, connection):
        bridge.run(each.close())


def _opened(path: Path) -> Store:
    until = time.monotonic() + LOCKED_S
    while True:
        try:
            return Store(path)
        except Unavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def _listen(heard: "SimpleQueue[bytes]") -> None:
    with os.fdopen(0, "rb", buffering=0, closefd=False) as parent:
        for word in parent:
            heard.put(word)
    os._exit(1)


def _say(told: Told) -> None:
    os.write(1, msgspec.json.encode(told) + b"\n")
