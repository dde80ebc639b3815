"""Candidates are tried for real: real git, the sandbox of this machine, real pytest; and nothing is left of it."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.council.problem import Change, Problem
from actors.decider import Effect
from actors.executor.sandbox.sweep import marked, tasks
from actors.executor.sandbox.warden import mark
from actors.executor.trials.bench import NO_COMMAND, NO_TIME
from actors.executor.trials.wanted import Found
from bus.blobs import note_in
from bus.messages.base import TestResults
from bus.messages.trial import CandidateTried, GatheringFailed, ProblemGathered
from tests.trial_ground import COMMAND, RIGHT, SECRET, TESTS, WRONG, Ground, changing, gather, ground_in

FIX = Change("src/sums.py", RIGHT, "    return a - b\n")
QUICK = "python3 -S -c 'import sys; sys.path.insert(0, \".\"); from tests.test_sums import test_add; test_add()'"
"""Tests without a framework, where it is not about their results."""
ENDLESS = changing(Change("src/sums.py", "import time\ntime.sleep(1000)\n"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground_in(tmp_path_factory.mktemp("trials")) as ground:
        yield ground


@pytest.fixture
def ground(shared: Ground) -> Iterator[Ground]:
    """Whatever a test does, the workspace stays as it was and nothing is left."""
    before = looks(shared.place)
    yield shared
    assert looks(shared.place) == before
    assert shared.trees() == [] and commands_of(shared) == []


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Ground]:
    with ground_in(tmp_path) as ground:
        yield ground


def looks(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def commands_of(ground: Ground) -> list[int]:
    """Processes of trials; the warden itself and its keepers carry the mark too."""
    of, warden = mark(ground.state / "execs"), ground.commands._warden
    if warden is None:
        return []
    words = Path(f"/proc/{warden.pid}/cmdline").read_bytes()
    alive = [task.pid for task in tasks() if not task.ended and marked(task.pid, of)]
    return [pid for pid in alive if _words(pid) not in (words, b"")]


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def held(ground: Ground) -> Ground:
    if ground.commands.attested.level == "C":
        pytest.skip("nothing holds commands in on this machine")
    return ground


def test_a_candidate_that_mends_it_is_green(held: Ground) -> None:
    event = held.tried()
    assert (event.applies, event.syntax, event.types) == (True, True, None)
    assert event.tests == TestResults(passed=1) and event.tests.green
    assert event.lines == 2 and event.likeness and event.ms > 0


def test_a_candidate_that_does_not_mend_it_is_red_and_says_which_test(held: Ground) -> None:
    event = held.tried(changing(Change("src/sums.py", "def add(a, b):\n    return 7\n")))
    assert event.applies and event.tests is not None and not event.tests.green
    assert event.tests.failures == ["tests.test_sums::test_add"]
    assert event.output is not None and "assert 7 == 4" in event.output.text


def test_a_secret_in_the_output_is_taken_out(held: Ground) -> None:
    event = held.tried(changing(Change("src/sums.py", f"def add(a, b):\n    return {SECRET!r}\n")))
    assert event.output is not None and SECRET not in event.output.text and "[redacted KEY]" in event.output.text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ([Change("src/sums.py", "x", "not there at all")], "`old` is not in src/sums.py"),
        ([Change("tests/test_sums.py", "x", "add")], "times"),
        ([Change("src/none.py", "x", "y")], "there is no 'src/none.py'"),
        ([Change("src/sums.py", WRONG)], "it changes nothing"),
        ([FIX, Change("../outside.py", "x")], "leads out of the workspace"),
        ([FIX, Change("/etc/passwd", "x")], "leads out of the workspace"),
        ([FIX, Change(".git/hooks/post-commit", "x")], "belongs to git"),
        ([FIX, Change("src/.GIT/config", "x")], "belongs to git"),
        ([FIX, Change("src", "x")], "src"),
    ],
)
def test_what_does_not_fit_is_not_tested(ground: Ground, changes: list[Change], reason: str) -> None:
    event = ground.tried(changing(*changes))
    assert not event.applies and reason in event.reason
    assert (event.syntax, event.tests, event.output) == (None, None, None)


def test_a_proposal_that_cannot_be_read_does_not_apply(ground: Ground) -> None:
    for broken in (b"", b"{}", b"[" * 100_000, b'{"changes": [{"path": "a", "new": "b", "why": "c"}]}', b"\xff"):
        event = ground.tried(broken)
        assert not event.applies and "cannot be read" in event.reason


def test_nothing_is_written_outside_of_the_territory(ground: Ground) -> None:
    event = ground.tried(territory=("docs/**",))
    assert not event.applies and "outside of your territory" in event.reason


def test_links_lead_nowhere_but_inside(alone: Ground, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (alone.place / "out").symlink_to(tmp_path)
    (alone.place / "file").symlink_to(tmp_path / "victim")
    (alone.place / "git").symlink_to(".git")
    for path in ("out/victim", "file", "git"):
        event = alone.tried(changing(Change(path, "theirs")))
        assert not event.applies, path
    assert (tmp_path / "victim").read_text() == "mine"
    assert alone.trees() == []


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("src/sums.py", "def add(a, b:\n    return a\n", "src/sums.py:1:"),
        ("src/deep.py", "(" * 5000 + ")" * 5000, "src/deep.py:"),
        ("src/large.json", "{" * 100_000, "src/large.json:"),
        ("pyproject.toml", "[tool\n", "pyproject.toml:"),
        ("src/nul.py", "x = 1\0", "src/nul.py:"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_and_nothing_is_tested(
    ground: Ground, path: str, text: str, line: str
) -> None:
    event = ground.tried(changing(Change(path, text)))
    assert event.applies and event.syntax is False and event.tests is None
    assert event.reason.startswith(line)


def test_what_no_reader_knows_has_no_syntax(ground: Ground) -> None:
    assert ground.tried(changing(Change("notes.txt", "x")), tests="").syntax is None
    assert ground.tried(changing(Change("tsconfig.json", "{} // yes")), tests="").syntax is None


def test_the_tree_is_the_workspace_with_all_that_is_not_committed(held: Ground) -> None:
    loose = held.place / "src" / "loose.py"
    loose.write_text("FOUR = 4\n")
    try:
        body = "from src.loose import FOUR\n\n\ndef add(a, b):\n    return FOUR\n"
        event = held.tried(changing(Change("src/sums.py", body)))
    finally:
        loose.unlink()
    assert event.tests is not None and event.tests.green


def test_what_tests_write_in_place_does_not_reach_the_workspace(held: Ground) -> None:
    spoils = "import os\nfor name in ('src/sums.py', 'tests/test_sums.py'):\n    open(name, 'a').write('# spoilt')\n"
    event = held.tried(changing(Change("src/sums.py", spoils + WRONG.replace("-", "+"))), tests=QUICK)
    assert event.tests is not None and not event.tests.errors, "the fixture looks at the workspace"


def test_packages_beside_git_are_lent_to_be_read_only(held: Ground) -> None:
    folder = held.place / "node_modules"
    folder.mkdir()
    (folder / "four").write_text("4")
    (held.place / ".gitignore").write_text("node_modules/\n")
    body = (
        "def add(a, b):\n"
        "    try:\n        open('node_modules/four', 'w').write('5')\n    except OSError:\n        pass\n"
        "    return int(open('node_modules/four').read())\n"
    )
    try:
        event = held.tried(changing(Change("src/sums.py", body)))
        assert (folder / "four").read_text() == "4"
    finally:
        (folder / "four").unlink()
        folder.rmdir()
        (held.place / ".gitignore").unlink()
    assert event.tests is not None and event.tests.green, event.output


def test_an_endless_test_is_stopped_when_the_councils_time_is_over(held: Ground) -> None:
    event = held.tried(ENDLESS, until_s=3.0)
    assert event.applies and event.tests is not None and not event.tests.green
    assert "stopped: cap" in event.reason and event.ms < 30_000


def test_without_time_or_command_or_sandbox_nothing_is_run(ground: Ground) -> None:
    for more, reason in (
        ({"until_s": 0.1}, NO_TIME),
        ({"tests": ""}, NO_COMMAND),
        ({"unheld": "nothing holds"}, "nothing holds"),
    ):
        event = ground.tried(**more)
        assert (event.applies, event.syntax, event.tests, event.reason) == (True, True, None, reason)


def test_a_warden_that_dies_in_the_middle_leaves_nothing_and_the_trial_is_told(alone: Ground) -> None:
    warden = alone.commands._warden
    if warden is None or alone.commands.attested.level == "C":
        pytest.skip("nothing holds commands in on this machine")

    async def kill_when_it_runs() -> None:
        while not warden.running():
            await asyncio.sleep(0.01)
        os.kill(warden.pid, signal.SIGKILL)

    killing: list[asyncio.Task[None]] = []
    trial = alone.trial("m1", ENDLESS)
    (found,) = alone.all_of(trial, then=lambda: killing.append(asyncio.ensure_future(kill_when_it_runs())))
    assert isinstance(found.event, CandidateTried) and found.event.applies and found.event.tests is None
    assert "nobody knows" in found.event.reason
    assert alone.trees() == [] and commands_of(alone) == []


def test_two_are_tried_side_by_side_each_in_its_own_tree(held: Ground) -> None:
    red = changing(Change("src/sums.py", "def add(a, b):\n    return 0\n"))
    found = held.all_of(held.trial("m1"), held.trial("m2", red))
    greens = {each.event.candidate: each.event.tests.green for each in found}  # type: ignore[union-attr]
    assert greens == {"m1": True, "m2": False}


def test_what_runs_is_stopped_and_nothing_of_it_stays(held: Ground) -> None:
    """The stop comes when the command may not even have begun: it counts all the same."""
    trials = [held.trial("m1", ENDLESS), held.trial("m2", ENDLESS)]
    found = held.all_of(*trials, then=lambda: held.stop(*trials))
    assert [each.interrupted for each in found] == ["cancel", "cancel"]
    frozen = held.trial("m3", ENDLESS)
    (found_frozen,) = held.all_of(frozen, then=lambda: held.stop(frozen, why="freeze"))
    assert found_frozen.interrupted == "freeze"


def test_processes_that_fork_off_are_gone_with_the_trial(held: Ground) -> None:
    forks = (
        "import os, sys, time\n"
        "for _ in range(3):\n"
        "    if not os.fork():\n        os.setsid()\n        os.fork()\n        time.sleep(1000)\n        os._exit(0)\n"
    )
    event = held.tried(changing(Change("src/sums.py", forks + WRONG.replace("-", "+"))), tests=QUICK)
    assert event.tests is not None and not event.tests.errors, "the fixture counts the processes"


def test_a_trial_writes_nothing_outside_of_its_tree(held: Ground, tmp_path: Path) -> None:
    out = [str(held.place / "evil"), str(held.state / "evil"), str(tmp_path / "evil"), "../evil", ".git/evil"]
    body = (
        "import os\n"
        f"for path in {out!r}:\n"
        "    try:\n        os.makedirs(os.path.dirname(path), exist_ok=True)\n        open(path, 'w').write('x')\n"
        "    except OSError:\n        pass\n"
    )
    event = held.tried(changing(Change("src/sums.py", body + WRONG.replace("-", "+"))), tests=QUICK)
    assert event.tests is not None and not event.tests.errors, "it had its chance"
    assert not any(Path(path).exists() for path in out[:3]) and not (held.state / "trials" / "evil").exists()


def test_a_trial_has_no_network(held: Ground) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        body = (
            f"import socket\n\n\ndef add(a, b):\n    socket.create_connection(('127.0.0.1', {port}), 1)\n    return 4\n"
        )
        event = held.tried(changing(Change("src/sums.py", body)), tests=QUICK)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert event.tests is not None and not event.tests.green


@pytest.mark.slow
def test_types_are_checked_where_the_project_asks_for_it(held: Ground) -> None:
    config = held.place / "mypy.ini"
    config.write_text("[mypy]\n")
    try:
        right = "def add(a: int, b: int) -> int:\n    return a + b\n"
        assert held.tried(changing(Change("src/sums.py", right))).types is True
        wrong = right.replace("int:\n", "str:\n")
        assert held.tried(changing(Change("src/sums.py", wrong))).types is False
    finally:
        config.unlink()


def test_a_life_that_ended_in_the_middle_leaves_nothing(alone: Ground) -> None:
    trial = alone.trial("m1", ENDLESS)

    async def cut_short() -> None:
        alone.hands.perform(Effect(trial.key, trial))
        while not alone.trees():
            await asyncio.sleep(0)
        await alone.hands.close()

    alone.do(cut_short())
    assert alone.trees() == []
    left = alone.state / "trials" / "old" / "deep"
    left.mkdir(parents=True)
    (left / "file").write_text("x")
    left.chmod(0)
    half = alone.state / "trials" / "half.gone" / "1"
    half.mkdir(parents=True)
    alone.open()
    assert alone.trees() == [] and alone.tried(tests="").applies


def test_without_a_workspace_there_is_nothing_to_try_or_to_gather(ground: Ground) -> None:
    event = ground.all_of(ground.trial()._replace(opened=None))[0].event
    assert isinstance(event, CandidateTried) and not event.applies and "no workspace" in event.reason
    (found,) = ground.all_of(gather(None))
    assert found.event == GatheringFailed(reason="the task has no workspace")
    gone = msgspec.structs.replace(ground.opened, path=f"{ground.opened.path}-gone")
    (found,) = ground.all_of(gather(gone))
    assert isinstance(found.event, GatheringFailed)


def problem_of(found: Found) -> Problem:
    assert isinstance(found.event, ProblemGathered)
    return msgspec.json.decode(note_in(found.event.problem) or found.blobs[0], type=Problem)


def test_the_problem_is_gathered_from_what_the_error_names(ground: Ground) -> None:
    found = ground.gathered(error="tests/test_sums.py:5: AssertionError\nE  assert 0 == 4")
    problem = problem_of(found)
    assert [source.path for source in problem.files] == ["tests/test_sums.py", "src/sums.py"]
    assert problem.files[0].text == TESTS and problem.files[0].whole
    assert problem.tests == COMMAND and problem.kind == "wrong_result"
    assert set(problem.others) == {"a.txt", "run.sh", "docs/b.txt", "src/__init__.py"}
    assert isinstance(found.event, ProblemGathered)
    assert (found.event.kind, found.event.tests) == (problem.kind, COMMAND) and found.event.tree


def test_failing_tests_and_what_the_task_changed_matter_too(alone: Ground) -> None:
    (alone.place / "src" / "new.py").write_text("from src import sums\n")
    found = alone.all_of(gather(alone.opened, ("tests.test_sums::test_add",), error="boom"))[0]
    assert [source.path for source in problem_of(found).files][:2] == ["tests/test_sums.py", "src/new.py"]


def test_the_same_problem_has_the_same_fingerprint_and_another_has_not(alone: Ground) -> None:
    def known_by(error: str, **more: Any) -> str:
        event = alone.gathered(error=error, **more).event
        assert isinstance(event, ProblemGathered)
        return event.fingerprint

    first = known_by("/tmp/a1/tests/test_sums.py:5: AssertionError at 0x7f01 after 0.12s\nE assert 0 == 4")
    assert first == known_by("/var/b/tests/test_sums.py:5: AssertionError at 0x9e22 after 3.5s\nE assert 0 == 4")
    assert first != known_by("/tmp/a1/tests/test_sums.py:5: AssertionError at 0x7f01 after 0.12s\nE assert 1 == 4")
    (alone.place / "src" / "sums.py").write_text(WRONG.replace("-", "*"))
    assert first != known_by("/tmp/a1/tests/test_sums.py:5: AssertionError at 0x7f01 after 0.12s\nE assert 0 == 4")


def test_what_is_too_large_is_shown_in_part_and_what_is_binary_by_its_name(alone: Ground) -> None:
    (alone.place / "big.py").write_text("".join(f"line_{number} = {number}\n" for number in range(20_000)))
    (alone.place / "huge.py").write_text("x = 1\n" * 400_000)
    (alone.place / "image.png").write_bytes(b"\x89PNG\0\0")
    problem = problem_of(alone.gathered(error='File "big.py", line 15000, in f\nhuge.py:3: image.png: bad'))
    (part,) = problem.files[:1]
    assert part.path == "big.py" and not part.whole and "line_14999 = 14999\n" in part.text
    assert {"huge.py", "image.png"} <= set(problem.others)
    assert sum(len(source.text) for source in problem.files) <= 60 * 1024


def test_no_secret_is_kept(alone: Ground) -> None:
    (alone.place / "src" / "key.py").write_text(f"KEY = '{SECRET}'\n")
    found = alone.gathered(error=f"src/key.py:1: {SECRET}", attempts=[SECRET], constraints=[SECRET])
    assert SECRET.encode() not in msgspec.json.encode(found.event) + b"".join(found.blobs)
    assert "[redacted KEY]" in problem_of(found).files[0].text


def test_gathering_follows_no_link_out(alone: Ground, tmp_path: Path) -> None:
    (tmp_path / "private.py").write_text("PRIVATE = 1\n")
    (alone.place / "src" / "link.py").symlink_to(tmp_path / "private.py")
    os.mkfifo(alone.place / "pipe.py")
    problem = problem_of(alone.gathered(error="src/link.py:1: pipe.py:2: boom"))
    assert "PRIVATE" not in msgspec.json.encode(problem).decode()
