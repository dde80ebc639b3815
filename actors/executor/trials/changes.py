"""The changes of a proposal, worked out before anything is written: all of them are put in place, or none."""

import stat
from typing import NamedTuple

from actors.council.problem import Change, Proposal
from actors.executor.files.editing import replaced
from actors.executor.files.room import READ_MAX_BYTES, Room, demand_regular
from bus.errors import Invalid, Missing, Refused


class Planned(NamedTuple):
    """Files by path as they are and as they will be. `created` are not there yet; before, they are empty."""

    before: dict[str, bytes]
    after: dict[str, bytes]
    created: frozenset[str]


def planned(room: Room, proposal: Proposal) -> Planned:
    """What the proposal makes of the files; Invalid, Refused or Missing where it does not fit."""
    before: dict[str, bytes] = {}
    after: dict[str, bytes] = {}
    created: set[str] = set()
    for change in proposal.changes:
        try:
            path = room.writable(change.path)
            if path not in after:
                found = _load(room, path)
                before[path] = after[path] = found or b""
                if found is None:
                    created.add(path)
        except OSError as error:
            raise Refused(f"{change.path!r}: {error.strerror}", "Name a file of the workspace.") from error
        after[path] = _changed(path, after[path], change, absent=path in created and not after[path])
    inside = next((each for each in created for other in after if other.startswith(f"{each}/")), "")
    if inside:
        raise Invalid(f"{inside!r} is a file and a folder at once", "Name them differently.")
    if before == after:
        raise Invalid("it changes nothing", "Propose a change.")
    return Planned(before, after, frozenset(created))


def put(room: Room, after: dict[str, bytes]) -> None:
    """Each file whole and at once; done twice, it is done once."""
    for path, content in after.items():
        try:
            room.save(room.writable(path), content)
        except OSError as error:
            raise Refused(f"{path!r}: {error.strerror}", "Look at the free space and the permissions.") from error


def _load(room: Room, path: str) -> bytes | None:
    mode = room.mode(path)
    if mode is None:
        return None
    demand_regular(path, mode)
    if not stat.S_IMODE(mode) & 0o222:
        raise Refused(f"{path!r} is read-only", "Leave it as it is.")
    return room.load(path).content


def _changed(path: str, content: bytes, change: Change, absent: bool) -> bytes:
    if change.old:
        if absent:
            raise Missing(f"there is no {path!r}", "Leave `old` empty to make a new file.")
        content = replaced(path, content, change.old, change.new)
    else:
        try:
            content = change.new.encode()
        except UnicodeEncodeError as error:
            raise Invalid(f"{path!r} cannot be written in UTF-8: {error.reason}") from error
    if len(content) > READ_MAX_BYTES:
        raise Invalid(f"{path!r} would have {len(content):,} bytes; the most is {READ_MAX_BYTES:,}", "Write less.")
    return content
