"""The one place that runs git: with no hook, monitor, helper or network of anybody, and never without a time limit."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import IO, NamedTuple

from bus.errors import Refused, Unavailable

OLDEST = (2, 38)
"""From here on `git merge-tree --write-tree` exists."""
LIMIT_S = 300.0
OUTPUT_MAX_BYTES = 512 * 1024 * 1024

_IDENTITY = {
    f"GIT_{who}_{what}": said
    for who in ("AUTHOR", "COMMITTER")
    for what, said in (("NAME", "Witan"), ("EMAIL", "witan@localhost"))
}
_QUIET = {
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": ":",
    "GIT_ASKPASS": "false",
    "GIT_SSH_COMMAND": "false",
}
_SETTINGS = (
    f"core.hooksPath={os.devnull}",
    f"core.attributesFile={os.devnull}",
    f"core.excludesFile={os.devnull}",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.quotePath=false",
    "core.fsync=committed",
    "core.alternateRefsCommand=false",
    "protocol.allow=never",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "log.showSignature=false",
    "color.ui=false",
    "diff.external=",
    "diff.ignoreSubmodules=all",
    "submodule.recurse=false",
    "safe.directory=*",
)


class GitPlace(NamedTuple):
    """What git is told to work on. Without a working tree it only sees objects and references.

    Git inherits `lock`: when Witan is killed, the lock holds until the last git that it started has ended.
    """

    git_dir: Path
    work_tree: Path | None = None
    index_file: Path | None = None
    lock: int = -1


class Answer(NamedTuple):
    exit: int
    out: bytes
    err: str


class Found(NamedTuple):
    """A repository: the top of the working tree that was named, its own git folder, and the one shared by all."""

    top: Path
    git_dir: Path
    common: Path

    @property
    def place(self) -> GitPlace:
        return GitPlace(self.common)


def git(where: GitPlace, *args: str, input: bytes | IO[bytes] | None = None, at_s: float = 0) -> bytes:
    """What git says; Refused when it fails."""
    answer = ask(where, *args, input=input, at_s=at_s)
    if answer.exit:
        raise Refused(
            f"git {args[0]} failed in {where.git_dir}: {answer.err.strip()[-1000:] or f'exit {answer.exit}'}",
            "Look at the repository with `git status`, mend it, then try again.",
        )
    return answer.out


def ask(where: GitPlace, *args: str, input: bytes | IO[bytes] | None = None, at_s: float = 0) -> Answer:
    """The same with the exit code, where failing is an answer."""
    date = f"@{int(at_s)} +0000"
    env = {"GIT_DIR": str(where.git_dir), "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    if where.work_tree:
        env["GIT_WORK_TREE"] = str(where.work_tree)
    if where.index_file:
        env["GIT_INDEX_FILE"] = str(where.index_file)
    bare = () if where.work_tree else ("--bare",)
    cwd = where.work_tree or where.git_dir
    return _run((*bare, *args), cwd, env, input, (where.lock,) if where.lock >= 0 else ())


def find(repo: str) -> Found:
    """The repository whose working tree has its top at this path; git is asked once for each that lies there."""
    path = Path(repo).expanduser().absolute()
    try:
        marks = tuple((each.st_dev, each.st_ino, each.st_mode) for each in (path.lstat(), (path / ".git").lstat()))
        pointer = (path / ".git").read_bytes() if (path / ".git").is_file() else b""
    except OSError:
        return _find(path, repo)
    return _found_before(path, repo, marks, pointer)


@lru_cache(maxsize=256)
def _found_before(path: Path, repo: str, _marks: tuple[tuple[int, int, int], ...], _pointer: bytes) -> Found:
    return _find(path, repo)


def _find(path: Path, repo: str) -> Found:
    _newer_than_oldest()
    what = f"{path} is not a git repository"
    if "\n" in repo or not path.is_dir():
        raise Refused(what if path.exists() else f"there is no folder {path}", "Name a repository: `--repo PATH`.")
    asked = ("--is-bare-repository", "--git-dir", "--git-common-dir", "--show-toplevel")
    said = _run(("rev-parse", "--path-format=absolute", *asked), path, {})
    lines = said.out.decode(errors="surrogateescape").splitlines()
    if lines[:1] == ["true"]:
        raise Refused(f"{path} is a bare repository, without a working tree", "Clone it and name the clone.")
    if said.exit or len(lines) != 4:
        raise Refused(what, f"Make it one: `git -C {path} init && git -C {path} add -A && git -C {path} commit`.")
    _, git_dir, common, top = lines
    if Path(top).resolve() != path.resolve():
        raise Refused(f"{path} is not the top of a repository, but a folder of {top}", f"Say `--repo {top}`.")
    return Found(Path(top), Path(git_dir), Path(common))


def initialise(folder: Path) -> None:
    """A new repository with nothing in it."""
    _newer_than_oldest()
    folder.mkdir(parents=True, exist_ok=True)
    said = _run(("init", "--quiet", "--template=", "--initial-branch=main", "."), folder, {})
    if said.exit:
        raise Refused(f"git init failed in {folder}: {said.err.strip()}", "Look at the free space and the permissions.")


@cache
def _newer_than_oldest() -> None:
    said = _run(("version",), Path("/"), {}).out.decode(errors="replace")
    version = re.search(r"(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        raise Unavailable(
            f"{said.strip() or 'git'} is too old: Witan needs {OLDEST[0]}.{OLDEST[1]} or later", "Upgrade git."
        )


def _run(
    args: Sequence[str],
    cwd: Path,
    env: dict[str, str],
    input: bytes | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
) -> Answer:
    program = shutil.which("git")
    if program is None:
        raise Unavailable("there is no git on this machine", f"Install git {OLDEST[0]}.{OLDEST[1]} or later.")
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        if isinstance(input, bytes):
            given.write(input)
        source = given if input is None or isinstance(input, bytes) else input
        source.flush()
        source.seek(0)
        process = subprocess.Popen(
            [program, *settings, *args],
            cwd=cwd,
            env={"PATH": os.environ.get("PATH", os.defpath), **_QUIET, **_IDENTITY, **env},
            stdin=source,
            stdout=out,
            stderr=err,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        try:
            exit = process.wait(LIMIT_S)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise Unavailable(f"git {args[0]} took longer than {LIMIT_S:.0f} s and was stopped") from None
        out.seek(0)
        err.seek(0)
        return Answer(exit, out.read(OUTPUT_MAX_BYTES), err.read(64 * 1024).decode(errors="replace"))
