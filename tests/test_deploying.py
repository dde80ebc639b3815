"""Deploying a tree for real: copied, built, checked, swapped in, swapped back, also after a crash anywhere."""

import asyncio
import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from actors.executor import deploying
from actors.executor.deploying import Deployed, Environment, deploy, read_environments
from actors.executor.git.workspaces import Opened, open_workspace, save
from bus.errors import Invalid, Refused
from tests.repositories import ENV, killed_before_effect

LOCAL = Environment(name="local", health="sh health.sh", health_pause_s=0, health_tries=2)


async def run(command: str, cwd: Path, writable: list[str]) -> tuple[int, str]:
    """Without a sandbox."""
    assert writable in ([], [str(cwd)])
    ran = subprocess.run(["sh", "-c", command], cwd=cwd, env=ENV, capture_output=True, text=True)  # noqa: ASYNC221
    return ran.returncode, ran.stdout + ran.stderr


def brought(opened: Opened, tree: str, environment: Environment = LOCAL) -> Deployed:
    return asyncio.run(deploy(opened, tree, environment, run))


class Project:
    """A task's workspace, and where it is deployed to."""

    def __init__(self, state: Path) -> None:
        self.opened = open_workspace(state / "work", "t1")
        self.place = state / "deployed" / "local"
        self._saved = 0

    def tree(self, **files: str) -> str:
        self._saved += 1
        for name, content in files.items():
            (Path(self.opened.path) / f"{name}.sh").write_text(content)
        return save(self.opened, "work", self._saved).tree

    @property
    def current(self) -> str:
        link = self.place / "current"
        return os.readlink(link).removeprefix("releases/") if link.is_symlink() else ""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "state")


GOOD, BAD = "exit 0\n", "echo it is ill; exit 3\n"
ILL_IN_USE = 'test "$(readlink ../../current)" != "releases/$(basename "$PWD")"\n'
"""Healthy until it is in use."""


def test_a_tree_is_brought_into_use(project: Project) -> None:
    tree = project.tree(health=GOOD, a="one\n")
    (Path(project.opened.path) / "a.sh").write_text("changed since\n")
    done = brought(project.opened, tree)
    assert done == Deployed(str(project.place / "current"), "`sh health.sh` passed at try 1")
    assert (project.place / "current" / "a.sh").read_text() == "one\n" and project.current == tree
    assert not (project.place / "current" / ".git").exists()
    assert brought(project.opened, tree) == done


def test_a_build_runs_in_the_copy_once(project: Project) -> None:
    tree = project.tree(health="grep -q built out.txt")
    building = msgspec.structs.replace(LOCAL, build="echo built >> out.txt", files=["out.txt"])
    for _ in range(2):
        assert not brought(project.opened, tree, building).reason
        assert (project.place / "current" / "out.txt").read_text() == "built\n"
    assert not (Path(project.opened.path) / "out.txt").exists()
    other = msgspec.structs.replace(building, build="echo built otherwise >> out.txt")
    assert not brought(project.opened, tree, other).reason
    assert (project.place / "current" / "out.txt").read_text() == "built otherwise\n"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"build": "echo no compiler; false"}, "the build ended with 1: no compiler"),
        ({"health": "echo it is ill; exit 3"}, "ended with 3 at try 2: it is ill"),
        ({"files": ["missing.txt"]}, "the copy has no missing.txt"),
        ({"files": ["outside/passwd"]}, "the copy has no outside/passwd"),
        ({"files": ["/etc/passwd"]}, "the copy has no /etc/passwd"),
    ],
)
def test_what_is_not_fit_never_comes_into_use(project: Project, change: dict[str, object], why: str) -> None:
    unfit = msgspec.structs.replace(LOCAL, **change)
    (Path(project.opened.path) / "outside").symlink_to("/etc")
    first = brought(project.opened, project.tree(health=GOOD), unfit)
    assert first.rolled_back_to == "" and why in first.reason and project.current == ""
    good = project.tree(health=GOOD, a="1")
    assert not brought(project.opened, good).reason
    second = brought(project.opened, project.tree(a="2"), unfit)
    assert second.rolled_back_to == good and why in second.reason and project.current == good


def test_what_fails_in_use_is_swapped_back(project: Project) -> None:
    ill = project.tree(health=ILL_IN_USE)
    done = brought(project.opened, ill)
    assert done.rolled_back_to == "" and done.reason.startswith("after the swap: ") and project.current == ""
    good = project.tree(health=GOOD)
    brought(project.opened, good)
    again = project.tree(health=ILL_IN_USE)
    assert brought(project.opened, again).rolled_back_to == good and project.current == good
    mended = project.tree(health=GOOD, a="mended")
    assert brought(project.opened, mended).reason == "" and project.current == mended


def test_a_health_check_may_need_a_few_tries(project: Project) -> None:
    count = project.place.parent / "count"
    tree = project.tree(health=f'echo x >> {count}; test "$(grep -c x {count})" -ge 3\n')
    patient = msgspec.structs.replace(LOCAL, health_tries=3)
    assert brought(project.opened, tree, patient).reason == ""


def test_only_the_last_releases_are_kept(project: Project) -> None:
    keeping = msgspec.structs.replace(LOCAL, keep=2)
    trees = [project.tree(health=GOOD, a=f"{number}\n") for number in range(5)]
    for tree in trees:
        assert not brought(project.opened, tree, keeping).reason
    kept = {path.name for path in (project.place / "releases").iterdir() if path.suffix == ""}
    assert kept == set(trees[-2:]) and project.current == trees[-1]


def test_two_deployments_to_one_place_do_not_meet(project: Project) -> None:
    tree = project.tree(health=GOOD)

    async def both() -> list[Deployed | BaseException]:
        twice = (deploy(project.opened, tree, LOCAL, run) for _ in range(2))
        return await asyncio.gather(*twice, return_exceptions=True)

    first, second = asyncio.run(both())
    assert isinstance(first, Deployed) and isinstance(second, Refused) and "under way" in str(second)


def test_what_witan_did_not_make_is_left_alone(project: Project) -> None:
    (project.place / "current").mkdir(parents=True)
    with pytest.raises(Refused, match="not made by Witan"):
        brought(project.opened, project.tree(health=GOOD))
    with pytest.raises(Refused):
        brought(project.opened, "0" * 40, msgspec.structs.replace(LOCAL, place="elsewhere"))


def test_a_place_may_be_anywhere(project: Project, tmp_path: Path) -> None:
    there = msgspec.structs.replace(LOCAL, place=str(tmp_path / "srv" / "app"))
    done = brought(project.opened, project.tree(health=GOOD), there)
    assert done.place == str(tmp_path / "srv" / "app" / "current") and Path(done.place, "health.sh").is_file()


@pytest.mark.parametrize("first", [1, *(pytest.param(first, marks=pytest.mark.slow) for first in range(2, 11))])
@pytest.mark.parametrize("health", [GOOD, ILL_IN_USE])
def test_a_deployment_comes_to_the_same_end_after_a_crash(project: Project, first: int, health: str) -> None:
    """Killed before every tenth effect; ten of these together are all of them."""
    before = project.tree(health=GOOD, a="before")
    brought(project.opened, before)
    building = msgspec.structs.replace(LOCAL, build="echo built >> out.txt", keep=2)
    for number in range(first, 1000, 10):
        tree = project.tree(health=health, a=f"{number}")
        killed = killed_before_effect(number, lambda tree=tree: brought(project.opened, tree, building))  # type: ignore[misc]
        done = brought(project.opened, tree, building)
        if health == GOOD:
            assert done.reason == "" and project.current.startswith(tree)
            assert (project.place / "current" / "out.txt").read_text() == "built\n"
        else:
            assert done.rolled_back_to == before and project.current == before
        assert not (project.place / "swap").exists() and not list(project.place.glob("**/*.gone"))
        if not killed:
            break
    assert not killed and number > 20


def test_a_release_that_never_proved_itself_is_not_what_one_goes_back_to(project: Project) -> None:
    """Killed while the release was checked in use, and the next deployment is of another tree, which is unfit."""
    good, unproven = project.tree(health=GOOD), project.tree(health=GOOD, a="unproven")
    brought(project.opened, good)
    marks = project.place.parent / "killed"
    in_use = f'test "$(readlink ../../current)" != releases/{unproven} || {{ touch {marks}; kill -9 $PPID; }}'
    killing = msgspec.structs.replace(LOCAL, health=in_use)
    assert killed_before_effect(100_000, lambda: brought(project.opened, unproven, killing)) and marks.exists()
    assert project.current == unproven
    bad = project.tree(health=BAD)
    assert brought(project.opened, bad).rolled_back_to == good and project.current == good


def test_environments_are_files_that_can_be_laid_over(tmp_path: Path) -> None:
    built_in = Path(deploying.__file__).parent.parent / "environments.toml"
    mine = tmp_path / "environments.toml"
    mine.write_text('[local]\nhealth = "true"\n[staging]\nplace = "/srv/app"\nkeep = 5\n')
    found = read_environments(built_in, mine, tmp_path / "none.toml")
    assert found["local"].health == "true" and found["staging"].keep == 5 and found["staging"].name == "staging"
    assert read_environments(built_in)["local"].kind == "local"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[local]\nkeep = 0\n", r"\$\.local\.keep"),
        ("[local]\nhealt = 'x'\n", r"\$\.local: .*healt"),
        ('[local]\nkind = "cloud"\n', "cloud"),
        ('["a b"]\n', r"\$\.a b: "),
        ("[local", "environments.toml"),
    ],
)
def test_a_mistake_in_an_environment_is_named(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "environments.toml"
    path.write_text(text)
    with pytest.raises(Invalid, match=where) as refused:
        read_environments(path)
    assert str(path) in str(refused.value)
