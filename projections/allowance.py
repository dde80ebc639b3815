"""How much memory DuckDB may take: little, because it keeps what it has read; and more while that is needed."""

import contextlib
import threading
from collections.abc import Iterator

import duckdb

from projections.statements import SAY

MEMORY, MEMORY_MORE = "80MB", "512MB"
CRAMPED = (duckdb.OutOfMemoryException, duckdb.TransactionException)
"""How a statement ends that has too little, the second when its commit finds that out. Nothing of it is there then."""


class Allowance:
    """What one open file may take."""

    def __init__(self, db: duckdb.DuckDBPyConnection, usual: str) -> None:
        self._db, self._usual = db, usual
        self._lock, self._users, self._is_usual = threading.Lock(), 0, True

    @contextlib.contextmanager
    def raised(self) -> Iterator[None]:
        """For whoever did not get by with the usual."""
        with self._lock:
            self._users += 1
            self._set(MEMORY_MORE)
            self._is_usual = False
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
            self.settle()

    def settle(self) -> None:
        """Give back what nobody needs any more. What somebody holds yet goes when he is through."""
        if self._is_usual:
            return
        with self._lock, contextlib.suppress(duckdb.OutOfMemoryException):  # it is still held
            if not self._users:
                self._set(self._usual)
                self._is_usual = True

    def _set(self, size: str) -> None:
        with contextlib.suppress(duckdb.ConnectionException), self._db.cursor() as cursor:  # it may just be closed
            cursor.execute(SAY["limit_memory"], {"size": size})
