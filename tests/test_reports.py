"""How a project is tested, and what a test run came to: from real runs, real outputs and hostile reports."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from actors.executor.reports import FAILURES_MAX, PYTEST, UNCONFIGURED, command_for, polite_env, read_report
from bus.messages.base import TestResults as Results


@pytest.mark.parametrize(
    ("paths", "command"),
    [
        (["app.py", "test_app.py"], PYTEST + UNCONFIGURED),
        (["pytest.ini", "test_app.py"], PYTEST),
        (["src/app.py", "tests/app_test.py", "Cargo.toml"], PYTEST + UNCONFIGURED),
        (["pyproject.toml", "src/app.py"], PYTEST),
        (["package.json", "index.js"], "CI=1 npm test"),
        (["package.json", "node_modules/x/test_x.py"], "CI=1 npm test"),
        (["./package.json", "./jest.config.js"], "CI=1 npm test -- --ci --forceExit --detectOpenHandles"),
        (["Cargo.toml", "src/lib.rs", "tests/"], "cargo test --no-fail-fast"),
        (["go.mod", "main.go"], "go test -v ./..."),
        (["Makefile", "main.c"], "make test"),
        (["README.md"], ""),
        ([], ""),
    ],
)
def test_the_files_say_how_a_project_is_tested(paths: list[str], command: str) -> None:
    assert command_for(paths) == command


def run(folder: Path, files: dict[str, str], command: str, report: Path | None) -> Results:
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, content in files.items():
        (folder / name).write_text(content)
    env = os.environ | polite_env(str(report) if report else "")
    command = re.sub(r"\Apython3 ", f"{sys.executable} ", command)
    ran = subprocess.run(command, shell=True, cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    return read_report(report, ran.returncode, ran.stdout + ran.stderr)


MIXED = """
import pytest
def test_good(): pass
def test_bad(): assert False
@pytest.mark.skip
def test_left_out(): pass
@pytest.fixture
def broken(): raise OSError
def test_of_broken(broken): pass
"""
PYTEST_RUNS = [
    ({"test_a.py": "def test_a(): pass\n"}, Results(passed=1)),
    ({"test_a.py": MIXED}, Results(1, 1, 1, 1, ["test_a::test_bad", "test_a::test_of_broken"])),
    ({"test_a.py": "def test_a(:\n"}, Results(errors=1, failures=["test_a"])),
    ({"a.py": ""}, Results(errors=1, failures=["no test failed, but the command ended with 5"])),
    ({"test_a.py": "import os\ndef test_a(): os._exit(0)\n"}, Results()),
]


@pytest.mark.parametrize(("files", "results"), PYTEST_RUNS)
@pytest.mark.parametrize("command", [PYTEST, f"{sys.executable} -m pytest"])
def test_a_pytest_run_is_counted_from_its_report(
    tmp_path: Path, files: dict[str, str], results: Results, command: str
) -> None:
    found = run(tmp_path, files, command, tmp_path / "a report's.xml")
    assert found == results and found.green == (results == Results(passed=1))


def test_a_pytest_run_without_a_report_is_counted_from_its_words(tmp_path: Path) -> None:
    found = run(tmp_path, {"test_a.py": MIXED}, f"{sys.executable} -m pytest -p no:cacheprovider", None)
    assert found == Results(1, 1, 1, 1, ["test_a.py::test_bad", "test_a.py::test_of_broken"])


def test_a_unittest_run_is_counted(tmp_path: Path) -> None:
    files = {
        "test_a.py": "import unittest\nclass T(unittest.TestCase):\n"
        "  def test_good(self): pass\n  def test_bad(self): self.fail()\n"
        "  def test_error(self): raise OSError\n  @unittest.skip('')\n  def test_not(self): pass\n"
    }
    found = run(tmp_path, files, f"{sys.executable} -m unittest", None)
    assert (found.passed, found.failed, found.errors, found.skipped, len(found.failures)) == (1, 1, 1, 1, 2)


OUTPUTS = [
    ("Tests:       1 failed, 1 skipped, 3 passed, 5 total\n  ● sums adds\n", (3, 1, 0, 1)),
    ("Test Suites: 1 failed, 1 total\nTests:       0 total\n", (0, 0, 1, 0)),
    ("\x1b[32m      Tests  4 passed (4)\x1b[0m\n", (4, 0, 0, 0)),
    ("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\ntest result: ok. 2 passed; 0 failed;", (5, 0, 0, 1)),
    ("test a::b ... FAILED\ntest result: FAILED. 3 passed; 1 failed; 0 ignored", (3, 1, 0, 0)),
    ("--- PASS: TestA (0.00s)\n    --- PASS: TestA/x (0.00s)\nPASS\nok  \tm/a\t0.1s\n", (2, 0, 0, 0)),
    ("--- FAIL: TestA (0.00s)\nFAIL\nFAIL\tm/a\t0.1s\nFAIL\n", (0, 1, 0, 0)),
    ("FAIL\tm/a [build failed]\n--- PASS: TestB (0.0s)\nok  \tm/b\t0.1s\n", (1, 0, 1, 0)),
    ("?   \tm/a\t[no test files]\n", (0, 0, 0, 0)),
    ("ok  \tm/a\t0.1s [no tests to run]\n", (0, 0, 0, 0)),
    ("# tests 3\n# pass 2\n# fail 1\n# cancelled 0\n# skipped 0\nnot ok 3 - sums\n", (2, 1, 0, 0)),
    ("  5 passing (12ms)\n  1 pending\n  2 failing\n", (5, 2, 0, 1)),
    (
        "===== 2 failed, 3 passed, 1 xfailed, 2 warnings in 61.23s (0:01:01) =====\nmake: *** [test] Error 1",
        (3, 2, 0, 0),
    ),
    ("Ran 3 tests in 0.001s\n\nOK (skipped=1)\n", (2, 0, 0, 1)),
    ("no tests ran in 0.01s", (0, 0, 0, 0)),
    ("compiled\nall good\n", (0, 0, 0, 0)),
    ("", (0, 0, 0, 0)),
]


@pytest.mark.parametrize(("output", "counts"), OUTPUTS)
def test_the_words_of_other_tools_are_counted(output: str, counts: tuple[int, ...]) -> None:
    found = read_report(None, 0, output)
    assert (found.passed, found.failed, found.errors, found.skipped) == counts
    assert found.green == (counts[0] > 0 and not counts[1] and not counts[2])


@pytest.mark.parametrize("exit", [1, 137, None])
def test_a_run_that_did_not_end_well_is_not_green(tmp_path: Path, exit: int | None) -> None:
    report = tmp_path / "report.xml"
    report.write_text("<testsuite><testcase classname='a' name='b'/></testsuite>")
    assert read_report(report, 0, "").green
    assert not read_report(report, exit, "").green


def hostile_reports() -> dict[str, bytes]:
    laughs = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 12))
    bomb = f"<!DOCTYPE x [<!ENTITY l0 'ha'>{laughs}]><x><testcase name='&l11;'/></x>"
    outside = "<!DOCTYPE x [<!ENTITY s SYSTEM '/etc/passwd'>]><x><testcase name='a'>&s;</testcase></x>"
    return {
        "bomb": bomb.encode(),
        "bomb in another encoding": bomb.encode("utf-16"),
        "entity": outside.encode(),
        "cut short": b"<testsuite><testcase name='a'/>",
        "unknown encoding": b"<?xml version='1.0' encoding='klingon'?><x><testcase name='a'/></x>",
        "no XML": b"\x00\xff" * 1000,
        "empty": b"",
    }


@pytest.mark.parametrize("name", hostile_reports())
def test_a_hostile_report_counts_for_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "report.xml").write_bytes(hostile_reports()[name])
    assert read_report(tmp_path / "report.xml", 0, "") == Results()


def test_a_report_that_is_no_file_or_too_large_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "real.xml").write_text("<x><testcase name='a'/></x>")
    (tmp_path / "link.xml").symlink_to(tmp_path / "real.xml")
    os.mkfifo(tmp_path / "pipe.xml")
    with open(tmp_path / "huge.xml", "wb") as file:
        file.truncate(1 << 40)
    for name in ("link.xml", "pipe.xml", "huge.xml", "none.xml", "."):
        assert read_report(tmp_path / name, 0, "") == Results()


def test_deep_and_wide_reports_are_counted(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text("<a>" * 50_000 + "<testcase name='x'><failure/></testcase>" * 1000 + "</a>" * 50_000)
    found = read_report(report, 1, "")
    assert found.failed == 1000 and len(found.failures) == FAILURES_MAX


def test_names_of_tests_are_plain_and_short(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(f"<x><testcase name='&#10;&#9;\x7f{'n' * 5000}'><error/></testcase></x>")
    (name,) = read_report(report, 1, "").failures
    assert len(name) <= 200 and "\n" not in name


@pytest.mark.parametrize(
    "line", ["1 a, " * 200_000, "1 passed" * 100_000, "Tests: " + "9" * 1_000_000, "(" * 1_000_000]
)
def test_hostile_output_is_read_in_bounded_time(line: str) -> None:
    assert not read_report(None, 0, f"{line}\n" * 3).errors


def test_the_polite_environment_asks_nothing() -> None:
    env = polite_env("/a folder/report.xml")
    assert env["DEBIAN_FRONTEND"] == "noninteractive" and env["GIT_TERMINAL_PROMPT"] == "0" and env["CI"] == "1"
    assert env["WITAN_REPORT"] == "/a folder/report.xml" and "WITAN_REPORT" not in polite_env()
    asked = subprocess.run(
        ["git", "commit", "--amend"], env=env | {"PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL, timeout=30
    )
    assert asked.returncode
