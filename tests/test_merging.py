"""Bringing a branch into its target: all of it or nothing, and never over somebody's work."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.executor.git.workspaces import Opened, merge, open_workspace, save, unfinished
from bus.errors import Refused
from tests.repositories import commit, killed_before_effect, person, repository


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return repository(tmp_path / "project")


@pytest.fixture
def opened(repo: Path, tmp_path: Path) -> Opened:
    """With work that is ready: a change, a new file, one moved, one gone, a link, bytes and a mode."""
    opened = open_workspace(tmp_path / "work", "t1", str(repo))
    tree = Path(opened.path)
    (tree / "a.txt").write_text("one\ntwo\n3\n")
    (tree / "new").mkdir()
    (tree / "new" / "x.bin").write_bytes(b"\0\xff" * 5000)
    (tree / "docs" / "b.txt").rename(tree / "new" / "b.txt")
    (tree / "link").symlink_to("a.txt")
    (tree / "run.sh").chmod(0o644)
    save(opened, "work", 1)
    return opened


def state(repo: Path) -> tuple[str, ...]:
    return tuple(person(repo, *said.split()) for said in ("rev-parse HEAD main", "status --porcelain", "ls-files -s"))


def test_the_target_and_its_working_tree_go_along(repo: Path, opened: Opened) -> None:
    done = merge(opened, "order-1", 50)
    assert person(repo, "rev-parse", "main") == done
    assert person(repo, "show", "--no-patch", "--format=%P|%at|%B", done) == (
        f"{opened.base} {person(repo, 'rev-parse', 'witan/t1')}|50|Merge witan/t1\n\nApproved by order-1."
    )
    assert person(repo, "status", "--porcelain") == ""
    assert (repo / "new" / "x.bin").read_bytes() == b"\0\xff" * 5000 and not (repo / "docs" / "b.txt").exists()
    assert os.readlink(repo / "link") == "a.txt" and not os.access(repo / "run.sh", os.X_OK)
    assert merge(opened, "order-1", 50) == done == merge(opened, "order-2", 60)
    (repo / "later.txt").write_text("later\n")
    commit(repo)
    assert merge(opened, "order-1", 50) == done


def test_commits_made_since_are_kept(repo: Path, opened: Opened) -> None:
    (repo / "a.txt").write_text("1\ntwo\nthree\n")
    (repo / "docs" / "b.txt").write_text("b\nmore\n")
    theirs = commit(repo)
    done = merge(opened, "order", 1)
    assert person(repo, "rev-parse", f"{done}^1") == theirs
    assert (repo / "a.txt").read_text() == "1\ntwo\n3\n" and (repo / "new" / "b.txt").read_text() == "b\nmore\n"
    assert person(repo, "status", "--porcelain") == ""


def test_work_that_changed_nothing_is_in_already(repo: Path, tmp_path: Path) -> None:
    before = state(repo)
    opened = open_workspace(tmp_path / "work", "t2", str(repo))
    assert merge(opened, "order", 1) == opened.base and state(repo) == before


def conflict(repo: Path) -> None:
    (repo / "a.txt").write_text("one\ntwo\ndrei\n")
    commit(repo)


def stage(repo: Path) -> None:
    (repo / "run.sh").write_text("other\n")
    person(repo, "add", "run.sh")


def occupy(repo: Path) -> None:
    (repo / "new").mkdir()
    (repo / "new" / "x.bin").write_text("mine\n")


def occupy_with_a_file(repo: Path) -> None:
    (repo / ".git" / "info" / "exclude").write_text("new\n")
    (repo / "new").write_text("mine\n")


def occupy_with_a_folder(repo: Path) -> None:
    (repo / ".git" / "info" / "exclude").write_text("mine\n")
    (repo / "link").mkdir()
    (repo / "link" / "mine").write_text("mine\n")


def occupy_ignored(repo: Path) -> None:
    (repo / ".git" / "info" / "exclude").write_text("new\n")
    occupy(repo)


def begin_merge(repo: Path) -> None:
    person(repo, "update-ref", "MERGE_HEAD", "HEAD")


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (conflict, "conflicts with main in: a.txt"),
        (lambda repo: (repo / "a.txt").write_text("mine\n"), "not committed: a.txt"),
        (stage, "not committed: run.sh"),
        (lambda repo: (repo / "docs" / "b.txt").unlink(), "not committed: docs/b.txt"),
        (occupy, "new/x.bin"),
        (occupy_ignored, "new/x.bin"),
        (occupy_with_a_file, ": new"),
        (occupy_with_a_folder, "link/mine"),
        (begin_merge, "MERGE_HEAD"),
        (lambda repo: (repo / ".git" / "index.lock").touch(), "index.lock"),
        (lambda repo: person(repo, "branch", "--move", "main", "trunk"), "no branch main"),
    ],
)
def test_what_is_in_the_way_is_named_and_nothing_changes(
    repo: Path, opened: Opened, prepare: Callable[[Path], object], why: str
) -> None:
    prepare(repo)
    (repo / "untracked").write_text("harmless\n")
    before, files = person(repo, "status", "--porcelain"), {path: path.lstat() for path in repo.iterdir()}
    with pytest.raises(Refused, match=why) as refused:
        merge(opened, "order", 1)
    assert refused.value.what_next
    assert person(repo, "status", "--porcelain") == before and files.keys() == set(repo.iterdir())
    assert not person(repo, "log", "--merges", "--all") and unfinished(Path(opened.path).parent) == []


def test_a_target_that_is_checked_out_elsewhere_is_refused(repo: Path, opened: Opened, tmp_path: Path) -> None:
    person(repo, "checkout", "--quiet", "-b", "other")
    person(repo, "worktree", "add", "--quiet", str(tmp_path / "elsewhere"), "main")
    with pytest.raises(Refused, match=r"checked out in .*elsewhere"):
        merge(opened, "order", 1)
    assert person(repo, "rev-parse", "main") == opened.base


def test_a_target_that_is_checked_out_nowhere_moves_alone(repo: Path, opened: Opened) -> None:
    person(repo, "checkout", "--quiet", "-b", "other")
    (repo / "a.txt").write_text("dirty, and it does not matter\n")
    done = merge(opened, "order", 1)
    assert person(repo, "rev-parse", "main", "other") == f"{done}\n{opened.base}"
    assert (repo / "a.txt").read_text() == "dirty, and it does not matter\n"


def test_a_linked_working_tree_can_be_the_one_that_goes_along(repo: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    person(repo, "worktree", "add", "--quiet", "-b", "feature", str(linked))
    opened = open_workspace(tmp_path / "work", "t1", str(linked))
    assert opened.target == "feature"
    (Path(opened.path) / "a.txt").write_text("new\n")
    save(opened, "", 1)
    merge(opened, "order", 1)
    assert (linked / "a.txt").read_text() == "new\n" and person(linked, "status", "--porcelain") == ""
    assert person(repo, "rev-parse", "main") == opened.base


def test_a_task_that_began_at_no_branch_is_not_merged(repo: Path, tmp_path: Path) -> None:
    person(repo, "checkout", "--quiet", "--detach")
    with pytest.raises(Refused, match="began at no branch") as refused:
        merge(open_workspace(tmp_path / "work", "t1", str(repo)), "order", 1)
    assert "git merge witan/t1" in refused.value.what_next


def test_a_merge_into_a_repository_of_the_tasks_own(tmp_path: Path) -> None:
    opened = open_workspace(tmp_path / "work", "t1")
    (Path(opened.path) / "new.txt").write_text("new\n")
    save(opened, "", 1)
    merge(opened, "order", 1)
    assert Path(opened.repo, "new.txt").read_text() == "new\n"
    assert person(Path(opened.repo), "status", "--porcelain") == ""


@pytest.mark.parametrize("first", [1, *(pytest.param(first, marks=pytest.mark.slow) for first in range(2, 7))])
def test_a_merge_is_completed_after_a_crash(repo: Path, opened: Opened, first: int) -> None:
    """Killed before every sixth effect; six of these together are all of them. Someone else's order may follow."""
    commits = set()
    for number in range(first, 1000, 6):
        killed = killed_before_effect(number, lambda: merge(opened, "order", 5))
        again = killed_before_effect(number + 3, lambda: merge(opened, "order", 5))
        commits.add(merge(opened, "order", 5))
        assert person(repo, "status", "--porcelain") == "" and unfinished(Path(opened.path).parent) == []
        assert sorted(path.name for path in (repo / ".git").glob("*.lock*")) == []
        person(repo, "reset", "--quiet", "--hard", opened.base)
        if not killed and not again:
            break
    assert len(commits) == 1 and number > 15


def cut_short(repo: Path, opened: Opened) -> None:
    """Git is killed while it writes the working tree: by a filter of the person's own, at the second file."""
    person(repo, "config", "filter.kill.smudge", "kill -9 $PPID")
    person(repo, "config", "filter.kill.required", "true")
    (Path(opened.path) / ".gitattributes").write_text("x.bin filter=kill\n")
    save(opened, "attributes", 2)
    with pytest.raises(Refused):
        merge(opened, "order", 5)
    person(repo, "config", "--remove-section", "filter.kill")
    assert person(repo, "rev-parse", "main") == opened.base and (repo / "a.txt").read_text() != "one\ntwo\nthree\n"


def test_a_merge_is_completed_after_git_was_killed(repo: Path, opened: Opened) -> None:
    cut_short(repo, opened)
    (repo / "new").mkdir(exist_ok=True)
    (repo / "new" / "x.bin").write_bytes(b"\0\xff" * 17)
    assert unfinished(Path(opened.path).parent) == ["t1: a merge was not carried out to the end"]
    merge(opened, "another order", 6)
    assert person(repo, "status", "--porcelain") == "" and (repo / "new" / "x.bin").stat().st_size == 10_000


def test_what_somebody_did_after_the_crash_is_not_lost(repo: Path, opened: Opened) -> None:
    cut_short(repo, opened)
    (repo / "a.txt").write_text("my own, after the crash\n")
    with pytest.raises(Refused, match=r"somebody changed: a\.txt"):
        merge(opened, "order", 5)
    assert (repo / "a.txt").read_text() == "my own, after the crash\n"
