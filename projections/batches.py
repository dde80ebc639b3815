"""Records on their way into DuckDB: in pieces that fit into memory, as columns that it can read."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pyarrow as pa

from bus.envelope import Record

CHUNK_BYTES = 8 * 1024 * 1024
CHUNK_RECORDS = 10_000


def chunks(batch: Sequence[Record], scale: int = 1) -> Iterator[Sequence[Record]]:
    """The batch in pieces that fit into memory, whatever it holds."""
    start = size = 0
    for place, record in enumerate(batch):
        size += len(record.body)
        if size > CHUNK_BYTES * scale or place - start >= CHUNK_RECORDS * scale:
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


def columns(batch: Sequence[Record]) -> pa.Table:
    """The batch as an Arrow table; bytes that are no text become visible escapes."""
    subjects, seqs, bodies = zip(*batch, strict=True)
    try:
        texts = pa.array(bodies, pa.string())
    except pa.ArrowInvalid:
        texts = pa.array([body.decode("utf-8", "backslashreplace") for body in bodies], pa.string())
    return pa.table({"seq": pa.array(seqs, pa.uint64()), "subject": pa.array(subjects, pa.string()), "body": texts})
