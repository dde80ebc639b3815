"""The warden: silence, caps, stops, output, and what is left when it, a keeper or the daemon is killed: nothing."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvloop

from actors.executor.sandbox.orders import Ended, Level, Order
from actors.executor.sandbox.output import Kept
from actors.executor.sandbox.sweep import tasks
from actors.executor.sandbox.warden import Warden, mark
from bus.errors import Refused, Unavailable
from tests.sandbox_ground import Ground, ground_in, ignore, levels, output, survivors

ROOT = Path(__file__).parents[1]
LEAVE = "setsid sleep 1000 & env -i setsid sleep 1000 & echo ready; sleep 1000"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground_in(tmp_path_factory.mktemp("warden")) as ground:
        yield ground


@pytest.fixture(params=["A", "B", "C"])
def level(request: pytest.FixtureRequest, ground: Ground) -> Level:
    wanted: Level = request.param
    if not levels(ground)[wanted]:
        pytest.skip(f"this machine has no level {wanted}")
    return wanted


async def once_said(warden: Warden, order: Order, then: Callable[[], object], level: Level = "C") -> Ended:
    """Run it, and do something as soon as it has said anything."""
    first = [then]

    def said(_: bytes) -> None:
        if first:
            first.pop()()

    return await warden.run(order, said, ignore, level)


def keepers(warden: Warden) -> list[int]:
    return [task.pid for task in tasks() if task.parent == warden.pid and not task.ended]


def test_a_command_says_what_it_says_and_ends_as_it_ends(ground: Ground, level: Level) -> None:
    said: list[bytes] = []
    order = ground.order("echo out; echo err >&2; cat; exit 7")
    ended = ground.do(ground.warden.run(order, said.append, ignore, level))
    assert (ended.ended_by, ended.exit, ended.swept) == ("exit", 7, 0)
    assert b"".join(said) == ended.head + ended.tail == b"out\nerr\n" and ended.bytes == 8


@pytest.mark.parametrize(("command", "exit"), [("kill -9 $$", -9), ("kill -TERM $$", -15), ("true", 0), ("-x", 127)])
def test_the_exit_is_told(command: str, exit: int, ground: Ground, level: Level) -> None:
    assert ground.run(command, level).exit == exit


def test_silence_is_first_told_and_then_ended(ground: Ground, level: Level) -> None:
    told: list[float] = []
    order = ground.order("echo a; sleep 0.2; echo b; sleep 1000", warn_s=0.1, kill_s=0.4)
    ended = ground.do(ground.warden.run(order, ignore, told.append, level))
    assert (ended.ended_by, ended.exit, ended.head) == ("silence", None, b"a\nb\n")
    assert len(told) == 2 and all(silent_s >= 0.1 for silent_s in told)


def test_a_command_that_has_closed_its_output_is_silent(ground: Ground, level: Level) -> None:
    assert ground.run("exec >&- 2>&-; sleep 1000", level, kill_s=0.2, warn_s=0.1).ended_by == "silence"


def test_talking_does_not_help_against_the_cap(ground: Ground, level: Level) -> None:
    ended = ground.run("while :; do echo x; sleep 0.02; done", level, kill_s=10.0, cap_s=0.3)
    assert ended.ended_by == "cap" and ended.exit is None and ended.ms >= 300


@pytest.mark.parametrize("why", ["cancel", "freeze"])
def test_a_command_is_stopped(why: str, ground: Ground, level: Level) -> None:
    order = ground.order("trap '' TERM INT HUP; echo ready; setsid sleep 1000 & sleep 1000")
    ended = ground.do(once_said(ground.warden, order, lambda: ground.warden.stop(order.id, why), level))
    assert ended.ended_by == why and ended.exit is None
    assert ground.survivors() == [] and ground.warden.running() == set()


def test_a_stop_before_the_start_counts(ground: Ground) -> None:
    async def stopped() -> Ended:
        order = ground.order("sleep 1000")
        running = asyncio.ensure_future(ground.warden.run(order, ignore, ignore, "C"))
        await asyncio.sleep(0)
        assert ground.warden.running() == {order.id}
        ground.warden.stop(order.id, "cancel")
        ground.warden.stop(order.id, "cancel")
        ground.warden.stop("nobody", "cancel")
        return await running

    assert ground.do(stopped()).ended_by == "cancel"


def test_a_flood_is_kept_in_bounds_and_ended_in_time(ground: Ground, level: Level) -> None:
    said: list[bytes] = []
    order = ground.order("yes flood", cap_s=0.5, output_max_bytes=100_000)
    ended = ground.do(ground.warden.run(order, said.append, ignore, level))
    assert ended.ended_by == "cap" and ended.bytes > 1_000_000
    assert len(ended.head) == len(ended.tail) == 50_000 and set(ended.tail) == set(b"flood\n")
    assert sum(map(len, said)) < 200_000


def test_a_daemon_that_hears_nothing_keeps_nobody_alive(ground: Ground, level: Level) -> None:
    """While the daemon is busy with something else, the keeper still ends the command when its time has come."""

    def busy() -> None:
        until = time.monotonic() + 30
        while ground.survivors():
            assert time.monotonic() < until

    order = ground.order("yes flood", cap_s=0.3)
    ended = ground.do(once_said(ground.warden, order, busy, level))
    assert ended.ended_by == "cap" and len(ended.head) == len(ended.tail) == 1 << 19


def test_output_may_be_anything(ground: Ground, level: Level) -> None:
    ended = ground.run("head -c 300000 /dev/urandom | tee copy", level, output_max_bytes=1 << 20)
    assert ended.head + ended.tail == (ground.folder / "room" / "copy").read_bytes()


def test_what_is_left_out_is_the_middle() -> None:
    for most, pieces in ((10, [b"abc"] * 9), (7, [b"x" * 50, b"yz"]), (100, [b"few"]), (2, [b"", b"a", b"bc"])):
        kept, whole = Kept(most), b"".join(pieces)
        for piece in pieces:
            kept.add(piece)
        half = most // 2
        assert (bytes(kept.head), kept.tail) == (whole[:half], whole[half:][-half:]) and kept.bytes == len(whole)


def test_a_killed_keeper_leaves_nobody_and_its_order_is_lost(ground: Ground, level: Level) -> None:
    def kill() -> None:
        for keeper in keepers(ground.warden):
            os.kill(keeper, signal.SIGKILL)

    with pytest.raises(Unavailable, match="without a word"):
        ground.do(once_said(ground.warden, ground.order(LEAVE), kill, level))
    assert ground.survivors() == [] and ground.warden.running() == set()
    assert ground.run("echo on", level).head == b"on\n"


def test_a_killed_warden_leaves_nobody_and_another_one_goes_on(ground: Ground, level: Level) -> None:
    first = ground.warden.pid
    with pytest.raises(Unavailable, match="without a word"):
        ground.do(once_said(ground.warden, ground.order(LEAVE), lambda: os.kill(first, signal.SIGKILL), level))
    assert ground.survivors() == [] and ground.warden.pid != first
    assert ground.run("echo on", level).head == b"on\n"


def test_a_killed_warden_with_a_killed_keeper_leaves_nobody(ground: Ground, level: Level) -> None:
    def kill() -> None:
        for pid in [ground.warden.pid, *keepers(ground.warden)]:
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(Unavailable, match="without a word"):
        ground.do(once_said(ground.warden, ground.order(LEAVE), kill, level))
    assert ground.survivors() == []


def test_a_keeper_that_hangs_is_ended_by_the_warden(tmp_path: Path, ground: Ground, level: Level) -> None:
    async def hang() -> None:
        warden = Warden(tmp_path / "execs", level, grace_s=0.1)
        await warden.open()
        order = ground.order(LEAVE)._replace(cap_s=0.3)
        with pytest.raises(Unavailable, match="without a word"):
            await once_said(warden, order, lambda: os.kill(keepers(warden)[0], signal.SIGSTOP), level)
        assert survivors(mark(warden.folder), warden.pid) == []
        await warden.close()

    ground.do(hang())


DAEMON = """
import asyncio, json, sys
from pathlib import Path
from actors.executor.sandbox.orders import Order
from actors.executor.sandbox.warden import Warden

async def main():
    warden = Warden(Path(sys.argv[1]))
    await warden.open()
    ready = lambda _: print(warden.pid, flush=True)
    await warden.run(Order(**json.loads(sys.argv[2])), ready, print, sys.argv[3])

asyncio.run(main())
"""


@contextmanager
def daemon(folder: Path, order: Order, level: Level) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A daemon of its own in which the order runs, and its warden."""
    words = [sys.executable, "-c", DAEMON, str(folder), json.dumps(order._asdict()), level]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.parametrize("also", ["nobody", "the warden", "the keeper", "both"])
def test_nothing_outlives_a_killed_daemon(also: str, ground: Ground, level: Level, tmp_path: Path) -> None:
    folder = tmp_path / "execs"
    with daemon(folder, ground.order(LEAVE), level) as (process, warden):
        keeping = [task.pid for task in tasks() if task.parent == warden]
        of = mark(folder)
        assert survivors(of, warden)
        dead = {"the warden": [warden], "the keeper": keeping, "both": [warden, *keeping], "nobody": []}[also]
        for order in (signal.SIGSTOP, signal.SIGKILL):
            for pid in [process.pid, *dead]:
                os.kill(pid, order)
        with next_life(folder) as (killed, next_warden):
            assert survivors(of, next_warden) == []
            assert killed >= (2 if also == "both" and level != "A" else 0)


def test_a_warden_that_does_not_end_is_ended_by_the_next(ground: Ground, tmp_path: Path) -> None:
    folder = tmp_path / "execs"
    with daemon(folder, ground.order(LEAVE), "C") as (process, warden):
        of = mark(folder)
        for pid in [task.pid for task in tasks() if task.parent == warden] + [warden]:
            os.kill(pid, signal.SIGSTOP)
        os.kill(process.pid, signal.SIGKILL)
        with next_life(folder, 0.3) as (killed, next_warden):
            assert killed >= 5 and survivors(of, next_warden) == []


@contextmanager
def next_life(folder: Path, patience_s: float = 20) -> Iterator[tuple[int, int]]:
    """The next life on the same folder: how many it had to kill, and its warden."""
    with asyncio.Runner() as runner:
        warden = Warden(folder, patience_s=patience_s)
        killed = runner.run(warden.open())
        yield killed, warden.pid
        runner.run(warden.close())


def test_closing_ends_what_runs(tmp_path: Path, ground: Ground) -> None:
    async def closed() -> Ended:
        warden = Warden(tmp_path / "execs", "C")
        await warden.open()
        running = asyncio.ensure_future(once_said(warden, ground.order(LEAVE), lambda: ready.set()))
        ready = asyncio.Event()
        await ready.wait()
        await warden.close()
        assert survivors(mark(warden.folder), warden.pid) == []
        return await running

    assert ground.do(closed()).ended_by == "cancel"


def test_a_caller_that_goes_away_ends_its_command(tmp_path: Path) -> None:
    with ground_in(tmp_path) as ground:

        async def gone() -> None:
            ready = asyncio.Event()
            running = asyncio.ensure_future(once_said(ground.warden, ground.order(LEAVE), ready.set))
            await ready.wait()
            running.cancel()
            await asyncio.wait([running])
            assert ground.warden.running() == set()

        ground.do(gone())
        of, warden = mark(ground.warden.folder), ground.warden.pid
    assert survivors(of, warden) == []


def test_it_works_on_the_daemons_own_loop(tmp_path: Path, ground: Ground) -> None:
    async def run() -> list[Ended]:
        warden = Warden(tmp_path / "execs", "C")
        assert await warden.open() == 0
        orders = [ground.order(f"echo {number}; setsid sleep 1000 &") for number in range(20)]
        ended = await asyncio.gather(*(warden.run(order, ignore, ignore) for order in orders))
        await warden.close()
        return list(ended)

    assert [output(ended) for ended in uvloop.run(run())] == [f"{number}\n" for number in range(20)]


def test_nothing_is_run_unless_something_holds_it_in(tmp_path: Path, ground: Ground) -> None:
    with pytest.raises(Refused, match="hold a command in"):
        ground.do(ground.warden.run(ground.order("true"), ignore, ignore))


def test_an_order_runs_once_at_a_time(ground: Ground) -> None:
    async def twice() -> None:
        order = ground.order("cat /dev/zero > /dev/null")
        running = asyncio.ensure_future(ground.warden.run(order, ignore, ignore, "C"))
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="already running"):
            await ground.warden.run(order, ignore, ignore, "C")
        ground.warden.stop(order.id, "freeze")
        assert (await running).ended_by == "freeze"

    ground.do(twice())


def test_the_warden_needs_nothing_but_the_standard_library() -> None:
    words = (
        "import sys; sys.path.append(sys.argv[1]); import actors.executor.sandbox.warden_process; print(*sys.modules)"
    )
    start = [sys.executable, "-I", "-S", "-c", words, str(ROOT)]
    found = {name.split(".")[0] for name in subprocess.check_output(start, text=True).split()}
    assert found - sys.stdlib_module_names <= {"actors", "__main__"} and "asyncio" not in found


def test_large_orders_arrive(ground: Ground, level: Level) -> None:
    ended = ground.run(f"echo {'x' * 100_000} | wc -c; echo ${{#LONG}}", level, env={"LONG": "y" * 100_000})
    assert output(ended).split() == ["100001", "100000"]


def test_a_folder_that_is_locked_for_ever_is_told(tmp_path: Path) -> None:
    """Somebody who is not ours holds the lock: nothing of his is ended, and nothing is started."""
    folder = tmp_path / "execs"
    folder.mkdir()
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(flush=True); input()"
    words = [sys.executable, "-c", hold, str(folder / "warden.lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout and select.select([holder.stdout], [], [], 30)[0]
        with pytest.raises(Unavailable, match="did not start"):
            asyncio.run(Warden(folder, patience_s=0.2).open())
        assert holder.poll() is None
        holder.kill()
