"""Nothing that a command starts outlives its end, however it was started and however the command ended."""

import asyncio
import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.executor.sandbox.orders import Ended, Level
from actors.executor.sandbox.sweep import MARK, put_mark
from actors.executor.sandbox.warden import mark
from tests.sandbox_ground import PYTHON, Ground, ground_in, ignore, levels, survivors

DOUBLE_FORK = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sleep", ["sleep", "1000"], {})
    os._exit(0)
os.wait()
"""
STARTS = [
    "sleep 1000 &",
    "setsid sleep 1000 &",
    "(sleep 1000 &)",
    "(setsid sleep 1000 </dev/null >/dev/null 2>&1 &)",
    "nohup sleep 1000 &",
    "trap '' TERM HUP INT; sleep 1000 &",
    "sh -c 'trap \"\" TERM; while :; do sleep 1; done' &",
    "sleep 1000 & kill -STOP $!",
    "setsid sh -c 'kill -STOP $$; sleep 1000' &",
    "env -i setsid sleep 1000 &",
    "exec 7>&1; sleep 1000 >&7 2>&7 &",
    "sleep 1000 | sleep 1000 | sleep 1000 &",
    "for i in $(seq 20); do sleep 1000 & done",
    "setsid sh -c 'setsid sh -c \"sleep 1000 & sleep 1000\" & sleep 1000' &",
    "f() { if [ $1 -gt 0 ]; then f $(($1 - 1)) & f $(($1 - 1)) & fi; sleep 1000; }; f 4 &",
    f"{PYTHON} -I -S -c '{DOUBLE_FORK}'",
    "(setsid sh -c 'for i in $(seq 200); do sleep 1000 & done; wait' &); sleep 0.02",
    "g() { [ $1 -gt 0 ] && (g $(($1 - 1)) &); [ $1 -gt 0 ] || sleep 1000; }; g 40 &",
]
ENDS = ["exit 0", "exit 3", "kill -9 $$", "exec true", "sleep 1000"]
WAYS = list(itertools.product(STARTS, ENDS))


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground_in(tmp_path_factory.mktemp("orphans")) as ground:
        yield ground


@pytest.fixture(params=["A", "B", "C"])
def level(request: pytest.FixtureRequest, ground: Ground) -> Level:
    wanted: Level = request.param
    if not levels(ground)[wanted]:
        pytest.skip(f"this machine has no level {wanted}")
    return wanted


def end(ground: Ground, level: Level, start: str, last: str) -> Ended:
    """Run it; whoever is still there right after its end is a survivor."""
    quick = {"kill_s": 0.1, "warn_s": 0.05} if last == "sleep 1000" else {"kill_s": 20.0}
    ended = ground.run(f"{start}\n{last}", level, **quick)
    assert ground.survivors() == [], (level, start, last, ended)
    assert ended.ended_by == ("silence" if last == "sleep 1000" else "exit"), (level, start, last, ended)
    return ended


def test_nobody_survives(ground: Ground, level: Level) -> None:
    for start, last in WAYS[::4] if level == "A" else WAYS[1::3]:
        end(ground, level, start, last)
    time.sleep(1)  # Whoever hides shows himself within a second.
    assert ground.survivors() == []


@pytest.mark.slow
def test_nobody_survives_a_thousand_commands(ground: Ground) -> None:
    there = [level for level, there in levels(ground).items() if there]
    for number in range(1000):
        start, last = random.Random(number).choice(WAYS)
        end(ground, there[number % len(there)], start, last)
        if number % 100 == 99:
            time.sleep(1)
            assert ground.survivors() == []


def test_a_chain_that_forks_faster_than_it_dies_is_caught(ground: Ground, level: Level) -> None:
    """Each process lives only until it has started the next, in a session of its own."""
    chain = "import os\nfor _ in range(100000):\n    if os.fork():\n        os._exit(0)\n    os.setsid()\n"
    (ground.folder / "room").mkdir(exist_ok=True)
    (ground.folder / "room" / "chain.py").write_text(chain)
    ended = ground.run(f"for i in 1 2 3; do {PYTHON} -I -S chain.py & done; sleep 0.2", level, kill_s=20.0)
    assert ended.ended_by == "exit" and ground.survivors() == []


def test_the_end_is_the_end_of_the_command_and_not_of_its_children(ground: Ground, level: Level) -> None:
    ended = ground.run("sleep 1000 & sleep 1000 & echo done", level, kill_s=30.0)
    assert ended.exit == 0 and ended.head == b"done\n" and ended.ms < 20_000
    assert ended.swept == 2 or level == "A"


@pytest.mark.parametrize("by", ["environment", "limit"])
def test_a_survivor_would_be_seen(by: str, ground: Ground) -> None:
    of = mark(ground.warden.folder)
    env = {MARK: f"{of:x}:planted"} if by == "environment" else {}
    start = f"import os, sys; sys.path.append({str(Path(__file__).parents[1])!r})\n"
    start += (
        f"from actors.executor.sandbox.sweep import put_mark; {f'put_mark({of})' if by == 'limit' else 'put_mark'}\n"
    )
    start += "print(flush=True); os.execv('/bin/sleep', ['sleep', '1000'])"
    with subprocess.Popen([sys.executable, "-I", "-c", start], env=env, stdout=subprocess.PIPE) as planted:
        assert planted.stdout and planted.stdout.readline()
        try:
            if by == "limit" and not put_mark_works():
                pytest.skip("a lower limit is in force here")
            assert ground.survivors() == [planted.pid] == survivors(of, ground.warden.pid)
        finally:
            planted.kill()


def put_mark_works() -> bool:
    pid = os.fork()
    if pid == 0:
        before = Path("/proc/self/limits").read_text()
        put_mark(12345)
        os._exit(Path("/proc/self/limits").read_text() == before)
    return os.waitpid(pid, 0)[1] == 0


def test_twenty_at_once_do_not_sweep_each_other(ground: Ground, level: Level) -> None:
    async def all_at_once() -> list[Ended]:
        orders = [ground.order(f"setsid sleep 1000 & sleep 0.0{n % 7}; echo {n}; exit {n}") for n in range(20)]
        return await asyncio.gather(*(ground.warden.run(order, ignore, ignore, level) for order in orders))

    for number, ended in enumerate(ground.do(all_at_once())):
        assert (ended.ended_by, ended.exit, ended.head) == ("exit", number, b"%d\n" % number)
    assert ground.survivors() == []
