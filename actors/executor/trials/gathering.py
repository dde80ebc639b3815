"""A problem as it lies in the tree: the files that matter, how it is tested, and what it is known by."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from actors.council.problem import Problem, Source
from actors.executor import reports
from actors.executor.files.room import Room
from actors.executor.git.opened import Opened
from actors.executor.git.walking import FILE, PROGRAM
from actors.executor.git.workspaces import now_in
from actors.executor.trials.kinds import kind_of, stable
from actors.executor.trials.naming import Spoken, Tree, imported_by, spoken_of
from actors.executor.trials.wanted import Found, Gather
from actors.redaction import Redactor
from actors.territory import Territory
from bus.blobs import noted, sha256
from bus.errors import WitanError
from bus.messages.trial import ProblemGathered

FILES_MAX_BYTES = 60 * 1024
WHOLE_MAX_BYTES, PART_MAX_BYTES = 24 * 1024, 12 * 1024
"""A longer file is shown by the part around the line that the error names, or by its beginning."""
READ_MAX_BYTES = 1_000_000
IMPORTS_MAX, OTHERS_MAX = 40, 300


class _Taken(NamedTuple):
    """The files that are shown, and those that are only named."""

    files: list[Source]
    others: list[str]


def gathered(place: Opened, wanted: Gather, redactor: Redactor) -> Found:
    """Everything that a member is told, without secrets."""
    now, brief = now_in(place), wanted.brief
    entries = {
        path.decode(): entry.sha
        for path, entry in now.entries.items()
        if entry.mode in (FILE, PROGRAM) and _is_text(path)
    }
    names = Tree(entries)
    changed = [path.decode(errors="replace") for path in now.changed]
    with Room(Path(place.path), Territory()) as room:
        taken = _take(room, names, _chosen(room, names, wanted, changed))
    kind = kind_of(brief.failure, brief.error)
    problem = Problem(
        kind,
        brief.task,
        brief.phase,
        brief.failure,
        brief.error,
        brief.attempts,
        brief.constraints,
        taken.files,
        taken.others,
        reports.command_for(entries) or wanted.command,
        brief.territory,
    )
    content = msgspec.json.encode(redactor.tree(msgspec.to_builtins(problem)))
    said, kept = noted(content)
    known_by = (kind, stable(brief.error), sorted((source.path, entries[source.path]) for source in taken.files))
    event = ProblemGathered(
        problem=said,
        bytes=len(content),
        fingerprint=sha256(msgspec.json.encode(known_by)),
        kind=kind,
        tests=redactor.text(problem.tests),
        tree=now.tree,
    )
    return Found(wanted, event, kept)


def _chosen(room: Room, names: Tree, wanted: Gather, changed: Iterable[str]) -> Iterator[Spoken]:
    """The most telling first: what the error names, the failing tests, what the task changed, what these import."""
    seen: dict[str, None] = {}

    def fresh(spoken: Iterable[Spoken]) -> Iterator[Spoken]:
        for each in spoken:
            if each.path in names.paths and each.path not in seen:
                seen[each.path] = None
                yield each

    said = "\n".join((wanted.brief.error, *wanted.failing, *wanted.brief.attempts))
    yield from fresh(spoken_of(said, names))
    yield from fresh(Spoken(path, 0) for path in changed)
    importing = list(seen)[:IMPORTS_MAX]
    for path in importing:
        text = _read(room, path)
        found = list(fresh(Spoken(each, 0) for each in imported_by(path, text or "", names)))
        importing += [each.path for each in found][: max(0, IMPORTS_MAX - len(importing))]
        yield from found
    if not seen:
        yield from fresh(Spoken(path, 0) for path in sorted(names.paths))


def _take(room: Room, names: Tree, chosen: Iterable[Spoken]) -> _Taken:
    files: list[Source] = []
    others: dict[str, None] = {}
    left = FILES_MAX_BYTES
    for path, line in chosen:
        text = (_read(room, path) if left > 0 else None) or ""
        whole = len(text.encode()) <= min(left, WHOLE_MAX_BYTES)
        shown = text if whole else _part(text, line, min(left, PART_MAX_BYTES))
        if shown:
            files.append(Source(path, shown, whole))
            left -= len(shown.encode())
        else:
            others[path] = None
    paths = {source.path for source in files}
    others |= dict.fromkeys(path for path in sorted(names.paths) if path not in paths)
    return _Taken(files, list(others)[:OTHERS_MAX])


def _read(room: Room, path: str) -> str | None:
    """None: it is no text, or a huge one."""
    try:
        content = room.load(room.plain(path), READ_MAX_BYTES).content
        text = content.decode()
    except (OSError, WitanError, UnicodeDecodeError):
        return None
    return None if "\0" in text else text


def _part(text: str, line: int, most: int) -> str:
    """Whole lines around the one that is named, so that they can be quoted as they are."""
    lines = text.splitlines(keepends=True)
    if not lines:
        return ""
    first = last = min(max(line - 1, 0), len(lines) - 1)
    left = most - len(lines[first].encode())
    if left < 0:
        return ""
    grows = True
    while grows:
        grows = False
        for place in (last + 1, first - 1):
            if 0 <= place < len(lines) and len(lines[place].encode()) <= left:
                left -= len(lines[place].encode())
                first, last, grows = min(first, place), max(last, place), True
    return "".join(lines[first : last + 1])


def _is_text(path: bytes) -> bool:
    try:
        return bool(path.decode())
    except UnicodeDecodeError:
        return False
