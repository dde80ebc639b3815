"""The tool `review_code`: what is counted, how the score comes about, and that no text brings it down."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import tools
from actors.executor.files.room import Outcome, Room
from actors.executor.files.tools import perform
from actors.executor.reviewing.measuring import Issue, measured_python
from actors.executor.reviewing.scoring import WEIGHTS, scored, suggestions
from actors.territory import Territory

CLEAN = 'def double(number: int) -> int:\n    """Twice as much."""\n    return number * 2\n'
BAD = "import os\n\ndef total(values):\n    try:\n        return sum(valuess)\n    except:\n        pass\n"


def reviewed(folder: Path, path: str = ".") -> Outcome:
    with Room(folder, Territory(())) as room:
        return perform(room, tools.ReviewCode(path=path))


def kinds(text: str) -> set[str]:
    return {issue.kind for issue in measured_python(text).issues}


def test_a_clean_file_with_a_test_has_ten_points(tmp_path: Path) -> None:
    (tmp_path / "double.py").write_text(CLEAN)
    (tmp_path / "test_double.py").write_text("from double import double\n")
    said = reviewed(tmp_path, "double.py")
    assert said.ok and said.read == ("double.py",)
    assert said.text.startswith("double.py: 10 of 10 (Python, 3 lines, 1 functions)\nScore: nothing is taken off.")
    (tmp_path / "test_double.py").unlink()
    assert "9 of 10" in reviewed(tmp_path, "double.py").text


def test_mistakes_are_told_by_their_lines_and_counted(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(BAD)
    text = reviewed(tmp_path, "bad.py").text
    for words in ("line 1: F401", "line 5: F821", "line 6: E722", "line 6: catches everything", "line 1: no test"):
        assert words in text, words
    assert text.startswith("bad.py: 6.") and reviewed(tmp_path, "bad.py").text == text


def test_the_settings_of_the_project_and_of_the_folder_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(BAD)
    before = reviewed(tmp_path, "bad.py").text
    (tmp_path / "ruff.toml").write_text('[lint]\nselect = []\nignore = ["ALL"]\n')
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nfix = true\nlint.ignore = ['ALL']\n")
    assert reviewed(tmp_path, "bad.py").text == before
    assert (tmp_path / "bad.py").read_text() == BAD


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("def f(:\n", "syntax"),
        ("x = '\\ud800'.encode(\n", "syntax"),
        ("def f(a, b, c, d, e, f, g):\n    pass\n", "arguments"),
        ("def f():\n" + "    x = 1\n" * 60, "long functions"),
        ("def f(x):\n" + "".join(f"    if x == {n} and x:\n        x += 1\n" for n in range(6)), "branches"),
        ("def f(x):\n" + "".join("    " * n + "while x:\n" for n in range(1, 7)) + "    " * 7 + "x()\n", "nesting"),
        ("try:\n    pass\nexcept Exception:\n    pass\n", "caught in silence"),
        ("x = 1\n" * 500, "size"),
        (f"x = '{'y' * 200}'\n", "long lines"),
    ],
)
def test_each_thing_is_seen(text: str, kind: str) -> None:
    assert kind in kinds(text)
    assert kind not in kinds(CLEAN)


def test_a_chain_of_elifs_is_not_deep() -> None:
    chain = "def f(x):\n    if x:\n        y = 1\n" + "".join(f"    elif x == {n}:\n        y = 2\n" for n in range(8))
    assert "nesting" not in kinds(chain)


@pytest.mark.parametrize("text", ["(" * 50_000, "-" * 50_000 + "1", "x" + ".y" * 50_000, "\x00", "[" * 90 + "]" * 90])
def test_no_text_brings_it_down(text: str, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(text)
    assert reviewed(tmp_path, "odd.py").ok
    assert reviewed(tmp_path).ok


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(list(WEIGHTS)), max_size=60))
def test_the_score_is_within_0_and_10_and_is_ten_less_its_parts(names: list[str]) -> None:
    score = scored([Issue(1, name, "x") for name in names])
    assert 0 <= score.points <= 10
    assert score.points == pytest.approx(max(10 - sum(part.points for part in score.parts), 0), abs=0.051)
    assert len(suggestions(score.parts)) == len(set(names))
    assert scored([Issue(1, name, "x") for name in [*names, "style"]]).points <= score.points


def test_a_folder_is_told_worst_first_and_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "theirs.js").write_text("x\n")
    (tmp_path / "bad.py").write_text(BAD)
    for number in range(35):
        (tmp_path / f"good{number}.py").write_text("X = 1\n")
    said = reviewed(tmp_path)
    assert said.text.splitlines()[0].endswith("30 files, 36 lines, weighed by lines")
    assert "6 more files were not looked at" in said.text and "theirs" not in said.text
    assert said.text.index("bad.py: ") < said.text.index("Nothing found in: ")


def test_of_other_languages_only_sizes_are_told_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.go").write_text("package a\n" + "//" + "x" * 200 + "\n")
    assert "not Python, so only sizes were looked at" in reviewed(tmp_path, "a.go").text
    (tmp_path / "a.bin").write_bytes(b"\0\1\2")
    assert "not looked at" in reviewed(tmp_path, "a.bin").text
    missing = reviewed(tmp_path, "nowhere.py")
    assert (missing.ok, missing.failure) == (False, "file_not_found")


def test_nothing_outside_of_the_workspace_is_looked_at(tmp_path: Path) -> None:
    outside = tmp_path / "secret.py"
    outside.write_text("KEY = 'x'\n")
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "link.py").symlink_to(outside)
    for path in ("../secret.py", str(outside), "link.py"):
        assert not reviewed(inside, path).ok


def test_without_ruff_that_is_said_and_the_rest_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.py").write_text(BAD)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    said = reviewed(tmp_path, "bad.py").text
    assert "Not found out: ruff is not installed here." in said and "catches everything" in said
