"""The tool `review_code`: a file, or the files of a folder, read in a workspace, counted and scored."""

import re
import stat
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from actors import tools
from actors.executor.files.looking import walk
from actors.executor.files.room import Outcome, Room
from actors.executor.reviewing.linting import linted
from actors.executor.reviewing.measuring import Issue, measured, measured_python
from actors.executor.reviewing.scoring import Score, in_words, scored, suggestions

FILES_MAX, FILE_MAX_BYTES = 30, 300_000
ENTRIES_MAX, TESTS_MAX = 5_000, 60
ISSUES_MAX, ISSUES_OF_MANY_MAX = 40, 8
NOT_OURS = re.compile(r"(^|/)(\.[^/]+|node_modules|venv|build|dist|__pycache__|vendor)(/|$)")
IS_TEST = re.compile(r"(^|/)(test_[^/]*|[^/]*_test|[^/]*\.test|[^/]*\.spec)\.[a-z]+$|(^|/)tests?/")
CODE = re.compile(r"\.(py|js|jsx|ts|tsx|go|rs|java|rb|c|h|cpp|cs|php|sh|sql|kt|swift|scala|lua)$")
ONLY_COUNTED = "Only counted: whether it does the right thing is for you to judge, from what it says."


class Reviewed(NamedTuple):
    """One file. `aside` is what could not be found out."""

    path: str
    lines: int
    about: str
    score: Score
    issues: Sequence[Issue]
    aside: str = ""


def review(room: Room, tool: tools.ReviewCode) -> Outcome:
    """One file with all its issues, or the worst of a folder's files first."""
    path = room.plain(tool.path)
    there = list(islice(_files(room), ENTRIES_MAX))
    if stat.S_ISREG(room.mode(path) or 0):
        reviewed = _reviewed(room, path, there)
        return Outcome(True, "\n".join([*_told(reviewed, ISSUES_MAX), "", ONLY_COUNTED]), read=(path,))
    above = "" if path == "." else f"{path}/"
    inside = [each for each in there if each.startswith(above) and CODE.search(each)]
    if not inside:
        return Outcome(False, f"{path}: there is no such file, and no code below it", "file_not_found")
    return _folder(room, path, inside, there)


def _files(room: Room) -> Iterator[str]:
    """All files of the workspace but those that somebody else wrote or a tool made."""
    ahead = ["."]
    while ahead:
        for entry in walk(room.folder, ahead.pop(), depth=1):
            if entry.kind == "folder" and not NOT_OURS.search(entry.path):
                ahead.append(entry.path)
            elif entry.kind == "file":
                yield entry.path


def _folder(room: Room, path: str, inside: list[str], there: list[str]) -> Outcome:
    reviewed = [_reviewed(room, each, there) for each in inside[:FILES_MAX]]
    lines = sum(each.lines for each in reviewed)
    mean = sum(each.score.points * max(each.lines, 1) for each in reviewed) / max(lines, len(reviewed))
    left = len(inside) - len(reviewed)
    said = [f"{path}: {round(min(mean, 10.0), 1):g} of 10 over {len(reviewed)} files, {lines} lines, weighed by lines"]
    said += [f"{left} more files were not looked at; review a smaller folder."] if left else []
    for each in sorted(reviewed, key=lambda each: (each.score.points, each.path)):
        said += ["", *_told(each, ISSUES_OF_MANY_MAX)] if each.issues else []
    clean = [each.path for each in reviewed if not each.issues]
    said += ["", f"Nothing found in: {', '.join(clean)}"] if clean else []
    return Outcome(True, "\n".join([*said, "", ONLY_COUNTED]), read=tuple(each.path for each in reviewed))


def _reviewed(room: Room, path: str, there: Sequence[str]) -> Reviewed:
    content = room.load(path).content
    if b"\0" in content[:8192] or len(content) > FILE_MAX_BYTES:
        why = f"a binary file, or one of more than {FILE_MAX_BYTES:,} bytes: not looked at"
        return Reviewed(path, 0, why, scored([]), [], "")
    text = content.decode("utf-8-sig", errors="replace")
    if not path.endswith(".py"):
        sizes = measured(text)
        about = f"{sizes.lines} lines; not Python, so only sizes were looked at"
        return Reviewed(path, sizes.lines, about, scored(sizes.issues), sizes.issues)
    shape = measured_python(text)
    found = linted(text, path.rpartition("/")[2]) if shape.parses else []
    issues = [*shape.issues, *(found if isinstance(found, list) else [])]
    if shape.functions and not IS_TEST.search(path) and not _is_tested(room, path, there):
        issues.append(Issue(1, "no tests", "no test in this workspace names it"))
    about = f"Python, {shape.lines} lines, {shape.functions} functions"
    issues = sorted(set(issues))
    return Reviewed(path, shape.lines, about, scored(issues), issues, found if isinstance(found, str) else "")


def _is_tested(room: Room, path: str, there: Sequence[str]) -> bool:
    """Whether a test says the module's name, in its own name or in its text."""
    stem = path.rpartition("/")[2].removesuffix(".py")
    stem = path.split("/")[-2] if stem in ("__init__", "__main__") and "/" in path else stem
    tests = [each for each in there if IS_TEST.search(each) and each.endswith(".py")]
    if any(stem in each.rpartition("/")[2] for each in tests):
        return True
    word = re.compile(rf"\b{re.escape(stem)}\b".encode())
    return any(word.search(room.load(each).content[:FILE_MAX_BYTES]) for each in tests[:TESTS_MAX])


def _told(each: Reviewed, most: int) -> list[str]:
    said = [f"{each.path}: {each.score.points:g} of 10 ({each.about})", f"Score: {in_words(each.score)}."]
    said += [f"Not found out: {each.aside}."] if each.aside else []
    said += [f"  line {issue.line}: {issue.words}" for issue in each.issues[:most]]
    said += [f"  and {len(each.issues) - most} more"] if len(each.issues) > most else []
    return said + [f"- {advice}" for advice in suggestions(each.score.parts)]
