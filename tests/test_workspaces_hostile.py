"""What an agent's command may have put into a working tree: our git neither runs it nor follows it out."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.executor.git.ignoring import read_patterns
from actors.executor.git.removing import remove_folder
from actors.executor.git.walking import Walk
from actors.executor.git.workspaces import (
    Opened,
    changes,
    diff,
    log,
    merge,
    open_workspace,
    remove,
    save,
    status,
    tree_of,
)
from bus.errors import Refused
from tests.repositories import ENV, person, repository


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return open_workspace(tmp_path / "work", "t1", str(repository(tmp_path / "project")))


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """Grows by a line whenever somebody runs what the working tree or the repository would have run."""
    script = tmp_path / "canary.sh"
    script.write_text(f"#!/bin/sh\necho ran >> '{tmp_path}/canary'\ncat\n")
    script.chmod(0o755)
    return tmp_path / "canary"


def use_all(opened: Opened) -> None:
    status(opened), diff(opened), tree_of(opened), log(opened)
    saved = save(opened, "all", 1)
    changes(opened, saved), diff(opened), status(opened)
    merge(opened, "order", 1)
    remove(opened, branch=True)


def tree_or_not(opened: Opened) -> str:
    try:
        return tree_of(opened)
    except Refused:
        return ""


def hostile_repository(path: Path, script: Path) -> None:
    person(path, "init", "--quiet")
    for setting in ("core.fsmonitor", "core.pager", "core.editor", "diff.external", "core.sshCommand", "gpg.program"):
        person(path, "config", setting, str(script))
    for hook in ("pre-commit", "post-checkout", "post-index-change", "reference-transaction", "post-merge"):
        (path / ".git" / "hooks").mkdir(exist_ok=True)
        (path / ".git" / "hooks" / hook).symlink_to(script)


def test_repositories_inside_the_working_tree_run_nothing(opened: Opened, canary: Path) -> None:
    tree, script = Path(opened.path), canary.with_suffix(".sh")
    for name in ("nested", "docs/deep", "Upper"):
        (tree / name).mkdir()
        hostile_repository(tree / name, script)
        (tree / name / "code.py").write_text("pass\n")
    (tree / "Upper" / ".git").rename(tree / "Upper" / ".GIT")
    (tree / ".git").unlink()
    hostile_repository(tree, script)
    subprocess.run(["git", "status"], cwd=tree / "nested", env=ENV, capture_output=True, check=True)
    assert canary.exists(), "the trap itself must work"
    canary.unlink()
    saved = save(opened, "with repositories", 1)
    assert saved.created == ["Upper/code.py", "docs/deep/code.py", "nested/code.py"]
    assert saved.skipped == ["Upper/.GIT", "docs/deep/.git", "nested/.git"]
    use_all(opened)
    assert not canary.exists() and not tree.exists()


@pytest.mark.parametrize("content", ["gitdir: {trap}/.git", "gitdir: /nonexistent", "", None])
def test_a_replaced_git_file_is_not_believed(opened: Opened, canary: Path, tmp_path: Path, content: str | None) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    hostile_repository(trap, canary.with_suffix(".sh"))
    (Path(opened.path) / ".git").unlink()
    if content is not None:
        (Path(opened.path) / ".git").write_text(content.format(trap=trap))
    (Path(opened.path) / "new.txt").write_text("new\n")
    before = sorted(trap.rglob("*"))
    use_all(opened)
    assert sorted(trap.rglob("*")) == before and not canary.exists()
    assert person(Path(opened.repo), "show", "main:new.txt") == "new"


def test_filters_and_drivers_are_not_run_on_what_an_agent_wrote(opened: Opened, canary: Path) -> None:
    repo, tree, script = Path(opened.repo), Path(opened.path), canary.with_suffix(".sh")
    for setting in ("filter.x.clean", "filter.x.process", "diff.x.textconv", "diff.x.command", "merge.x.driver"):
        person(repo, "config", setting, str(script))
    hooks = repo / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "post-merge"):
        (hooks / hook).symlink_to(script)
    (tree / ".gitattributes").write_text("* filter=x diff=x merge=x export-subst ident\n")
    (tree / "a.txt").write_text("$Id$ one\n")
    subprocess.run(["git", "add", "a.txt"], cwd=tree, env=ENV, capture_output=True)
    assert canary.exists(), "the trap itself must work"
    canary.unlink()
    saved = save(opened, "attributes", 1)
    changes(opened, saved), diff(opened), status(opened), log(opened)
    open_workspace(tree.parent, "t2", str(repo), saved.commit)
    assert (tree.parent / "t2" / "a.txt").read_text() == "$Id$ one\n"
    assert not canary.exists()


def test_links_are_saved_as_links_and_not_followed(opened: Opened, tmp_path: Path) -> None:
    tree, secret = Path(opened.path), tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("canary-of-a-secret\n")
    (tree / "file").symlink_to(secret / "key")
    (tree / "folder").symlink_to(secret)
    (tree / ".gitignore").symlink_to(secret / "key")
    for inner in (tree / "docs").iterdir():
        inner.unlink()
    (tree / "docs").rmdir()
    (tree / "docs").symlink_to(secret)
    saved = save(opened, "links", 1)
    assert saved.created == [".gitignore", "docs", "file", "folder"] and saved.deleted == ["docs/b.txt"]
    assert "canary-of-a-secret" not in diff(opened)
    remove(opened)
    assert (secret / "key").read_text() == "canary-of-a-secret\n"


def test_a_race_between_a_file_and_a_link_never_takes_what_is_outside(opened: Opened, tmp_path: Path) -> None:
    tree, secret = Path(opened.path), tmp_path / "secret"
    secret.mkdir()
    (secret / "b.txt").write_text("canary-of-a-secret\n")
    (tree / "docs2").symlink_to(secret)
    race = (
        "import os\nwhile True:\n"
        "  os.rename('docs', 'x'); os.rename('docs2', 'docs')\n"
        "  os.rename('docs', 'docs2'); os.rename('x', 'docs')\n"
        "  os.rename('a.txt', 'y'); os.symlink('docs2/b.txt', 'a.txt'); os.unlink('a.txt'); os.rename('y', 'a.txt')\n"
    )
    with subprocess.Popen([sys.executable, "-c", race], cwd=tree) as racer:
        try:
            trees = {found for _ in range(25) if (found := tree_or_not(opened))}
        finally:
            racer.kill()
    blobs = {
        line.split()[2] for each in trees for line in person(Path(opened.repo), "ls-tree", "-r", each).splitlines()
    }
    outside = person(Path(opened.repo), "hash-object", str(secret / "b.txt"))
    assert len(trees) > 1 and outside not in blobs


def test_what_is_no_file_is_skipped(opened: Opened) -> None:
    tree = Path(opened.path)
    (tree / "folder" / ".gitignore").mkdir(parents=True)
    for name in ("pipe", ".gitignore", "docs/.gitignore"):
        os.mkfifo(tree / name)
    here = os.getcwd()
    os.chdir(tree)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket")
    finally:
        os.chdir(here)
    saved = save(opened, "odd", 1)
    assert (saved.created, saved.skipped) == ([], [".gitignore", "docs/.gitignore", "pipe", "socket"])
    use_all(opened)


def test_what_is_too_large_or_too_deep_is_refused(opened: Opened) -> None:
    tree = Path(opened.path)
    with open(tree / "huge", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(Refused, match="huge: more than 2048 MiB are new"):
        tree_of(opened)
    (tree / ".gitignore").write_text("huge\n")
    assert save(opened, "", 1).created == [".gitignore"]
    fd = os.open(tree, os.O_RDONLY)
    for _ in range(2000):
        os.mkdir("deep", dir_fd=fd)
        fd, above = os.open("deep", os.O_RDONLY, dir_fd=fd), fd
        os.close(above)
    os.close(fd)
    with pytest.raises(Refused, match="more than 100 folders deep"):
        save(opened, "", 1)
    remove(opened)
    assert not tree.exists()


@pytest.mark.parametrize("name", ["git~1", ".git. ", ".Git", ".git::$INDEX_ALLOCATION"])
def test_a_name_that_other_systems_take_for_git_is_skipped(opened: Opened, name: str) -> None:
    (Path(opened.path) / "docs" / name).mkdir()
    (Path(opened.path) / "docs" / name / "config").write_text("")
    assert save(opened, "", 1).skipped == [f"docs/{name}"]


def test_what_cannot_be_read_is_named_and_can_still_be_removed(opened: Opened) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    locked = Path(opened.path) / "locked"
    (locked / "inner").mkdir(parents=True)
    (locked / "inner" / "x").write_text("x")
    (locked / "inner").chmod(0)
    locked.chmod(0)
    with pytest.raises(Refused, match="locked cannot be read"):
        save(opened, "", 1)
    remove(opened)
    assert not locked.exists()


def test_removing_follows_nothing_and_clears_what_a_crash_left(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("kept")
    folder = tmp_path / "folder"
    (folder / "1" / "2").mkdir(parents=True)
    (folder / "1" / "out").symlink_to(kept)
    (folder / "1" / "2" / "out").symlink_to(kept / "file")
    (tmp_path / "folder.gone" / "7" / "8").mkdir(parents=True)
    remove_folder(folder)
    remove_folder(folder)
    (tmp_path / "link").symlink_to(kept)
    remove_folder(tmp_path / "link")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"] and (kept / "file").exists()


NAMES = st.sampled_from(["a", "b", "ab", "a.b", "c"])
SEGMENTS = st.sampled_from(["a", "b", "ab", "*", "**", "a*", "*b", "?", "??", "[ab]", "[!a]", "[a-b]*", "\\a", "*.*"])
LINES = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "!", "/"]),
    st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join),
    st.sampled_from(["", "", "/"]),
    st.sampled_from(["", "", " ", "\r", "\\ ", "\\"]),
)
FILES = [f"{one}/{two}/{three}" for one in ("a", "b") for two in ("a", "ab", "c") for three in ("a", "b", "a.b")]


@pytest.fixture(scope="module")
def ignorant() -> Path:
    folder = Path(tempfile.mkdtemp())
    person(folder, "init", "--quiet")
    for name in [*FILES, "ab", "a.b", "c"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LINES, max_size=4), st.lists(LINES, max_size=3))
def test_we_ignore_what_git_ignores(ignorant: Path, above: list[str], below: list[str]) -> None:
    (ignorant / ".gitignore").write_text("\n".join(above))
    (ignorant / "a" / ".gitignore").write_text("\n".join(below))
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", "-z"], cwd=ignorant, env=ENV, capture_output=True
    ).stdout
    with tempfile.TemporaryFile() as stream:
        walk = Walk({}, {}, stream, "sha1")
        walk.take(ignorant, b"")
    assert sorted(walk.entries) == sorted(listed.split(b"\0")[:-1])


def test_a_pattern_cannot_take_for_ever() -> None:
    """A regular expression that tries every way would need longer than the world is old."""
    for line in (b"*a" * 2000 + b"b", b"/" + b"**/a*/" * 500 + b"b", b"[" + b"a-z" * 5000, b"[[:alpha:]" * 500):
        for pattern in read_patterns(line):
            assert not pattern.matches((b"a" * 255,) * 100, False)
