"""Questions over the bus: `ask.<view>` as a NATS micro service, answered off the loop and off the writer."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import structlog
from nats.micro import add_service
from nats.micro.request import Request
from nats.micro.service import Service

from bus.client import Client
from bus.errors import Invalid, Unavailable, WitanError
from projections.projector import Projection
from projections.statements import VIEWS
from projections.store import Answer, AsOf, Closed, Store

VERSION = "1.0.0"
QUESTION_MAX_BYTES = 64 * 1024
REPLY_MAX_BYTES = 900_000
READERS = 3
TURN_S = 0.25
"""So long a question waits for the one before it: each keeps all processors busy, so that answering them at once takes
as long and what comes from the log waits for both. One that takes long does not hold the others up."""
AGAIN_S = (0.0, 0.1, 0.3, 1.0)
"""DuckDB 2.0 trips, rarely, over a list that grows while it is read, and the whole file is opened anew: a question that
meets it is asked again."""
FIRST, FIRST_S = b'{"limit": 1}', 30

_encode = msgspec.json.Encoder(enc_hook=str).encode
BROKEN = _encode(Unavailable("the tables broke and are opened anew", "Ask again in a moment.").answer())


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """What may be asked of a view: its filters, the place or time that is meant, how many rows."""

    params: dict[str, str | int | float | bool | None] = {}
    as_of: AsOf = None
    limit: int | None = None


_read_question = msgspec.json.Decoder(Question).decode


def read_question(body: bytes) -> Question:
    """The question that a request's body holds; an empty one asks for everything."""
    if len(body) > QUESTION_MAX_BYTES:
        raise Invalid(f"{len(body)} bytes are over the limit of {QUESTION_MAX_BYTES}", "Ask for less.")
    try:
        question = _read_question(body or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"the question cannot be read: {error}", "Send {params, as_of, limit} or nothing.") from error
    if question.limit is not None:
        question.params = {**question.params, "limit": question.limit}
    return question


def reply_to(answer: Answer) -> bytes:
    """The answer as it travels; rows that would make it too large stay behind and it says so."""
    rows: list[msgspec.Raw] = []
    room = REPLY_MAX_BYTES
    for row in answer.rows:
        encoded = _encode(row)
        room -= len(encoded) + 1
        if room < 0:
            break
        rows.append(msgspec.Raw(encoded))
    return _encode(
        {
            "ok": True,
            "view": answer.view,
            "seq": answer.seq,
            "at": answer.at,
            "columns": [{"name": name, "type": kind} for name, kind in answer.columns],
            "rows": rows,
            "truncated": answer.truncated or len(rows) < len(answer.rows),
        }
    )


def ask(store: Store, view: str, body: bytes) -> bytes:
    """The reply to one request, a refusal included."""
    question = read_question(body)
    return reply_to(store.query(view, question.params, question.as_of))


def describe(store: Store, body: bytes = b"") -> bytes:
    """What can be asked; of so many views as the question's limit says."""
    limit = read_question(body).params.get("limit")
    views = [
        {
            "view": view.name,
            "about": view.about,
            "params": [*view.filters, "limit", "offset"],
            "columns": [{"name": name, "type": kind} for name, kind in store.columns(view.name)],
        }
        for view in islice(VIEWS.values(), limit if isinstance(limit, int) and limit >= 0 else None)
    ]
    return _encode({"ok": True, "views": views})


class Asking:
    """The service and its few readers. On the loop of the projection's bridge."""

    def __init__(self, projection: Projection, folder: Path | str) -> None:
        self._projection, self._folder = projection, Path(folder)
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="asking")
        self._turn = asyncio.Lock()
        self._service: Service | None = None
        self._note = structlog.get_logger().bind(actor="asking")

    async def open(self, nc: Client) -> None:
        """Begin to answer; the first question is our own, because a flush does not prove that the server listens.

        It is about the endpoint that came last, and about one view: to plan them all takes a tenth of a second.
        """
        service = await add_service(nc, name="witan", version=VERSION, description="What happened, as tables.")
        group, store = service.add_group(name="ask"), self._projection.store
        for name in VIEWS:
            await group.add_endpoint(name=name, handler=self._answering(functools.partial(ask, store, name)))
        await group.add_endpoint(name="snapshot", handler=self._answering(lambda _: self._copy()))
        await group.add_endpoint(name="views", handler=self._answering(functools.partial(describe, store)))
        self._service = service
        await nc.request("ask.views", FIRST, timeout=FIRST_S)

    async def close(self) -> None:
        """Stop answering."""
        if self._service is not None:
            await self._service.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _copy(self) -> bytes:
        path, seq = self._projection.snapshot(self._folder)
        return _encode({"ok": True, "path": str(path), "seq": seq})

    def _answering(self, answer: Callable[[bytes], bytes]) -> Callable[[Request], Any]:
        async def handle(request: Request) -> None:
            await self._projection.fresh()
            for pause in AGAIN_S:
                await asyncio.sleep(pause)
                if reply := await self._in_turn(answer, request.data):
                    break
            await request.respond(reply or BROKEN)

        return handle

    async def _in_turn(self, answer: Callable[[bytes], bytes], body: bytes) -> bytes:
        """One after the other, as long as none takes long."""
        mine = False
        with suppress(TimeoutError):
            mine = await asyncio.wait_for(self._turn.acquire(), TURN_S)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._safely, answer, body)
        finally:
            if mine:
                self._turn.release()

    def _safely(self, answer: Callable[[bytes], bytes], body: bytes) -> bytes:
        """The reply; none when the file is being opened anew."""
        try:
            return answer(body)
        except Closed:
            return b""
        except WitanError as error:
            return _encode(error.answer())
        except (duckdb.FatalException, duckdb.InternalException) as error:
            self._projection.broke(str(error))
            return b""
        except Exception as error:
            self._note.exception("a question could not be answered")
            return _encode(
                {"ok": False, "code": "error", "message": repr(error)[:500], "hint": "See the daemon's log."}
            )
