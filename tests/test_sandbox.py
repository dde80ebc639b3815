"""The sandbox: what a command cannot do at any level, shown with attacks that work where nothing holds them in."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from actors.executor.sandbox import attest, confine, seccomp
from actors.executor.sandbox.attest import Attestation
from actors.executor.sandbox.orders import Level
from tests.escapes import ATTACKS, Attack
from tests.sandbox_ground import PYTHON, Ground, Outside, ground_in, levels, output


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with pytest.MonkeyPatch.context() as patch, ground_in(tmp_path_factory.mktemp("ground")) as ground:
        patch.setenv("WITAN_TEST_SECRET", "ESCAPED")
        yield ground


@pytest.fixture(scope="module")
def found(ground: Ground) -> dict[Level, bool]:
    return levels(ground)


@pytest.fixture(params=["A", "B"])
def level(request: pytest.FixtureRequest, found: dict[Level, bool]) -> Level:
    if not found[request.param]:
        pytest.skip(f"this machine has no level {request.param}")
    assert request.param in ("A", "B")
    return "A" if request.param == "A" else "B"


@pytest.fixture
def outside(tmp_path: Path, ground: Ground) -> Iterator[Outside]:
    top, ground.folder = ground.folder, tmp_path
    (tmp_path / "state").mkdir()
    with ExitStack() as stack:
        yield Outside(ground, stack)
    ground.folder = top


RACES = 8


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_nothing_gets_out(attack: Attack, level: Level, outside: Outside) -> None:
    before = outside.state()
    said = outside.attack(attack.text, level, attack.python)
    assert outside.harm(said, before) == [], said


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.safe], ids=lambda attack: attack.name)
def test_each_attack_is_seen_where_nothing_holds_it_in(attack: Attack, outside: Outside) -> None:
    """Some are races, and a race is not won each time."""
    before = outside.state()
    for _ in range(RACES):
        said = outside.attack(attack.text, "C", attack.python)
        harm = outside.harm(said, before)
        if harm:
            break
    if not harm and not outside.harm(outside.bare(attack.text, attack.python), before):
        pytest.skip(f"this machine lets nobody {attack.name}: {said}")
    assert harm != [], said


def test_there_are_enough_attacks() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 90


def test_a_machine_with_bubblewrap_has_the_best_level(ground: Ground, found: dict[Level, bool]) -> None:
    if not found["A"]:
        pytest.skip("this machine has no level A")
    attested = ground.do(attest.attest(ground.warden, ground.folder))
    assert attested.level == "A" and attested.failed == [] and len(attested.passed) >= 25


@pytest.mark.parametrize("instead", ["", "/bin/false", "/bin/true"])
def test_without_a_bubblewrap_that_works_the_kernel_alone_has_to_do(
    instead: str, ground: Ground, found: dict[Level, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground.warden, "bwrap", instead)
    attested = ground.do(attest.attest(ground.warden, ground.folder))
    assert attested.level == ("B" if found["B"] else "C")
    assert any(each.startswith("A: ") for each in attested.failed)


def test_where_nothing_holds_it_is_said_which_checks_failed(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attest, "LEVELS", ("C",))
    attested = ground.do(attest.attest(ground.warden, ground.folder))
    assert attested.level == "C" and attested.passed == []
    for check in ("reads nothing outside", "writes only its parts", "reaches no port", "sends no datagram",
                  "signals nobody outside", "reaches no named socket", "gains no privileges"):  # fmt: skip
        assert f"C: {check}" in attested.failed


def test_a_machine_that_is_not_known_has_no_level(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confine, "supported", lambda: False)
    monkeypatch.setattr(ground.warden, "bwrap", "")
    attested = ground.do(attest.attest(ground.warden, ground.folder))
    assert isinstance(attested, Attestation) and attested.level == "C" and len(attested.failed) == 2


def test_a_test_run_works_inside(ground: Ground, level: Level) -> None:
    room = ground.folder / "room"
    room.mkdir(exist_ok=True)
    (room / "pytest.ini").write_text("[pytest]\n")
    (room / "test_it.py").write_text("def test_it(tmp_path):\n    (tmp_path / 'a').write_text('b')\n")
    command = f"{sys.executable} -m pytest -q test_it.py"
    packages = str(Path(pytest.__file__).parents[1])
    readable = [sys.prefix, sys.base_prefix, packages]
    ended = ground.run(command, level, readable=readable, env={"PYTHONPATH": packages}, kill_s=60.0)
    assert ended.exit == 0 and "1 passed" in output(ended), output(ended)


EVERYDAY = """
set -e
mkdir -p a/b && echo hi > a/b/f && cp -p a/b/f g && mv g a/g && ln -s b/f a/l && ln a/g a/h && cat a/l
chmod +x a/g && test -x a/g && chmod 600 a/h && touch -d 2001-01-01 a/g && test -n "$(find a -not -newermt 2002-01-01)"
printf '#!/bin/sh\\necho ran\\n' > run && chmod 755 run && ./run
tar cf t.tar a && mkdir u && tar xf t.tar -C u && test -f u/a/b/f
cat <(echo one) - < /dev/null && echo lost > /dev/null && head -c 8 /dev/urandom | wc -c
echo x > "$TMPDIR/t" && mktemp && test "$PWD" = "$ROOM" && rm -rf a u run t.tar
"""


def test_everyday_work_goes_as_outside(ground: Ground, level: Level) -> None:
    room = ground.folder / "room"
    room.mkdir(exist_ok=True)
    ended = ground.run(EVERYDAY, level, env={"ROOM": str(room.resolve())})
    assert ended.exit == 0, output(ended)


def test_a_workspace_behind_a_link_works(ground: Ground, level: Level) -> None:
    (ground.folder / "elsewhere").mkdir(exist_ok=True)
    link = ground.folder / f"link-{level}"
    link.symlink_to("elsewhere")
    order = ground.order("echo hi > f && cat f", writable=[str(link)])._replace(cwd=str(link))
    ended = ground.do(ground.warden.run(order, lambda _: None, lambda _: None, level))
    assert output(ended) == "hi\n"


def test_a_link_in_the_workspace_does_not_widen_it(outside: Outside, level: Level) -> None:
    (outside.room / "own" / "gift").symlink_to(outside.out)
    parts = [str(outside.room / "own" / "gift"), str(outside.room / "own" / "attack")]
    before = outside.state()
    said = outside.attack("cat own/gift/secret; echo x > own/gift/planted", level, python=False, writable=parts,
                          readable=[str(outside.room / "own" / "gift")])  # fmt: skip
    assert outside.harm(said, before) == []


def test_single_files_can_be_written(outside: Outside, level: Level) -> None:
    said = outside.attack("echo more >> single && cat single", level, python=False)
    assert said == "singlemore\n"


def test_a_role_with_the_network_reaches_ports_and_no_named_sockets(outside: Outside, level: Level) -> None:
    assert outside.attack("exec 3<>/dev/tcp/127.0.0.1/$TCP && echo reached", level, False, network=True) == "reached\n"
    outside.tcp.accept()[0].close()
    before = outside.state()
    for attack in ATTACKS:
        if "named socket" in attack.name or "abstract" in attack.name or "wire" in attack.name:
            said = outside.attack(attack.text, level, attack.python, network=True)
            assert outside.harm(said, before) == [], attack.name


def test_the_environment_is_what_was_ordered(ground: Ground, level: Level) -> None:
    names = {line.split("=")[0] for line in output(ground.run("env", level)).splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "HOME", "TMPDIR", "WITAN_EXEC"}


def test_memory_is_limited(ground: Ground, level: Level) -> None:
    ended = ground.run(f"{PYTHON} -I -S -c 'x = bytearray(1 << 30)'", level, memory_max_bytes=256 << 20)
    assert ended.exit == 1 and "MemoryError" in output(ended)


@pytest.mark.parametrize("every", ["A", "B", "C"])
def test_a_sandbox_that_cannot_be_entered_runs_nothing(every: Level, ground: Ground, found: dict[Level, bool]) -> None:
    if not found[every]:
        pytest.skip(f"this machine has no level {every}")
    order = ground.order("echo ran")._replace(cwd=str(ground.folder / "nowhere"))
    ended = ground.do(ground.warden.run(order, lambda _: None, lambda _: None, every))
    assert ended.ended_by == "lost sandbox" and ended.exit is None and "ran\n" not in output(ended)
    assert "nowhere" in output(ended)


@pytest.mark.parametrize("machine", seccomp.MACHINES)
@pytest.mark.parametrize("namespaced", [True, False])
def test_the_filter_is_a_program_that_the_kernel_can_read(machine: str, namespaced: bool) -> None:
    program = seccomp.program(machine, seccomp.policy((), namespaced, (0, 0)))
    assert len(program) % 8 == 0 and len(program) // 8 < 4096
    steps = [program[at : at + 8] for at in range(0, len(program), 8)]
    for place, step in enumerate(steps):
        if step[0] & 7 == 5:
            assert place + 1 + max(step[2], step[3]) < len(steps)
    assert steps[-1] == b"\x06\x00\x00\x00" + seccomp.ALLOW.to_bytes(4, "little")
