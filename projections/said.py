"""What the records of the log say, as rows: one for each event, and one for each record that cannot be read."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypedDict, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import astuple, fields

from bus.envelope import Record
from bus.messages.base import Event
from bus.messages.kinds import EVENTS_OF

Whole = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Size = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
UNREADABLE, UNREADABLE_MAX = "Unreadable", 1000


class Made(TypedDict, total=False):
    """What is kept of an artifact; its content is not."""

    name: str | None
    type: str | None
    sha256: str | None
    bytes: Size | None


class Said(Struct, gc=False, rename={"slots": "limit"}):
    """What an event can say and views often want, in columns; what they seldom want they find in the event itself."""

    task: str | None = None
    workflow: str | None = None
    phases: list[str] | None = None
    priority: Whole | None = None
    phase: str | None = None
    role: str | None = None
    agent: str | None = None
    run: str | None = None
    attempt: Whole | None = None
    reason: str | None = None
    slots: Whole | None = None
    mind: str | None = None
    artifacts: list[Made] | None = None
    call: str | None = None
    again: Whole | None = None
    turn: Whole | None = None
    tool: str | None = None
    ok: bool | None = None
    ms: float | None = None
    failure: str | None = None


class Opened(Struct, gc=False):
    """The envelope of a commit, its events unread."""

    id: str | None = None
    events: list[Raw] = []
    at: str | None = None
    by: str | None = None
    cause: str | None = None
    flow: str | None = None
    v: Count | None = None


class Named(Struct):
    """All that is wanted of an event whose fields are not ours."""

    type: str


HEAD = [
    "seq",
    "happened",
    "kind",
    "id",
    "owner",
    "writer",
    "cause",
    "commit_id",
    "flow",
    "v",
    "n",
    "body",
    "type",
    "text",
]
COLUMNS = (*HEAD, *(field.name for field in fields(Said)))
_keys = {field.encode_name: field for field in fields(Said)}


def _is_list(type: Any) -> bool:
    return any(get_origin(each) is list for each in (type, *get_args(type)))


def _with_defaults(event: type[Event]) -> type[Struct]:
    """The same columns, in which this event says what it means by saying nothing.

    A number that goes by the name of a list is no such column: nothing is ever called `!`.
    """
    mine = [each for each in fields(event) if each.encode_name in _keys]
    other = [each.encode_name for each in mine if _is_list(each.type) != _is_list(_keys[each.encode_name].type)]
    meant: list[Any] = [
        (_keys[each.encode_name].name, _keys[each.encode_name].type, each.default)
        for each in mine
        if each.default is not msgspec.NODEFAULT and each.encode_name not in other
    ]
    meant += [(_keys[name].name, _keys[name].type, None) for name in other]
    renamed = {_keys[name].name: "!" for name in other}
    return msgspec.defstruct(
        event.__name__, meant, bases=(Said,), tag_field="type", tag=True, gc=False, rename=renamed or None
    )


KNOWN = [_with_defaults(event) for union in EVENTS_OF.values() for event in get_args(union)]
_open = msgspec.json.Decoder(Opened).decode
_read_known = msgspec.json.Decoder(Union[tuple(KNOWN)]).decode  # noqa: UP007
_read_named = msgspec.json.Decoder(Named).decode
_read_said = msgspec.json.Decoder(Said).decode
SEALED, NOTHING = Opened(), astuple(Said())
_CANNOT = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def spelling() -> str:
    """Which columns each event fills and with what it does so unasked; other tables are needed when this changes."""
    return repr([(known.__name__, [(field.name, field.default) for field in fields(known)]) for known in KNOWN])


def cells(batch: Sequence[Record]) -> list[Any]:
    """All events of the records, row after row of `COLUMNS` in one list: an object for each row would cost more."""
    said: list[Any] = []
    for record in batch:
        subject, seq, body = record.subject, record.seq, record.body
        root, *route = subject.split(".")
        kind, first, second = (*route, None, None, None)[:3]
        try:
            commit = _open(body)
        except _CANNOT:
            commit = SEALED
        owner, id = (first, second) if second else (None, first)
        head = (seq, commit.at, kind, id, owner, commit.by, commit.cause, commit.id, commit.flow, commit.v)
        if not commit.id or not commit.events or root != "evt" or not 2 <= len(route) <= 3:
            said.extend((*head, 0, _text(body[:UNREADABLE_MAX]), UNREADABLE, None, *NOTHING))
            continue
        task = first if kind == "task" else None
        for n, raw in enumerate(commit.events):
            said.extend((*head, n, _text(raw), *_event(raw, task)))
    return said


def _text(raw: Raw | bytes) -> str:
    return str(raw, "utf-8", "backslashreplace")


def _event(raw: Raw, task: str | None) -> Iterable[Any]:
    """Its type, the text if it is of a task, and the rest; a task's events do not name the task, their subject does."""
    try:
        event = _read_known(raw)
        type = event.__class__.__name__
    except _CANNOT:
        type, event = _strange(raw)
    if task is None:
        return type, None, *astuple(event)
    text, event.task = event.task, task
    return type, text, *astuple(event)


def _strange(raw: Raw) -> tuple[str, Said]:
    """An event of a type that is not known here, or with fields that mean something else by our names."""
    try:
        type = _read_named(raw).type
    except _CANNOT:
        return UNREADABLE, Said()
    try:
        return type, _read_said(raw)
    except _CANNOT:
        return type, Said()
