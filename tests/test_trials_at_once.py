"""Several candidates at once: their trees are made side by side, and no more than two run commands."""

from pathlib import Path
from typing import Any

import pytest

from actors.executor.git.running import find
from actors.executor.git.trees import lay_out, small
from actors.executor.jobs import Job
from bus.messages.trial import CandidateTried
from tests.repositories import commit, person, repository
from tests.trial_ground import ground_in


def test_no_more_than_two_run_commands_however_many_are_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = set[str](), list[int]()
    with ground_in(tmp_path) as ground:
        run = ground.commands.run

        async def counted(job: Job, *rest: Any, **more: Any) -> Any:
            running.add(job.key)
            most.append(len(running))
            try:
                return await run(job, *rest, **more)
            finally:
                running.discard(job.key)

        monkeypatch.setattr(ground.commands, "run", counted)
        found = ground.all_of(*(ground.trial(f"m{number}", tests="true") for number in range(1, 5)))
        assert all(isinstance(each.event, CandidateTried) and each.event.tests for each in found)
        assert ground.trees() == []
    assert len(most) == 4 and max(most) <= 2


def test_a_small_tree_that_was_read_once_is_laid_out_as_git_has_it(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    (repo / "link").symlink_to("docs/b.txt")
    (repo / "bytes").write_bytes(bytes(range(256)))
    commit(repo)
    place, tree = find(str(repo)).place, person(repo, "rev-parse", "HEAD^{tree}")
    known = small(place, tree)
    assert known is not None
    for name in ("ours", "git"):
        (tmp_path / name).mkdir()
    known.lay_out(tmp_path / "ours")
    lay_out(place, tree, tmp_path / "git")
    assert contents(tmp_path / "ours") == contents(tmp_path / "git") and len(contents(tmp_path / "git")) == 6


def test_a_large_tree_is_not_kept(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    (repo / "large").write_bytes(b"x" * 5_000_000)
    commit(repo)
    assert small(find(str(repo)).place, person(repo, "rev-parse", "HEAD^{tree}")) is None


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything in it that is no plain folder, with its mode."""
    return {
        path.relative_to(folder).as_posix(): (
            path.lstat().st_mode,
            str(path.readlink()).encode() if path.is_symlink() else b"" if path.is_dir() else path.read_bytes(),
        )
        for path in folder.rglob("*")
    }
