"""What ruff says about a Python text: told through stdin, without the project's settings, within a time."""

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from actors.executor.reviewing.measuring import Issue

LINT_S = 20
RULES = ("E4", "E7", "E9", "F", "W6", "B", "S", "C4", "SIM", "PLE", "ASYNC", "RUF")
NEVER, FOR_TESTS = ("S101",), ("S105", "S106")
"""Assertions are no fault; made-up passwords are none in tests."""
UNSOUND, UNSAFE = ("F", "E9", "B", "PLE", "ASYNC"), ("S",)


class _Place(msgspec.Struct):
    row: int = 1


class _Found(msgspec.Struct):
    code: str | None = None
    message: str = ""
    location: _Place = msgspec.field(default_factory=_Place)


_read = msgspec.json.Decoder(list[_Found]).decode


def linted(text: str, name: str) -> list[Issue] | str:
    """The issues, or why there are none to be had."""
    program = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if program is None:
        return "ruff is not installed here"
    is_test = name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"
    words = ["check", "--isolated", "--no-cache", "--quiet", "--exit-zero", "--output-format=json"]
    words += [f"--select={','.join(RULES)}", "--target-version=py311", "--stdin-filename=stdin.py"]
    words += [f"--ignore={','.join([*NEVER, *(FOR_TESTS if is_test else ())])}"]
    try:
        ran = subprocess.run(
            [program, *words, "-"],
            input=text.encode(errors="replace"),
            capture_output=True,
            timeout=LINT_S,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "NO_COLOR": "1"},
            check=False,
        )
        found = _read(ran.stdout)
    except subprocess.TimeoutExpired:
        return f"ruff said nothing within {LINT_S} s"
    except (OSError, msgspec.MsgspecError) as error:
        return f"ruff failed: {error}"[:200]
    return [Issue(each.location.row, _kind_of(each.code or ""), _words(each)) for each in found if _is_news(each)]


def _is_news(found: _Found) -> bool:
    """A text that does not parse is told of once, by whoever parses it."""
    return bool(found.code) and found.code != "invalid-syntax"


def _kind_of(code: str) -> str:
    letters = code.rstrip("0123456789")
    if letters in UNSAFE:
        return "unsafe"
    return "unsound" if letters in UNSOUND or code.startswith("E9") else "style"


def _words(found: _Found) -> str:
    return f"{found.code} {' '.join(found.message.split())}"[:200]
