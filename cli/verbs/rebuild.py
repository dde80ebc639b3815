"""`witan rebuild`: make the tables anew from the log, or prove that they say what the log says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from bus.errors import Broken, Missing, Refused
from cli.bar import bar
from cli.config import Settings
from cli.exits import Absent
from cli.options import placed
from cli.output import Form, formatted, print_one, talk
from cli.reach import connected, daemon_of, file_of, snapshot

if TYPE_CHECKING:
    from bus.jetstream import JetStreamLog
    from projections.rebuild import Verdict


@click.command("rebuild")
@click.option("--verify", "only_compare", is_flag=True, help="Change nothing: build beside, compare, and say so.")
@placed
@formatted
def verb(only_compare: bool, settings: Settings, form: Form) -> None:
    """Make the tables anew from the log's first event on; needs Witan to be stopped.

    With --verify nothing changes, and Witan may run: they are built beside, and both must say the same.
    """
    if only_compare:
        verdict = asyncio.run(_compare(settings))
        if verdict.differing:
            raise Broken(
                f"at seq {verdict.seq} the tables do not say what the log says: {', '.join(verdict.differing)}",
                "Make them anew: witan down, witan rebuild, witan up --detach.",
            )
        print_one({"seq": verdict.seq, "same": True}, form)
        return
    daemon = daemon_of(settings)
    if daemon:
        raise Refused(
            f"the running Witan (pid {daemon.pid}) has the tables open",
            "witan down, witan rebuild, witan up --detach; or compare only, with witan rebuild --verify.",
        )
    print_one({"seq": asyncio.run(_build(settings)), "file": str(file_of(settings))}, form)


async def _build(settings: Settings) -> int:
    from projections.rebuild import rebuild

    async with _log(settings) as log:
        with bar("rebuilding") as advance:
            return await rebuild(log, file_of(settings), advance)


async def _compare(settings: Settings) -> "Verdict":
    from projections.rebuild import verify

    path = file_of(settings)
    async with _log(settings) as log:
        if settings.nats_url or daemon_of(settings):
            path = (await snapshot(log.connection)).path
        if not path.exists():
            raise Missing(f"there is no {path} on this machine", "Make it: witan rebuild.")
        with bar("comparing") as advance:
            return await verify(log, path, advance)


@asynccontextmanager
async def _log(settings: Settings) -> AsyncIterator["JetStreamLog"]:
    """The log of a running Witan, or of a stopped one: then its server is started for as long as this takes."""
    from bus.connection import connect
    from bus.jetstream import JetStreamLog
    from bus.server import Server

    if settings.nats_url or daemon_of(settings):
        async with connected(settings) as connection:
            yield JetStreamLog(connection)
        return
    folder = settings.state_dir / "nats"
    if not folder.exists():
        raise Absent(f"there is no log in {settings.state_dir}", "Start Witan once: witan up --detach.")
    talk("No Witan runs here; its NATS server is started for this.")
    server = Server(folder)
    await server.start()
    try:
        connection = await connect(server.url, name="witan-cli")
        try:
            yield JetStreamLog(connection)
        finally:
            await connection.close()
    finally:
        await server.stop()
