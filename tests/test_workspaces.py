"""A task's workspace: opened, saved, looked at and removed, also after a crash anywhere."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from actors.executor.git import workspaces
from actors.executor.git.running import GitPlace, ask
from actors.executor.git.workspaces import Opened, diff, log, open_workspace, remove, save, status, tree_of, unfinished
from bus.errors import Refused
from tests.repositories import ENV, commit, killed_before_effect, person, repository


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return repository(tmp_path / "project")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "state" / "work"


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".git")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_task_gets_a_worktree_and_a_branch_of_its_own(repo: Path, work: Path) -> None:
    head = person(repo, "rev-parse", "HEAD")
    opened = open_workspace(work, "t1", str(repo))
    assert opened == Opened(str(repo), "witan/t1", head, "main", str(work / "t1"))
    assert contents(work / "t1").keys() == {"a.txt", "run.sh", "docs/b.txt"}
    assert os.access(work / "t1" / "run.sh", os.X_OK) and not os.access(work / "t1" / "a.txt", os.X_OK)
    assert person(work / "t1", "status", "--porcelain", "--branch") == "## witan/t1"
    assert "locked" in person(repo, "worktree", "list", "--porcelain")
    assert open_workspace(work, "t1", str(repo)) == opened
    assert person(repo, "status", "--porcelain") == "" and person(repo, "rev-parse", "main") == head


def test_a_task_without_a_repository_gets_one(work: Path) -> None:
    opened = open_workspace(work, "t1")
    (work / "t1" / "new.txt").write_text("new\n")
    saved = save(opened, "first", 1)
    assert saved.created == ["new.txt"] and opened.target == "main"
    assert open_workspace(work, "t1") == opened
    assert open_workspace(work, "t2").base == opened.base


def test_a_branch_a_tag_or_a_commit_can_be_the_base(repo: Path, work: Path) -> None:
    first = person(repo, "rev-parse", "HEAD")
    person(repo, "branch", "develop")
    (repo / "a.txt").write_text("later\n")
    commit(repo)
    assert open_workspace(work, "t1", str(repo), "develop")[2:4] == (first, "develop")
    assert open_workspace(work, "t2", str(repo), first)[2:4] == (first, "main")
    person(repo, "checkout", "--quiet", "--detach")
    assert open_workspace(work, "t3", str(repo)).target == ""


@pytest.mark.parametrize(
    ("prepare", "base", "why"),
    [
        (["rm", "-rf", ".git"], "", "is not a git repository"),
        (["git", "config", "core.bare", "true"], "", "bare repository"),
        (["git", "checkout", "--quiet", "--orphan", "new"], "", "no commits yet"),
        (["true"], "nowhere", "no commit 'nowhere'"),
        (["true"], "--upload-pack=x", "no commit"),
        (["git", "branch", "witan/t1"], "", "not this task's"),
        (["git", "branch", "witan"], "", "cannot lock ref|exists"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_what_to_do(
    repo: Path, work: Path, prepare: list[str], base: str, why: str
) -> None:
    subprocess.run(prepare, cwd=repo, env=ENV, check=True)
    with pytest.raises(Refused, match=why) as refused:
        open_workspace(work, "t1", str(repo), base)
    assert refused.value.what_next


def test_a_folder_inside_a_repository_is_not_the_repository(repo: Path, work: Path) -> None:
    with pytest.raises(Refused, match="not the top") as refused:
        open_workspace(work, "t1", str(repo / "docs"))
    assert f"--repo {repo}" in refused.value.what_next
    with pytest.raises(Refused, match="there is no folder"):
        open_workspace(work, "t1", str(repo / "nowhere"))


def test_the_same_tree_on_the_same_parent_is_the_same_commit(repo: Path, work: Path) -> None:
    opened = open_workspace(work, "t1", str(repo))
    (work / "t1" / "a.txt").write_text("changed\n")
    (work / "t1" / "docs" / "b.txt").unlink()
    (work / "t1" / "new").mkdir()
    (work / "t1" / "new" / "c.py").write_text("c\n")
    (work / "t1" / "run.sh").chmod(0o644)
    first = save(opened, "work", 100)
    assert (first.created, first.wrote, first.deleted) == (["new/c.py"], ["a.txt", "run.sh"], ["docs/b.txt"])
    assert save(opened, "work", 100) == first
    later = save(opened, "other words", 200)
    assert (later.commit, later.created, later.wrote) == (first.commit, [], [])
    person(repo, "update-ref", "refs/heads/witan/t1", opened.base)
    assert save(opened, "work", 100) == first
    assert person(repo, "show", "--no-patch", "--format=%an <%ae> %at %s", first.commit) == (
        "Witan <witan@localhost> 100 work"
    )
    assert person(work / "t1", "status", "--porcelain") == ""
    assert person(repo, "fsck", "--strict", "--no-dangling") == ""


def test_the_tree_is_known_without_a_commit(repo: Path, work: Path) -> None:
    opened = open_workspace(work, "t1", str(repo))
    assert tree_of(opened) == person(repo, "rev-parse", "main^{tree}")
    (work / "t1" / "a.txt").write_text("changed\n")
    tree = tree_of(opened)
    assert person(repo, "rev-parse", "witan/t1") == opened.base
    assert save(opened, "", 1).tree == tree == tree_of(opened)


def test_names_bytes_and_modes_survive_as_they_are(repo: Path, work: Path, tmp_path: Path) -> None:
    opened = open_workspace(work, "t1", str(repo))
    odd = [b"caf\xe9", b"new\nline", b"-dash", b"tab\t", b"quote\"'", b" space ", b"back\\slash", "\u65e5".encode()]
    for name in odd:
        Path(work / "t1" / os.fsdecode(name)).write_bytes(b"\x00\xff\r\n" + name)
    (work / "t1" / ".gitattributes").write_text("* text eol=crlf\n")
    saved = save(opened, "odd \ud800 \0 message", 1)
    assert len(saved.created) == len(odd) + 1 and "caf\\xe9" in saved.created
    "".join(saved.created).encode()
    again = open_workspace(work, "t2", str(repo), saved.commit)
    assert contents(work / "t2") == contents(work / "t1")
    assert tree_of(again) == saved.tree


@pytest.mark.parametrize("how", [(), ("--object-format=sha256",)])
def test_both_kinds_of_object_names_work(tmp_path: Path, work: Path, how: tuple[str, ...]) -> None:
    opened = open_workspace(work, "t1", str(repository(tmp_path / "project", *how)))
    for number in range(150):
        (work / "t1" / f"{number}.txt").write_text(f"{number}\n")
    saved = save(opened, "many", 1)
    assert len(saved.created) == 150 and tree_of(opened) == saved.tree
    person(work / "t1", "add", "--all")
    assert person(work / "t1", "write-tree") == saved.tree


def test_what_is_ignored_is_not_saved_unless_git_has_it_already(repo: Path, work: Path) -> None:
    (repo / "kept.log").write_text("tracked\n")
    (repo / "build").mkdir()
    (repo / "build" / "kept").write_text("tracked\n")
    commit(repo)
    opened = open_workspace(work, "t1", str(repo))
    (repo / ".git" / "info" / "exclude").write_text("*.mine\n")
    tree = work / "t1"
    (tree / ".gitignore").write_text("*.log\n/build/\n")
    for name in ("x.log", "kept.log", "x.mine", "build/x", "build/kept", "x.txt"):
        (tree / name).write_text("new\n")
    for name in ("__pycache__", ".pytest_cache", "docs/__pycache__"):
        (tree / name).mkdir()
        (tree / name / "x").write_text("")
    saved = save(opened, "", 1)
    assert (saved.created, saved.wrote) == ([".gitignore", "x.txt"], ["build/kept", "kept.log"])


def test_a_submodule_stays_what_it_is(repo: Path, work: Path) -> None:
    head = person(repo, "rev-parse", "HEAD")
    person(repo, "update-index", "--add", "--cacheinfo", f"160000,{head},vendor/lib")
    person(repo, "commit", "--quiet", "--message", "submodule")
    opened = open_workspace(work, "t1", str(repo))
    assert (work / "t1" / "vendor" / "lib").is_dir()
    assert tree_of(opened) == person(repo, "rev-parse", "HEAD^{tree}")


def test_status_diff_and_log_tell_what_was_done(repo: Path, work: Path) -> None:
    opened = open_workspace(work, "t1", str(repo))
    (work / "t1" / "a.txt").write_text("one\n2\nthree\n")
    (work / "t1" / "b.bin").write_bytes(b"\0\1")
    assert status(opened).splitlines()[1:] == ["A b.bin", "M a.txt"]
    assert "-two\n+2\n" in diff(opened) and "Binary files" in diff(opened)
    save(opened, "numbers", 1)
    assert status(opened).splitlines()[1:] == ["everything is saved"]
    (work / "t1" / "a.txt").write_text("one\n2\n3\n")
    assert "-two" in diff(opened) and "-two" not in diff(opened, "last")
    saved = save(opened, "more numbers", 2)
    assert [line.split(" ", 2)[2] for line in log(opened).splitlines()] == ["more numbers", "numbers"]
    remove(opened)
    assert "+3\n" in diff(opened)
    patch = workspaces.changes(opened, saved)
    subprocess.run(["git", "apply", "--index"], cwd=repo, env=ENV, input=patch, check=True)
    assert person(repo, "write-tree") == saved.tree


def test_the_tree_is_right_after_a_person_collected_the_garbage(repo: Path, work: Path) -> None:
    opened = open_workspace(work, "t1", str(repo))
    (work / "t1" / "new.txt").write_text("new\n")
    os.utime(work / "t1" / "new.txt", (1, 1))
    tree = tree_of(opened)
    person(repo, "gc", "--quiet", "--prune=now")
    assert ask(GitPlace(repo / ".git"), "cat-file", "-e", tree).exit
    assert tree_of(opened) == tree
    assert not ask(GitPlace(repo / ".git"), "cat-file", "-e", tree).exit


def test_a_file_that_changes_right_after_it_was_read_is_seen(repo: Path, work: Path) -> None:
    opened = open_workspace(work, "t1", str(repo))
    trees = set()
    for number in range(20):
        (work / "t1" / "a.txt").write_text(f"{number:03}\n")
        os.utime(work / "t1" / "a.txt", (1, 1))
        trees.add(tree_of(opened))
    assert len(trees) == 20


def test_a_repository_of_another_user_is_opened(repo: Path, work: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a repository to another user")
    for path in [repo, *repo.rglob("*")]:
        os.chown(path, 12345, 12345, follow_symlinks=False)
    opened = open_workspace(work, "t1", str(repo))
    (work / "t1" / "new.txt").write_text("new\n")
    assert save(opened, "", 1).created == ["new.txt"]


def test_removing_leaves_nothing_and_can_be_repeated(repo: Path, work: Path) -> None:
    opened = open_workspace(work, "t1", str(repo))
    save(opened, "", 1)
    for _ in range(2):
        remove(opened)
        assert [path.name for path in work.iterdir() if path.suffix != ".lock"] == []
        assert "witan/t1" not in person(repo, "worktree", "list")
    assert person(repo, "branch", "--list", "witan/t1")
    for _ in range(2):
        remove(opened, branch=True)
        assert not person(repo, "branch", "--list", "witan/t1")
    own = open_workspace(work, "t2")
    remove(own, branch=True)
    assert [path.name for path in work.iterdir() if path.suffix != ".lock"] == []


def test_a_working_tree_that_was_removed_by_hand_comes_back_as_it_was_saved(repo: Path, work: Path) -> None:
    opened = open_workspace(work, "t1", str(repo))
    (work / "t1" / "new.txt").write_text("new\n")
    saved = save(opened, "", 1)
    person(repo, "worktree", "remove", "--force", "--force", str(work / "t1"))
    assert open_workspace(work, "t1", str(repo)) == opened
    assert tree_of(opened) == saved.tree


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("first", [1, *(pytest.param(first, marks=pytest.mark.slow) for first in range(2, 9))])
def test_opening_and_removing_are_completed_after_a_crash(repo: Path, work: Path, given: bool, first: int) -> None:
    """Killed before every eighth effect; eight of these together are all of them."""
    named = str(repo) if given else ""
    killed = gone = True
    kills = 0
    for number in range(first, 1000, 8):
        killed = killed and killed_before_effect(number, lambda: open_workspace(work, "t1", named))
        opened = open_workspace(work, "t1", named)
        assert tree_of(opened) == person(Path(opened.repo), "rev-parse", "main^{tree}") and unfinished(work) == []
        assert person(work / "t1", "status", "--porcelain") == ""
        gone = gone and killed_before_effect(number, partial(remove, opened, True))
        remove(opened, branch=True)
        assert [path.name for path in work.iterdir() if path.suffix != ".lock"] == []
        assert person(repo, "worktree", "list").count("\n") == 0 and not person(repo, "branch", "--list", "witan/*")
        kills += killed + gone
        if not killed and not gone:
            break
    assert not killed and not gone and kills > 4


@pytest.mark.parametrize("first", [1, *(pytest.param(first, marks=pytest.mark.slow) for first in (2, 3, 4))])
def test_saving_is_completed_after_a_crash(repo: Path, work: Path, first: int) -> None:
    opened = open_workspace(work, "t1", str(repo))
    (work / "t1" / "a.txt").write_text("changed\n")
    commits = set()
    for number in range(first, 1000, 4):
        killed = killed_before_effect(number, lambda: save(opened, "work", 5))
        saved = save(opened, "work", 5)
        assert saved.wrote == ["a.txt"]
        commits.add(saved.commit)
        person(repo, "update-ref", "refs/heads/witan/t1", opened.base)
        if not killed:
            break
    assert len(commits) == 1 and not killed and number > 10


@pytest.mark.parametrize("count", [8, pytest.param(30, marks=pytest.mark.slow)])
def test_many_tasks_at_once_on_one_repository(repo: Path, work: Path, count: int) -> None:
    def live(number: int) -> Opened:
        opened = open_workspace(work, f"t{number}", str(repo))
        (Path(opened.path) / f"{number}.txt").write_text(f"{number}\n")
        assert save(opened, f"task {number}", number).created == [f"{number}.txt"]
        return opened

    with ThreadPoolExecutor(4) as threads:
        opened = list(threads.map(live, range(count)))
        merged = list(threads.map(lambda each: workspaces.merge(each, "order", 1), opened))
        list(threads.map(remove, opened))
    assert len(set(merged)) == count
    assert {f"{number}.txt" for number in range(count)} <= {path.name for path in repo.iterdir()}
    assert person(repo, "status", "--porcelain") == "" and person(repo, "worktree", "list").count("\n") == 0
    assert person(repo, "rev-list", "--count", "--merges", "main") == str(count)
