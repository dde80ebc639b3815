"""The sandbox: what a command cannot do at any level, shown with attacks that work where nothing holds them in."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from actors.executor import attest, seccomp
from actors.executor.attest import Attestation
from actors.executor.orders import Level
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


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_nothing_gets_out(attack: Attack, level: Level, outside: Outside) -> None:
    before = outside.state()
    said = outside.attack(attack.text, level, attack.python)
    assert outside.harm(said, before) == [], said


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.safe], ids=lambda attack: attack.name)
def test_each_attack_is_seen_where_nothing_holds_it_in(attack: Attack, outside: Outside) -> None:
    before = outside.state()
    said = outside.attack(attack.text, "C", attack.python)
    assert outside.harm(said, before) != [], said


def test_there_are_enough_attacks() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 90
