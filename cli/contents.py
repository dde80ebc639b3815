"""Texts that are too large for the log, fetched from the blob store, and those that the log has itself."""

from collections.abc import Iterable

from bus.blobs import sha256
from bus.errors import Broken, WitanError
from cli.config import Settings
from cli.output import talk
from cli.reach import on_log
from cli.reading import Views


def fetched(settings: Settings, digests: Iterable[str]) -> dict[str, bytes]:
    """What the blob store has of these; whatever is missing is said and left out."""
    wanted = sorted({*digests})
    if not wanted:
        return {}

    async def look(log: object) -> dict[str, bytes]:
        from bus.blobs import Blobs
        from bus.jetstream import JetStreamLog

        assert isinstance(log, JetStreamLog)
        blobs, found = Blobs(log.connection), {}
        for digest in wanted:
            try:
                found[digest] = await blobs.get(digest)
            except WitanError as error:
                talk(f"{error} {error.what_next}")
        return found

    return on_log(settings, look)


def of_artifacts(settings: Settings, views: Views, task: str, digests: Iterable[str]) -> dict[str, bytes]:
    """The contents of a task's artifacts by sha256: from the log where they stand there, else from the blob store."""
    found: dict[str, bytes] = {}
    offset, more = 0, True
    while more:
        page = views.ask("contents", {"task": task, "limit": 50, "offset": offset})
        found.update({row["sha256"]: row["content"].encode() for row in page.dicts})
        offset, more = offset + len(page.rows), page.truncated and bool(page.rows)
    for digest, content in found.items():
        if sha256(content) != digest:
            raise Broken(f"the artifact {digest} of task {task} is not what its name says")
    return found | fetched(settings, (digest for digest in digests if digest not in found))
