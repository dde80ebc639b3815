"""New stores for tests: to plan a hundred views takes longer than most tests, so it is done once and copied."""

import functools
import tempfile
from pathlib import Path

from projections.store import Store


@functools.cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "empty.duckdb")
        store.checkpoint()
        store.close()
        return store.path.read_bytes()


def new_store(path: Path) -> Store:
    """An empty store, whatever lay there before."""
    path.with_name(path.name + ".wal").unlink(missing_ok=True)
    path.write_bytes(_empty())
    return Store(path)
