"""Whether changed files can be read by their language, and what tells whether their types fit."""

import json
import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from actors.executor.files.room import Room
from bus.errors import WitanError

LIMIT_S, CPU_S, MEMORY_BYTES = 20.0, 5, 1 << 30
FILE_MAX_BYTES = 1_000_000
REASON_CHARS = 300
READERS = {".py": "python", ".pyi": "python", ".json": "json", ".toml": "toml"}
_WITH_COMMENTS = ("tsconfig", "jsconfig", ".eslintrc", "devcontainer", "settings", "launch", "tasks", "extensions")
"""Files that are called JSON and may hold comments."""
_CHILD = """
import ast, json, resource, sys, warnings
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[1]), int(sys.argv[1])))
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
warnings.simplefilter("ignore")
def toml(text):
    import tomllib
    tomllib.loads(text.decode())
read = {"python": ast.parse, "json": json.loads, "toml": toml}
def wrong(how, text):
    try:
        read[how](text.encode("latin-1"))
    except BaseException as error:
        return f"{getattr(error, 'lineno', None) or 1}: {type(error).__name__}: {getattr(error, 'msg', None) or error}"
    return ""
for path, how, before, after in json.load(sys.stdin):
    said = wrong(how, after)
    if not said or not before or not wrong(how, before):
        print(json.dumps([path, said]), flush=True)
    else:
        print(json.dumps([path, None]), flush=True)
"""


class Syntax(NamedTuple):
    """`right` is None where no file is of a kind that is read here, or could not be read before either."""

    right: bool | None
    reason: str = ""


def syntax_of(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Syntax:
    """Read in a process of its own, for a file may be made so that its reader takes for ever, or breaks."""
    asked = [
        (path, how, before[path].decode("latin-1"), content.decode("latin-1"))
        for path, content in after.items()
        if (how := _reader(path)) and len(content) <= FILE_MAX_BYTES
    ]
    if not asked:
        return Syntax(None)
    words = [sys.executable, "-I", "-S", "-c", _CHILD, str(CPU_S), str(MEMORY_BYTES)]
    env = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    try:
        done = subprocess.run(words, input=json.dumps(asked).encode(), capture_output=True, env=env, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return Syntax(None, "the files could not be read in time")
    told: dict[str, str | None] = dict(json.loads(line) for line in done.stdout.splitlines())
    broken = next((path for path, *_ in asked if path not in told), "")
    if broken:
        return Syntax(False, f"{broken}: reading it took more than {CPU_S} s or {MEMORY_BYTES >> 20} MiB")
    wrong = next(((path, said) for path, said in told.items() if said), None)
    if wrong:
        return Syntax(False, f"{wrong[0]}:{wrong[1]}"[:REASON_CHARS])
    return Syntax(True if any(said == "" for said in told.values()) else None)


def types_command(room: Room, listed: Iterable[str], changed: Iterable[str]) -> str:
    """What checks the types of the changed files, where the project says that they are to be checked; else nothing."""
    files = [path for path in changed if path.endswith((".py", ".pyi"))]
    if not files:
        return ""
    names, said = set(listed), " ".join(shlex.quote(f"./{path}") for path in files)
    if {"mypy.ini", ".mypy.ini"} & names or _has_table(room, "mypy") or "[mypy]" in _text(room, "setup.cfg"):
        how = 'mypy --no-error-summary --follow-imports=silent --cache-dir="$TMPDIR/mypy" --'
    elif "pyrightconfig.json" in names or _has_table(room, "pyright"):
        how = "pyright"
    else:
        return ""
    return f"command -v {how.split()[0]} >/dev/null || exit 127\nexec {how} {said}"


def _reader(path: str) -> str:
    name = PurePosixPath(path)
    how = READERS.get(name.suffix, "")
    return "" if how == "json" and name.name.startswith(_WITH_COMMENTS) else how


def _has_table(room: Room, tool: str) -> bool:
    try:
        return tool in tomllib.loads(_text(room, "pyproject.toml")).get("tool", {})
    except (tomllib.TOMLDecodeError, AttributeError, RecursionError, TypeError):
        return False


def _text(room: Room, path: str) -> str:
    try:
        return room.load(room.plain(path), FILE_MAX_BYTES).content.decode(errors="replace")
    except (OSError, WitanError):
        return ""
