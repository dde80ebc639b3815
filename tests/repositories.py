"""Repositories as a person has them, and processes that are killed before one of their effects."""

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from itertools import count
from pathlib import Path

EFFECTS = {"subprocess.Popen", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link"}
ENV = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_{what}": "person@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def person(where: Path, *args: str) -> str:
    """What git tells a person who says this there."""
    said = subprocess.run(["git", *args], cwd=where, env=ENV, capture_output=True, check=True, timeout=60)
    return said.stdout.decode(errors="surrogateescape").strip()


def repository(path: Path, *how: str) -> Path:
    """With one commit of three files on main."""
    path.mkdir()
    person(path, "init", "--quiet", "--initial-branch=main", *how)
    (path / "a.txt").write_text("one\ntwo\nthree\n")
    (path / "run.sh").write_text("#!/bin/sh\n")
    (path / "run.sh").chmod(0o755)
    (path / "docs").mkdir()
    (path / "docs" / "b.txt").write_text("b\n")
    commit(path)
    return path


def commit(path: Path) -> str:
    person(path, "add", "--all")
    person(path, "commit", "--quiet", "--message", "by hand")
    return person(path, "rev-parse", "HEAD")


def killed_before_effect(number: int, act: Callable[[], object]) -> bool:
    """Run it in a process that is killed before its effect of this number; False when it has fewer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        effects = count(1)

        def kill(event: str, args: tuple[object, ...]) -> None:
            writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
            if (event in EFFECTS or writes) and next(effects) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill)
        try:
            act()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)
