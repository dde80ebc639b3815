"""How a project is tested without a person at the keyboard, and what its test run came to, from its own report."""

import os
import re
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from xml.parsers import expat

from actors.executor.git.walking import open_regular
from bus.messages.base import TestResults

REPORT = "WITAN_REPORT"
"""The variable that says where a test run's report is expected."""
REPORT_MAX_BYTES = 32 * 1024 * 1024
TAIL_MAX_BYTES = 256 * 1024
FAILURES_MAX, NAME_MAX = 50, 200

PYTEST = f'python3 -m pytest -q -p no:cacheprovider --junitxml="${REPORT}"'
UNCONFIGURED = " -c /dev/null --rootdir=. --confcutdir=."
"""A project without settings of its own must not find those of a folder above, which the sandbox does not show."""
CONFIGS = {"pytest.ini", ".pytest.ini", "pytest.toml", "pyproject.toml", "tox.ini", "setup.cfg"}
JEST = "CI=1 npm test -- --ci --forceExit --detectOpenHandles"
_POLITE = """
CI=1 TERM=dumb NO_COLOR=1 PAGER=cat EDITOR=true VISUAL=true LC_ALL=C.UTF-8
GIT_TERMINAL_PROMPT=0 GIT_PAGER=cat GIT_EDITOR=true GIT_SEQUENCE_EDITOR=true GIT_MERGE_AUTOEDIT=no GIT_ASKPASS=true
GIT_HTTP_LOW_SPEED_LIMIT=1000 GIT_HTTP_LOW_SPEED_TIME=30
npm_config_yes=true npm_config_fund=false npm_config_audit=false npm_config_prefer_offline=true
npm_config_update_notifier=false npm_config_progress=false YARN_ENABLE_PROGRESS_BARS=false YARN_ENABLE_TELEMETRY=0
PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off UV_NO_PROGRESS=1 POETRY_NO_INTERACTION=1
DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true APT_LISTCHANGES_FRONTEND=none NEEDRESTART_MODE=a
CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=never TF_INPUT=0 COMPOSER_NO_INTERACTION=1
HOMEBREW_NO_AUTO_UPDATE=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 NEXT_TELEMETRY_DISABLED=1
PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring
"""


def polite_env(report: str = "") -> dict[str, str]:
    """Keeps common tools from asking, paging, colouring and buffering; with `report`, every pytest writes one there."""
    env = dict(word.split("=", 1) for word in _POLITE.split())
    env["GIT_SSH_COMMAND"] = "ssh -o BatchMode=yes -o ConnectTimeout=10"
    if report:
        env[REPORT] = report
        env["PYTEST_ADDOPTS"] = f"-p no:cacheprovider --junitxml={shlex.quote(report)}"
    return env


def command_for(paths: Iterable[str]) -> str:
    """The command that tests a project with these files; empty when nothing says how."""
    listed = {path.removeprefix("./") for path in paths}
    files = [PurePosixPath(path) for path in listed if not path.endswith("/")]
    names = {path.name for path in files if not {"node_modules", ".venv", "venv"} & set(path.parts)}
    if any(re.fullmatch(r"test_.*\.py|.*_test\.py|conftest\.py|pytest\.ini", name) for name in names):
        return PYTEST if CONFIGS & listed else PYTEST + UNCONFIGURED
    if "package.json" in listed:
        return JEST if any(name.startswith("jest.config.") for name in names) else "CI=1 npm test"
    if "Cargo.toml" in listed:
        return "cargo test --no-fail-fast"
    if "go.mod" in listed:
        return "go test -v ./..."
    if {"Makefile", "makefile", "GNUmakefile"} & listed:
        return "make test"
    return PYTEST if {"pyproject.toml", "setup.py", "setup.cfg", "tox.ini"} & listed else ""


def read_report(path: Path | str | None, exit: int | None, output: str) -> TestResults:
    """From the report when there is one, else from the last lines. A run that did not end well is not green."""
    found = _from_xml(_content(path)) if path else None
    found = found or _from_text(output[-TAIL_MAX_BYTES:])
    if exit == 0 or found.failed or found.errors:
        return found
    ended = "was stopped" if exit is None else f"ended with {exit}"
    return TestResults(found.passed, 0, 1, found.skipped, [f"no test failed, but the command {ended}"])


class _Counter:
    """Counts the test cases of a JUnit report while it is read; nothing of it is kept."""

    def __init__(self) -> None:
        self.counts = {"passed": 0, "failed": 0, "errors": 0, "skipped": 0}
        self.failures: list[str] = []
        self._case = self._verdict = ""

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "testcase":
            place = attributes.get("classname") or attributes.get("file") or ""
            self._case = _plain(f"{place}::{attributes.get('name', '')}".removeprefix("::"))
            self._verdict = "passed"
        elif self._verdict and (verdict := _VERDICTS.get(tag)) and _WEIGHT[verdict] > _WEIGHT[self._verdict]:
            self._verdict = verdict

    def end(self, tag: str) -> None:
        if tag != "testcase" or not self._verdict:
            return
        self.counts[self._verdict] += 1
        if self._verdict in ("failed", "errors") and len(self.failures) < FAILURES_MAX:
            self.failures.append(self._case)
        self._verdict = ""


_VERDICTS = {"failure": "failed", "error": "errors", "skipped": "skipped"}
_WEIGHT = {"passed": 0, "skipped": 1, "errors": 2, "failed": 3}


def _content(path: Path | str) -> bytes:
    """The command under test wrote this file, so it may be anything."""
    try:
        fd = open_regular(path)
    except OSError:
        return b""
    if fd is None:
        return b""
    with open(fd, "rb") as file:
        return file.read(REPORT_MAX_BYTES) if os.fstat(fd).st_size <= REPORT_MAX_BYTES else b""


def _from_xml(content: bytes) -> TestResults | None:
    """None when it is no report. A document type is refused before anything of it is expanded."""
    counter, parser = _Counter(), expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise ValueError("a document type in a report")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = counter.begin, counter.end
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError):
        return None
    return TestResults(**counter.counts, failures=counter.failures)


def _from_text(output: str) -> TestResults:
    """What the last words of a known tool say; nothing counted when no tool is known by them."""
    lines = [_plain(line, 1000) for line in output.splitlines()]
    for read in (_pytest, _unittest, _jest, _cargo, _go, _tap, _mocha):
        if found := read(lines):
            return found
    return TestResults()


def _pytest(lines: list[str]) -> TestResults | None:
    said = _last(lines, re.compile(r"(?:=+ )?((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s\b").match)
    if said is None:
        return None
    count = _numbers(said, r"(\d+) ([a-z]+)")
    failures = [line.split(" ", 1)[1].split(" - ")[0] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    errors = count.get("error", 0) + count.get("errors", 0)
    passed = count.get("passed", 0) + count.get("xpassed", 0)
    return _results(passed, count.get("failed", 0), errors, count.get("skipped", 0), failures)


def _unittest(lines: list[str]) -> TestResults | None:
    ran = _last(lines, re.compile(r"Ran (\d+) tests? in ").match)
    said = _last(lines, re.compile(r"(?:OK|FAILED)\b(.*)").match)
    if ran is None or said is None:
        return None
    count = {word: _count(number) for word, number in re.findall(r"([a-z]+)=(\d+)", said)}
    failed, errors, skipped = (count.get(word, 0) for word in ("failures", "errors", "skipped"))
    failures = [line.split(" ", 1)[1] for line in lines if line.startswith(("FAIL: ", "ERROR: "))]
    return _results(max(0, _count(ran) - failed - errors - skipped), failed, errors, skipped, failures)


def _jest(lines: list[str]) -> TestResults | None:
    """Jest and vitest."""
    said = _last(lines, re.compile(r"\s*Tests:?\s+(\d+ .*)").match)
    if said is None:
        return None
    count = _numbers(said, r"(\d+) ([a-z]+)")
    suites = _last(lines, re.compile(r"\s*Test Suites:\s+(\d+) failed").match)
    failures = [line.strip()[2:] for line in lines if line.strip().startswith(("● ", "✕ "))]
    errors = _count(suites) if suites and not count.get("failed") else 0
    skipped = count.get("skipped", 0) + count.get("todo", 0)
    return _results(count.get("passed", 0), count.get("failed", 0), errors, skipped, failures)


def _cargo(lines: list[str]) -> TestResults | None:
    """One line for each crate and kind of test."""
    said = [line for line in lines if line.startswith("test result: ")]
    if not said:
        return None
    counts = [_numbers(line, r"(\d+) ([a-z]+)") for line in said]
    passed, failed, skipped = (sum(each.get(word, 0) for each in counts) for word in ("passed", "failed", "ignored"))
    failures = [line[5:-11] for line in lines if line.startswith("test ") and line.endswith(" ... FAILED")]
    return _results(passed, failed, 0, skipped, failures)


def _go(lines: list[str]) -> TestResults | None:
    """Tests where they are listed, else packages; a package that does not build is an error."""
    verdicts = [found for line in lines if (found := re.match(r"\s*--- (PASS|FAIL|SKIP): (\S+)", line))]
    packages = [found for line in lines if (found := re.match(r"(ok|FAIL)\s+(\S+)\s+(.*)", line))]
    if not verdicts and not packages:
        return None
    failures = [each[2] for each in verdicts if each[1] == "FAIL"]
    broken = [each[2] for each in packages if each[1] == "FAIL" and (not failures or "failed]" in each[3])]
    passed = sum(each[1] == "PASS" for each in verdicts)
    if not verdicts:
        passed = sum(each[1] == "ok" and "[no tests to run]" not in each[3] for each in packages)
    skipped = sum(each[1] == "SKIP" for each in verdicts)
    return _results(passed, len(failures), len(broken), skipped, failures + broken)


def _tap(lines: list[str]) -> TestResults | None:
    """Node's own test runner, in both of its ways to say it."""
    said = [found for line in lines if (found := re.match(r"(?:#|\u2139) (pass|fail|skipped|cancelled) (\d+)$", line))]
    if not said:
        return None
    count = {each[1]: _count(each[2]) for each in said}
    failures = [line.strip()[7:] for line in lines if line.strip().startswith("not ok ")]
    return _results(
        count.get("pass", 0), count.get("fail", 0), count.get("cancelled", 0), count.get("skipped", 0), failures
    )


def _mocha(lines: list[str]) -> TestResults | None:
    said = [found for line in lines if (found := re.match(r"\s*(\d+) (passing|failing|pending)\b", line))]
    if not said:
        return None
    count = {each[2]: _count(each[1]) for each in said}
    return _results(count.get("passing", 0), count.get("failing", 0), 0, count.get("pending", 0), [])


def _results(passed: int, failed: int, errors: int, skipped: int, failures: list[str]) -> TestResults:
    return TestResults(passed, failed, errors, skipped, [_plain(name) for name in failures[:FAILURES_MAX]])


def _last(lines: list[str], match: Callable[[str], re.Match[str] | None]) -> str | None:
    found = next((found for line in reversed(lines) if (found := match(line))), None)
    return found[1] if found else None


def _numbers(text: str, pattern: str) -> dict[str, int]:
    return {word: _count(number) for number, word in re.findall(pattern, text)}


def _count(digits: str) -> int:
    return int(digits[:9])


def _plain(text: str, most: int = NAME_MAX) -> str:
    """One line without colours and other control characters."""
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", " ", re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text[:most]))
