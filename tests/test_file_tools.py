"""File tools in a workspace: what each does, what it says, and what it leaves alone."""

import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from actors import tools
from actors.executor.files import beneath, looking
from actors.executor.files.tools import Outcome, Room, content_of, listing, perform
from actors.territory import Territory
from bus.errors import Missing, Refused

HOUSE = Path(__file__).parent.parent
KILLED_BEFORE_THE_RENAME = """
import os, pathlib, sys
from actors import tools
from actors.executor.files.tools import Room, perform
from actors.territory import Territory
os.rename = lambda *_, **__: os.kill(os.getpid(), 9)
with Room(pathlib.Path(sys.argv[1]), Territory(("**",))) as room:
    perform(room, tools.Write(path="f", content="half"))
"""
LAWS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)


@pytest.fixture(params=["openat2", "step by step"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "step by step":
        monkeypatch.setattr(beneath, "has_openat2", lambda: False)
    elif not beneath.has_openat2():
        pytest.skip("this kernel has no openat2")
    return tmp_path


@pytest.fixture
def room(root: Path) -> Iterator[Room]:
    with Room(root, Territory(("**",))) as room:
        yield room


def write(room: Room, path: str, content: str, redo: bool = False) -> Outcome:
    return perform(room, tools.Write(path=path, content=content), redo)


def edit(room: Room, old: str, new: str, all: bool = False, redo: bool = False) -> Outcome:
    return perform(room, tools.Edit(path="f", old=old, new=new, all=all), redo)


def search(room: Room, pattern: str, path: str = ".") -> Outcome:
    return perform(room, tools.Search(pattern=pattern, path=path))


def test_a_file_is_written_with_its_folders_and_read_back_with_numbers(room: Room, root: Path) -> None:
    done = write(room, "src/deep/a.py", "one\ntwo\n")
    assert done == Outcome(True, "created src/deep/a.py, 2 lines", created=("src/deep/a.py",))
    assert (root / "src/deep/a.py").read_text() == "one\ntwo\n"
    seen = perform(room, tools.Read(path="./src//deep/a.py"))
    assert seen == Outcome(True, "     1\tone\n     2\ttwo\n(lines 1-2 of 2)", read=("src/deep/a.py",))


def test_a_file_that_was_there_is_overwritten_and_keeps_its_mode(room: Room, root: Path) -> None:
    (root / "run.sh").write_text("old")
    (root / "run.sh").chmod(0o750)
    assert write(room, "run.sh", "new") == Outcome(True, "overwrote run.sh, 1 line", wrote=("run.sh",))
    assert edit_at(room, "run.sh", "new", "newer").ok
    assert stat.S_IMODE((root / "run.sh").stat().st_mode) == 0o750
    assert os.listdir(root) == ["run.sh"]


def edit_at(room: Room, path: str, old: str, new: str) -> Outcome:
    return perform(room, tools.Edit(path=path, old=old, new=new))


def test_a_read_only_file_stays_as_it_is(room: Room, root: Path) -> None:
    (root / "f").write_text("old")
    (root / "f").chmod(0o444)
    assert [write(room, "f", "new").failure, edit(room, "old", "new").failure] == ["permission_denied"] * 2
    assert (root / "f").read_text() == "old"


def test_a_write_said_twice_after_a_crash_is_told_as_created_both_times(room: Room, root: Path) -> None:
    assert write(room, "f", "x\n") == write(room, "f", "x\n", redo=True)
    assert write(room, "f", "y\n", redo=True).wrote == ("f",)


def test_what_a_killed_write_left_behind_is_cleared_by_its_repetition(room: Room, root: Path) -> None:
    assert write(room, "f", "x").ok
    assert subprocess.run([sys.executable, "-c", KILLED_BEFORE_THE_RENAME, root], cwd=HOUSE).returncode == -9
    assert len(os.listdir(root)) == 2
    assert write(room, "f", "whole", redo=True).ok
    assert (os.listdir(root), (root / "f").read_text()) == (["f"], "whole")


def test_a_write_outside_of_the_territory_is_refused_and_the_territory_is_named(root: Path) -> None:
    (root / "docs").mkdir()
    (root / "docs/a.md").write_text("old")
    with Room(root, Territory(("src/**", "!src/secret/**"))) as room:
        refused = [
            write(room, "docs/b.md", "x"),
            edit_at(room, "docs/a.md", "old", "new"),
            write(room, "src/secret/x", "x"),
            write(room, "src", "x"),
        ]
        assert write(room, "src/a", "x").ok
        assert perform(room, tools.Read(path="docs/a.md")).ok
    assert all(not each.ok and each.failure == "permission_denied" for each in refused)
    assert all("your territory (src/**, !src/secret/**)" in each.text for each in refused)
    assert sorted(listing(root)) == ["docs/", "docs/a.md", "src/", "src/a"]


def test_a_link_is_as_writable_as_what_it_leads_to(root: Path) -> None:
    for name in ("src", "docs"):
        (root / name).mkdir()
        (root / name / "a").write_text("old")
    (root / "src/link").symlink_to("../docs")
    (root / "docs/link").symlink_to("../src/a")
    with Room(root, Territory(("src/**",))) as room:
        assert write(room, "src/link/a", "x").failure == "permission_denied"
        assert write(room, "src/link/new", "x").failure == "permission_denied"
        assert write(room, "docs/link", "new").wrote == ("src/a",)
    assert (root / "docs/link").is_symlink()
    assert [(root / name / "a").read_text() for name in ("src", "docs")] == ["new", "old"]


def test_a_long_file_is_read_in_parts(room: Room, root: Path) -> None:
    (root / "f").write_text("".join(f"line {n}\n" for n in range(1, 1341)))
    first = perform(room, tools.Read(path="f", lines=200))
    assert first.text.endswith("\tline 200\n(lines 1-200 of 1,340; read on with first_line=201)")
    rest = perform(room, tools.Read(path="f", first_line=1201, lines=5000))
    assert rest.text.startswith("  1201\tline 1201\n")
    assert rest.text.endswith("(lines 1,201-1,340 of 1,340)")
    beyond = perform(room, tools.Read(path="f", first_line=1341))
    assert (beyond.ok, "has 1,340 lines" in beyond.text) == (False, True)


def test_what_cannot_be_read_as_text_is_named(room: Room, root: Path) -> None:
    (root / "logo").write_bytes(b"\x89PNG\0" * 10)
    (root / "latin").write_bytes(b"caf\xe9\n")
    (root / "empty").touch()
    (root / "wide").write_text("x" * 10_000)
    seen = {name: perform(room, tools.Read(path=name)) for name in ("logo", "latin", "empty", "wide")}
    assert all(each.ok for each in seen.values())
    assert seen["logo"].text == "logo is a binary file of 50 bytes"
    assert seen["latin"].text.startswith("     1\tcaf\ufffd\n(lines 1-1 of 1; not UTF-8")
    assert seen["empty"].text == "empty is empty"
    assert "cut; the line has 10,000 letters" in seen["wide"].text
    for name in ("logo", "latin"):
        before = (root / name).read_bytes()
        assert not edit_at(room, name, "caf" if name == "latin" else "PNG", "x").ok
        assert (root / name).read_bytes() == before


def test_sizes_are_bounded(room: Room, root: Path) -> None:
    with (root / "f").open("wb") as file:
        file.truncate(10_000_001)
    assert "10,000,001 bytes" in perform(room, tools.Read(path="f")).text
    assert not edit(room, "a", "b").ok
    assert "the most is 5,000,000" in write(room, "big", "x" * 5_000_001).text
    (root / "f").write_text(("é" * 4000 + "\n") * 1000)
    long = perform(room, tools.Read(path="f"))
    assert len(long.text.encode()) <= 200_000
    assert "read on with first_line=" in long.text


def test_no_room_on_the_disk_leaves_the_old_file_and_nothing_else(room: Room, root: Path) -> None:
    (root / "f").write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        full = write(room, "f", "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (full.ok, full.failure) == (False, "out_of_space")
    assert (os.listdir(root), (root / "f").read_text()) == (["f"], "old")


def test_what_is_missing_and_what_is_a_folder_is_said(room: Room, root: Path) -> None:
    (root / "src").mkdir()
    (root / "f").touch()
    asked = [
        perform(room, tools.Read(path="no/such")),
        perform(room, tools.Read(path="src")),
        perform(room, tools.Read(path="f/x")),
        edit_at(room, "no", "a", "b"),
        write(room, "src", "x"),
        write(room, "new/", "x"),
        write(room, "f/x", "x"),
        perform(room, tools.List(path="no")),
        search(room, "x", "no"),
    ]
    assert [each.failure for each in asked] == ["file_not_found"] * len(asked)
    assert sorted(os.listdir(root)) == ["f", "src"]


def test_an_edit_replaces_what_stands_there_once(room: Room, root: Path) -> None:
    (root / "f").write_text("one\ntwo\nthree\n")
    assert edit(room, "two", "2\n2") == Outcome(True, "edited f: replaced once, at line 2", wrote=("f",))
    assert (root / "f").read_text() == "one\n2\n2\nthree\n"


def test_an_edit_that_could_mean_several_places_changes_none_unless_all_are_meant(room: Room, root: Path) -> None:
    (root / "f").write_text("a\nb\na\naa\n")
    refused = edit(room, "a", "x")
    assert "4 times, at lines 1, 3, 4, 4" in refused.text
    assert (root / "f").read_text() == "a\nb\na\naa\n"
    assert edit(room, "a", "x", all=True).text == "edited f: replaced 4 times, from line 1 on"
    assert (root / "f").read_text() == "x\nb\nx\nxx\n"
    (root / "f").write_text("aaa")
    assert "2 times" in edit(room, "aa", "b").text


def test_an_edit_that_finds_nothing_shows_what_comes_near(room: Room, root: Path) -> None:
    (root / "f").write_text("import os\n\ndef total(items):\n    return sum(items)\n")
    near = edit(room, "def totals(items):\n    return sum(items)", "x")
    assert (near.ok, "line 3: 'def total(items):'" in near.text) == (False, True)
    space = edit(room, "def total(items):\n\treturn sum(items)", "x")
    assert r"Line 4 is '    return sum(items)', where `old` has '\treturn sum(items)'" in space.text
    assert "white space only" in space.text
    assert "read the file again" in edit(room, "0123456789", "x").text
    assert "white space" in edit(room, "\n\n\n\n", "x").text


def test_an_edit_that_was_made_already_is_fine(room: Room, root: Path) -> None:
    (root / "f").write_text("new text\n")
    assert edit(room, "old", "new").ok
    assert edit(room, "old", "new").wrote == ()
    assert edit(room, "old", "new", redo=True).wrote == ("f",)
    assert not edit(room, "old", "").ok
    assert edit(room, "old", "", redo=True).ok
    assert not edit(room, "old", "other", redo=True).ok
    assert not edit(room, "new", "new").ok


def test_an_edit_whose_new_text_holds_the_old_is_not_made_twice_after_a_crash(room: Room, root: Path) -> None:
    (root / "f").write_text("def f():\n")
    for redo in (False, True):
        assert edit(room, "def f():", "# why\ndef f():", redo=redo).wrote == ("f",)
    assert (root / "f").read_text() == "# why\ndef f():\n"


def test_an_edit_keeps_line_ends_and_byte_order_mark(room: Room, root: Path) -> None:
    (root / "f").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert "lines end in CR LF" in perform(room, tools.Read(path="f")).text
    assert perform(room, tools.Read(path="f")).text.startswith("     1\tone\n     2\ttwo\n")
    assert edit(room, "one\ntwo", "1\n2\n3").ok
    assert (root / "f").read_bytes() == b"\xef\xbb\xbf1\r\n2\r\n3\r\n"


def test_a_folder_is_listed_as_a_tree_with_sizes(room: Room, root: Path) -> None:
    for path in ("src/pkg/deep/x", "src/a.py", "b.txt", ".git/config", "src/.git"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x" * 1234)
    (root / "link").symlink_to("../out\nside")
    (root / "bad\nname").touch()
    assert perform(room, tools.List()).text.splitlines() == [
        "b.txt  1,234 bytes",
        r"bad\nname  0 bytes",
        r"link -> ../out\nside",
        "src/",
        "  a.py  1,234 bytes",
        "  pkg/ …",
    ]
    assert perform(room, tools.List(path="src/pkg", depth=5)).text.splitlines() == ["deep/", "  x  1,234 bytes"]
    assert perform(room, tools.List(path="b.txt")).text == "b.txt is a file; read it"
    (root / "none").mkdir()
    assert perform(room, tools.List(path="none")).text == "none is empty"


def test_a_crowded_folder_is_listed_in_part(room: Room, root: Path) -> None:
    for number in range(1010):
        (root / f"{number:04}").touch()
    lines = perform(room, tools.List()).text.splitlines()
    assert (len(lines), lines[-1]) == (1001, "… and 10 more; list a folder of it")


def test_a_search_tells_path_line_and_text(room: Room, root: Path) -> None:
    (root / "src").mkdir()
    (root / "src/a.py").write_bytes(b"import os\r\nx = 1\r\n")
    (root / "b.md").write_text("no import\nimport this" + "!" * 400)
    (root / "bin").write_bytes(b"import\0")
    (root / "big").write_text("import\n" * 300_000)
    assert search(room, r"^import\b").text.splitlines() == [
        f"b.md:2: import this{'!' * 289}…",
        "src/a.py:1: import os",
        "(2 hits in 2 files; 2 binary or large ones were skipped)",
    ]
    assert search(room, "(?i)X = [0-9]$", "src/a.py").text == "src/a.py:2: x = 1\n(1 hit in 1 file)"
    assert search(room, "nothing").text.startswith("(0 hits in 2 files")


def test_a_search_with_many_hits_shows_some_and_counts_all(room: Room, root: Path) -> None:
    (root / "a").write_text("x\n" * 150)
    (root / "b").write_text("x\n" * 20_000)
    lines = search(room, "x").text.splitlines()
    assert (len(lines), lines[199]) == (201, "b:50: x")
    assert lines[-1] == "(20,150 hits in 2 files, of which 19,950 are not shown; search for less)"


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("a(b", "position 1"),
        ("a**b", "position 2"),
        ("[z-a]", "position 1"),
        ("(?=a)b", "no look-arounds"),
        (r"(a)\1", "no back references"),
        ("((a{1000}){1000})", "not understood"),
    ],
)
def test_a_wrong_expression_is_explained(room: Room, pattern: str, said: str) -> None:
    refused = search(room, pattern)
    assert (refused.ok, refused.failure) == (False, "syntax_error")
    assert said in refused.text


@pytest.mark.parametrize("pattern", ["(a+a+)+$b", "(a*)*b", "(a|a)*b", "(.*)*(.*)*(.*)*x=x", "(a|aa)+$c"])
def test_no_expression_goes_back_for_ever(room: Room, root: Path, pattern: str) -> None:
    (root / "f").write_text("a" * 9_000 + "\n" + "a" * 9_000)
    assert search(room, pattern).text == "(0 hits in 1 file)"


def test_a_search_that_takes_too_long_tells_what_it_has(
    room: Room, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "f").write_text("x\n")
    monkeypatch.setattr(looking, "SEARCH_S", -1.0)
    stopped = search(room, "x")
    assert (stopped.ok, stopped.failure) == (False, "timeout")
    assert "time of" in stopped.text


def test_a_listing_has_folders_and_regular_files_only(room: Room, root: Path) -> None:
    (root / "a/b").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / "a/f").touch()
    (root / "link").symlink_to("a")
    os.mkfifo(root / "pipe")
    assert listing(root) == ["a/", "a/b/", "a/f"]


def test_what_is_kept_of_a_file_is_read_the_same_careful_way(room: Room, root: Path) -> None:
    (root / "f").write_bytes(b"\0\xff")
    (root / "link").symlink_to("/etc/hostname")
    assert content_of(room, "f") == b"\0\xff"
    with pytest.raises(Missing):
        content_of(room, "no")
    with pytest.raises(Refused):
        content_of(room, "link")


@given(TEXTS)
@LAWS
def test_what_was_written_is_what_is_there(root: Path, text: str) -> None:
    with Room(root, Territory(("**",))) as room:
        assert write(room, "f", text).ok
        assert content_of(room, "f").decode() == text


@given(TEXTS, st.text("ab\n", min_size=1, max_size=4), TEXTS, TEXTS)
@LAWS
def test_an_edit_is_what_replace_does(root: Path, before: str, old: str, after: str, new: str) -> None:
    text = before + old + after
    assume("\r" not in text and text.find(old) == text.rfind(old) and old != new)
    with Room(root, Territory(("**",))) as room:
        assert write(room, "f", text).ok
        assert edit(room, old, new).ok
        assert content_of(room, "f").decode() == text.replace(old, new)
