"""File tools and those who want out: nothing outside of the workspace, and nothing of git, is read or altered."""

import hashlib
import os
import socket
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from actors import tools
from actors.executor.files import beneath
from actors.executor.files.tools import Room, listing, perform
from actors.territory import Territory

SECRET = "the-canary-that-nobody-may-see"
PLANTED = "planted-by-an-agent"


class Ground(NamedTuple):
    """A workspace at `inside`, and beside it what must stay as it is and unseen."""

    inside: Path
    outside: Path

    def forbidden(self) -> dict[str, object]:
        """Everything outside and everything of git: names, contents, modes and inodes."""
        found: dict[str, object] = {"around": sorted(os.listdir(self.outside.parent))}
        for top in (self.outside, *(path for path in self.inside.rglob("*") if path.name.lower() == ".git")):
            for path in (top, *sorted(top.rglob("*"))):
                about = path.lstat()
                content = path.read_bytes() if stat.S_ISREG(about.st_mode) else b""
                found[str(path)] = (about.st_mode, about.st_ino, about.st_nlink, content)
        return found


@pytest.fixture(params=["openat2", "step by step"])
def ground(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    if request.param == "step by step":
        monkeypatch.setattr(beneath, "has_openat2", lambda: False)
    elif not beneath.has_openat2():
        pytest.skip("this kernel has no openat2")
    ground = Ground(tmp_path / "inside", tmp_path / "outside")
    for folder in (ground.outside / "deep", ground.inside / "a/b", ground.inside / ".git/hooks"):
        folder.mkdir(parents=True)
    (ground.outside / "f").write_text(f"{SECRET}\n")
    (ground.outside / "deep" / SECRET).write_text(f"{SECRET}\n")
    (ground.inside / ".git/config").write_text(f"{SECRET}\n")
    (ground.inside / "a/f").write_text("harmless\n")
    return ground


Attack = Callable[[Ground], str]
ATTACKS: dict[str, Attack] = {}


def attack(made: Attack) -> Attack:
    ATTACKS[made.__name__] = made
    return made


def said(name: str, path: str) -> None:
    """An attack that is nothing but a name; `{outside}` and `{inside}` stand for the places."""
    ATTACKS[name] = lambda ground: path.format(outside=ground.outside, inside=ground.inside)


def linked(name: str, target: str, path: str) -> None:
    """An attack by a link called `link` that leads to the target."""

    def make(ground: Ground) -> str:
        (ground.inside / "link").symlink_to(target.format(outside=ground.outside, inside=ground.inside))
        return path.format(outside=ground.outside, inside=ground.inside)

    ATTACKS[name] = make


said("absolute", "{outside}/f")
said("absolute with two slashes", "/{outside}/f")
said("absolute folder", "{outside}")
said("the root", "/")
said("dot dot", "../outside/f")
said("dot dot alone", "..")
said("dot dot after a folder", "a/../../outside/f")
said("dot dot after a dot", "a/./../../outside/f")
said("dot dot among empty names", "a//..//..//outside//f")
said("dot dot after what is missing", "no/../../outside/f")
said("dot dot at the end", "a/b/../../..")
said("NUL before the way out", "a/f\0/../../outside/f")
said("NUL alone", "\0")
said("NUL at the end", ".git/config\0")
said("proc root", "/proc/self/" + "root/{outside}/f")
said("proc by dot dot", "../../../../../../../../proc/self/environ")
said("a device", "/dev/zero")
said("a home", "~/f")
said("a variable", "$PWD/../outside/f")
said("percent", "%2e%2e/outside/f")
said("backslash", "..\\outside\\f")
said("wide dots", "\uff0e\uff0e/outside/f")
said("two dots in one letter", "\u2025/outside/f")
said("another slash", "..\u2215outside\u2215f")
said("half a letter", "\ud800/../../outside/f")
said("bytes that are no letters", "\udcff\udc2e\udc2e/outside/f")
said("line end", "a\n../../outside/f")
said("long name", "x" * 5000)
said("long path", "a/" * 5000 + "f")
said("long way round", "a/../" * 1000 + "../outside/f")
said("git config", ".git/config")
said("git hook", ".git/hooks/post-commit")
said("git itself", ".git")
said("git with a slash", ".git/")
said("git after a dot", "a/.././/.git/config")
said("git behind dots", "././/./.git//config")
said("git in capitals", ".GIT/config")
said("git with a dot", ".git./config")
said("git by its short name", "git~1/config")
said("git with a letter of no width", ".g\u200cit/config")
said("git in a folder", "a/.git/config")
linked("link to a file", "{outside}/f", "link")
linked("link to a file by dot dot", "../outside/f", "link")
linked("link to a folder", "{outside}", "link/f")
linked("link to a folder by dot dot", "../outside", "link/f")
linked("link to a folder, new file", "../outside", "link/new")
linked("link to a folder, new folder", "../outside", "link/new/f")
linked("link to a folder itself", "../outside", "link")
linked("link to a folder with a slash", "../outside", "link/")
linked("link to a folder with a dot", "../outside", "link/.")
linked("link to nothing", "../outside/new", "link")
linked("link to nothing in a folder of nothing", "../outside/new/f", "link")
linked("link to the parent", "..", "link/outside/f")
linked("link to the root", "/", "link{outside}/f")
linked("link to its own place by an absolute name", "{inside}/../outside/f", "link")
linked("link in a circle", "link", "link/f")
linked("link up and down again", "a/../../outside/f", "link")
linked("link of many steps up", "../" * 50 + "{outside}/f", "link")
linked("link to proc root", "/proc/self/root", "link{outside}/f")
linked("link to proc cwd", "/proc/self/cwd", "link/pyproject.toml")
linked("link to proc fd", "/proc/self/fd", "link/0")
linked("link to a device", "/dev/zero", "link")
linked("link to git", ".git", "link/config")
linked("link to git config", ".git/config", "link")
linked("link to git hook", ".git/hooks/post-commit", "link")
linked("link to git in a roundabout way", "a/../.git/./config", "link")


@attack
def chain_of_links(ground: Ground) -> str:
    for place in range(30):
        (ground.inside / f"link{place}").symlink_to(f"link{place + 1}")
    (ground.inside / "link30").symlink_to("../outside/f")
    return "link0"


@attack
def link_behind_a_link(ground: Ground) -> str:
    (ground.inside / "a/up").symlink_to("..")
    (ground.inside / "a/out").symlink_to("up/up/../outside")
    return "a/out/f"


@attack
def open_file_by_its_number(ground: Ground) -> str:
    opened = os.open(ground.outside / "f", os.O_RDWR)
    os.set_inheritable(opened, False)
    (ground.inside / "link").symlink_to(f"/proc/self/fd/{opened}")
    OPEN.append(opened)
    return "link"


OPEN: list[int] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while OPEN:
        os.close(OPEN.pop())


@attack
def pipe(ground: Ground) -> str:
    os.mkfifo(ground.inside / "a/pipe")
    return "a/pipe"


@attack
def link_to_a_pipe(ground: Ground) -> str:
    os.mkfifo(ground.inside / "a/pipe")
    (ground.inside / "link").symlink_to("a/pipe")
    return "link"


@attack
def socket_file(ground: Ground) -> str:
    here = os.open(ground.inside, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as each:
        each.bind(f"/proc/self/fd/{here}/s")
    os.close(here)
    return "s"


@attack
def device_node(ground: Ground) -> str:
    try:
        os.mknod(ground.inside / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")
    return "zero"


@attack
def part_that_is_a_link(ground: Ground) -> str:
    (ground.inside / part_of("f")).symlink_to("../outside/f")
    return "f"


@attack
def part_that_is_a_link_to_nothing(ground: Ground) -> str:
    (ground.inside / part_of("f")).symlink_to("../outside/new")
    return "f"


@attack
def part_that_is_a_hard_link(ground: Ground) -> str:
    os.link(ground.outside / "f", ground.inside / part_of("f"))
    return "f"


@attack
def part_that_is_a_pipe(ground: Ground) -> str:
    os.mkfifo(ground.inside / part_of("f"))
    return "f"


@attack
def part_that_is_a_folder(ground: Ground) -> str:
    (ground.inside / part_of("f")).mkdir()
    return "f"


@attack
def capital_git_that_is_there(ground: Ground) -> str:
    with suppress(FileExistsError):
        (ground.inside / ".GIT").mkdir()
        (ground.inside / ".GIT/config").write_text(SECRET)
    return ".GIT/config"


@attack
def git_of_a_folder_below(ground: Ground) -> str:
    (ground.inside / "a/.git").mkdir()
    (ground.inside / "a/.git/config").write_text(SECRET)
    (ground.inside / "a/link").symlink_to(".git/config")
    return "a/link"


def part_of(name: str) -> str:
    return f".witan-{hashlib.sha256(name.encode()).hexdigest()[:16]}.part"


TOOLS: dict[str, Callable[[str], list[tools.Tool]]] = {
    "read": lambda path: [tools.Read(path=path)],
    "write": lambda path: [tools.Write(path=path, content=PLANTED), tools.Write(path=f"{path}/new", content=PLANTED)],
    "edit": lambda path: [tools.Edit(path=path, old=SECRET, new=PLANTED)],
    "list": lambda path: [tools.List(path=path, depth=20), tools.List(depth=20)],
    "search": lambda path: [tools.Search(pattern="canary.that", path=path), tools.Search(pattern="canary.that")],
}


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_sees_or_alters_what_is_outside(ground: Ground, name: str, tool: str) -> None:
    path = ATTACKS[name](ground)
    before = ground.forbidden()
    with Room(ground.inside, Territory(("**",))) as room:
        done = [perform(room, asked, redo) for asked in TOOLS[tool](path) for redo in (False, True)]
    if "hard" not in name:
        assert ground.forbidden() == before
        assert [each.text for each in done if SECRET in each.text] == []
    assert not any(PLANTED in str(seen) for seen in ground.forbidden().values())
    assert not any(os.path.exists(where) for where in (ground.outside / "new", ground.outside.parent / "new"))


def test_there_are_enough_attacks_and_they_would_work_without_care(ground: Ground) -> None:
    """The ground is no strawman: opened plainly, many of these names do show the secret."""
    seen = 0
    for name, make in ATTACKS.items():
        if "device" in name or "pipe" in name or name == "absolute folder":
            continue
        with suppress(OSError, ValueError, pytest.skip.Exception):
            path = os.path.join(ground.inside, make(ground))
            seen += SECRET in Path(path).read_text(errors="replace")
        (ground.inside / "link").unlink(missing_ok=True)
    assert len(ATTACKS) >= 60
    assert seen >= 25


def test_a_link_to_a_hard_linked_file_alters_only_the_name_inside(ground: Ground) -> None:
    with Room(ground.inside, Territory(("**",))) as room:
        for place, asked in enumerate(TOOLS["write"]("hard")[:1] + TOOLS["edit"]("hard")):
            os.link(ground.outside / "f", ground.inside / "hard")
            inode = (ground.outside / "f").stat().st_ino
            assert perform(room, asked).ok, place
            assert (ground.outside / "f").read_text() == f"{SECRET}\n"
            assert (ground.outside / "f").stat().st_ino == inode != (ground.inside / "hard").stat().st_ino
            (ground.inside / "hard").unlink()


def test_links_that_stay_inside_are_fine(ground: Ground) -> None:
    (ground.inside / "link").symlink_to("a/../a/./b/../f")
    (ground.inside / "folder").symlink_to("a")
    with Room(ground.inside, Territory(("**",))) as room:
        assert "harmless" in perform(room, tools.Read(path="link")).text
        assert "harmless" in perform(room, tools.Read(path="folder/f")).text
        assert perform(room, tools.Write(path="folder/new/f", content="x")).created == ("a/new/f",)


def test_a_listing_for_the_kernel_has_no_links_and_nothing_of_git(ground: Ground) -> None:
    (ground.inside / "link").symlink_to("../outside")
    assert listing(ground.inside) == ["a/", "a/b/", "a/f"]


FLIPPING = """
import itertools, os, sys
os.chdir(sys.argv[1])
print("ready", flush=True)
trash = map("trash/{}".format, itertools.count())
def move(one, other):
    try:
        os.rename(one, other)
    except OSError:
        return False
    return True
while True:
    for one in ("real", "bad"):
        while not move(one, "way"):
            move("way", next(trash))
        while not move("way", one):
            pass
    move("real/new", next(trash))
"""


@contextmanager
def flipping(ground: Ground) -> Iterator[None]:
    """Somebody inside for whom `way` is by turns a real folder, a link to the outside, and nothing."""
    for name in ("real", "trash"):
        (ground.inside / name).mkdir()
    (ground.inside / "real/f").write_text("harmless\n")
    (ground.inside / "bad").symlink_to("../outside")
    other = subprocess.Popen([sys.executable, "-c", FLIPPING, ground.inside], stdout=subprocess.PIPE)
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == b"ready\n"
        yield
    finally:
        other.kill()
        other.wait()
        other.stdout.close()


TRIES = 1_000


def test_a_race_of_renames_is_never_lost(ground: Ground) -> None:
    before = ground.forbidden()
    ends = Counter[str]()
    with flipping(ground), Room(ground.inside, Territory(("**",))) as room:
        for _ in range(TRIES):
            for asked in (
                tools.Read(path="way/f"),
                tools.Write(path="way/f", content=PLANTED),
                tools.Write(path="way/new/deep/f", content=PLANTED),
                tools.Edit(path="way/f", old=SECRET, new=PLANTED),
                tools.List(path="way"),
                tools.Search(path="way", pattern="canary.that"),
            ):
                done = perform(room, asked)
                ends["ok" if done.ok else "link" if "link" in done.text else "other"] += 1
                assert SECRET not in done.text
    assert ground.forbidden() == before
    assert ends["ok"] and ends["link"], ends


def test_the_same_race_is_lost_by_a_check_of_the_real_path(ground: Ground) -> None:
    """The checker can fail: look first, then open, and sooner or later it is another place."""
    root = os.path.realpath(ground.inside)
    with flipping(ground):
        for _ in range(100 * TRIES):
            path = os.path.join(root, "way/f")
            with suppress(OSError):
                if os.path.realpath(path).startswith(root + os.sep) and SECRET in Path(path).read_text():
                    return
    pytest.skip("the race was never lost here")
