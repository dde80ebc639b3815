"""Records on their way into DuckDB: in pieces that fit into memory, as the columns of the facts."""

import datetime
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, get_args

import pyarrow as pa
from msgspec.structs import fields

from bus.envelope import Record
from projections.said import COLUMNS, Made, Said, Whole, cells

CHUNK_BYTES = 8 * 1024 * 1024
CHUNK_RECORDS = 2_500
"""What fits into the caches: four times as many cost a fifth more each."""

MOMENT = pa.timestamp("us")
ARROW: dict[Any, pa.DataType] = {
    str: pa.string(),
    Whole: pa.int32(),
    float: pa.float64(),
    bool: pa.bool_(),
    list[str]: pa.list_(pa.string()),
    list[Made]: pa.list_(
        pa.struct({"name": pa.string(), "type": pa.string(), "sha256": pa.string(), "bytes": pa.int64()})
    ),
}
TYPES = dict.fromkeys(COLUMNS, pa.string())
TYPES |= {field.name: ARROW[get_args(field.type)[0]] for field in fields(Said)}
TYPES |= {"seq": pa.uint64(), "n": pa.uint32(), "v": pa.uint32(), "happened": MOMENT}


def chunks(batch: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """The batch in pieces that fit into memory, whatever it holds."""
    start = size = 0
    for place, record in enumerate(batch):
        size += len(record.body)
        if size > CHUNK_BYTES or place - start >= CHUNK_RECORDS:
            if place > start:
                yield batch[start:place]
            start, size = place, len(record.body)
    if start < len(batch):
        yield batch[start:]


def ascending(batch: Sequence[Record], after: int) -> Sequence[Record]:
    """What lies behind a place, in order and each once."""
    fresh = [record for record in batch if record.seq > after]
    if any(later.seq <= earlier.seq for earlier, later in pairwise(fresh)):
        return sorted({record.seq: record for record in fresh}.values(), key=lambda record: record.seq)
    return fresh


def table(batch: Sequence[Record]) -> pa.Table:
    """What the batch says, as an Arrow table with the columns of the facts."""
    said = cells(batch)
    columns = [_column(name, said[place :: len(COLUMNS)]) for place, name in enumerate(COLUMNS)]
    return pa.Table.from_arrays(columns, COLUMNS)


def _column(name: str, values: Sequence[Any]) -> pa.Array:
    return _moments(values) if name == "happened" else pa.array(values, TYPES[name])


def _moments(texts: Sequence[str | None]) -> pa.Array:
    """Arrow reads all of them at once, or one by one when some are not as we write them."""
    try:
        return pa.array(texts, pa.string()).cast(pa.timestamp("us", "UTC")).cast(MOMENT)
    except pa.ArrowInvalid:
        return pa.array(map(_moment, texts), MOMENT)


def _moment(text: str | None) -> datetime.datetime | None:
    try:
        moment = datetime.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment.astimezone(datetime.UTC).replace(tzinfo=None) if moment.tzinfo else moment


def release_memory() -> None:
    """Arrow keeps what its tables took, a dozen megabytes."""
    pa.default_memory_pool().release_unused()


EMPTY = pa.table({name: pa.array([], TYPES[name]) for name in COLUMNS})


class Tray:
    """What is inserted next. DuckDB knows it by name once and asks for its content at each insert."""

    table = EMPTY

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)
