"""A council's answer is put into the agent's workspace: whole, once, and the same again after a crash."""

import msgspec

from actors.council.problem import read_proposal
from actors.executor.files.room import Outcome, Room
from actors.executor.git.opened import Opened, write_whole
from actors.executor.trials.changes import planned, put
from actors.executor.trials.likeness import diff_of
from bus.errors import Missing, Refused, WitanError

DIFF_MAX_CHARS = 100_000


class _Note(msgspec.Struct, frozen=True):
    """Written before the first file is, beside the workspace: what was worked out is what is put there, at any time."""

    key: str
    files: dict[str, bytes]
    created: list[str]
    text: str


def apply(room: Room, place: Opened, key: str, solution: bytes) -> Outcome:
    """`key` is the call's own, so that the same call finds what it had begun; it does not do it to newer files."""
    note = place.beside("applied")
    try:
        known = _read(note.read_bytes() if note.exists() else b"", key)
        if known is None:
            plan = planned(room, read_proposal(solution))
            known = _Note(key, plan.after, sorted(plan.created), _told(plan.before, plan.after, plan.created))
            write_whole(note, msgspec.msgpack.encode(known))
    except WitanError as error:
        return _failed(f"the council's solution does not apply; nothing was changed: {error}", error)
    try:
        put(room, known.files)
    except WitanError as error:
        return _failed(f"the council's solution is in place in part only ({', '.join(known.files)}): {error}", error)
    wrote = tuple(path for path in known.files if path not in known.created)
    return Outcome(True, known.text, created=tuple(known.created), wrote=wrote)


def _failed(text: str, error: WitanError) -> Outcome:
    return Outcome(False, text, {Refused: "permission_denied", Missing: "file_not_found"}.get(type(error), "unknown"))


def _read(content: bytes, key: str) -> _Note | None:
    try:
        note = msgspec.msgpack.decode(content, type=_Note)
    except msgspec.MsgspecError:
        return None
    return note if note.key == key else None


def _told(before: dict[str, bytes], after: dict[str, bytes], created: frozenset[str]) -> str:
    names = [f"{'created' if path in created else 'changed'} {path}" for path in after]
    diff = diff_of(before, after)
    cut = f"\n[… {len(diff) - DIFF_MAX_CHARS:,} letters left out …]" if len(diff) > DIFF_MAX_CHARS else ""
    return f"the council's solution is applied: {', '.join(names)}\n\n{diff[:DIFF_MAX_CHARS]}{cut}"
