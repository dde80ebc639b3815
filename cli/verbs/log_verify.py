"""`witan log verify`: prove that no commit was edited, removed or swapped since it was written."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from bus.errors import Invalid
from bus.log import replay
from bus.verify import Head, Walk
from cli.bar import bar
from cli.config import Settings
from cli.options import placed
from cli.output import Form, formatted, print_one, talk
from cli.reach import on_log

if TYPE_CHECKING:
    from bus.jetstream import JetStreamLog


@click.command("verify")
@click.option(
    "--head",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A head exported earlier: also prove that nothing up to it is gone.",
)
@placed
@formatted
def verb(file: Path | None, settings: Settings, form: Form) -> None:
    """Walk the whole log: every entity's versions without a gap, every link to the commit before, every event readable.

    Names the first broken link. Without --head, an edit of the newest commit of an entity cannot be seen.
    """
    known = _head_in(file) if file else None
    walk = verified(settings, known)
    print_one(summary(walk), form)
    talk(f"Every link holds{f', and so does the head of {known.at}' if known else ''}.")


def verified(settings: Settings, known: Head | None = None) -> Walk:
    """A walk over the whole log as it is now; Broken names the first link that does not hold."""

    async def look(log: "JetStreamLog") -> Walk:
        end = await log.head()
        walk = Walk(known)
        with bar("verifying") as advance:
            async for batch in replay(log, until=end):
                walk.take(batch)
                advance(walk.seq, end)
        walk.finish(end)
        return walk

    return on_log(settings, look)


def summary(walk: Walk) -> dict[str, object]:
    """What was found on the way."""
    head = walk.head
    return {
        "seq": head.seq,
        "commits": head.count,
        "events": walk.events,
        "entities": walk.entities,
        "kinds": dict(sorted(walk.kinds.items())),
        "at": head.at,
        "digest": head.digest,
    }


def _head_in(file: Path) -> Head:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Head)
    except OSError as error:
        raise Invalid(f"{file}: {error.strerror}", "Write one with `witan log export --head --out FILE`.") from error
    except msgspec.MsgspecError as error:
        raise Invalid(
            f"{file} is not an exported head: {error}", "Write one with `witan log export --head`."
        ) from error
