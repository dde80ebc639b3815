"""Territories: what globs allow, which of them share a path, and what of them a kernel can be told."""

import itertools
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.territory import Territory, kernel_parts, overlaps, problems


def territory(*globs: str) -> Territory:
    return Territory(globs)


def as_regex(glob: str) -> str:
    """The same glob by other means, for globs of letters, `*`, `?` and `**`."""
    names = (glob + "**" if glob.endswith("/") else glob).split("/")
    said = []
    for place, name in enumerate(names):
        last = place == len(names) - 1
        if name == "**":
            said.append(".+" if last else "(?:[^/]+/)*")
        else:
            said.append("".join({"*": "[^/]*", "?": "[^/]"}.get(letter, letter) for letter in name))
            said.append("" if last else "/")
    return "".join(said)


def reference(globs: tuple[str, ...], path: str) -> bool:
    wanted = any(re.fullmatch(as_regex(glob), path) for glob in globs if not glob.startswith("!"))
    return wanted and not any(re.fullmatch(as_regex(glob[1:]), path) for glob in globs if glob.startswith("!"))


SHORT = [
    path
    for length in range(1, 9)
    for path in map("".join, itertools.product("ab/", repeat=length))
    if "//" not in path and path.strip("/") == path
]
NAMES = st.lists(st.sampled_from(["a", "b", "*", "?"]), min_size=1, max_size=2).map("".join).filter(lambda n: n != "**")
GLOBS = st.lists(NAMES | st.just("**"), min_size=1, max_size=3).map("/".join) | NAMES.map(lambda name: f"{name}/")
TERRITORIES = st.lists(GLOBS | GLOBS.map(lambda glob: f"!{glob}"), max_size=3).map(tuple)
PATHS = st.sampled_from(SHORT)


@pytest.mark.parametrize(
    ("globs", "inside", "outside"),
    [
        (("src/**",), ["src/a.py", "src/a/b/c"], ["src", "srcs/a", "a/src/b", "SRC/a"]),
        (("src/",), ["src/a.py", "src/a/b/c"], ["src", "srcs/a"]),
        (("**",), ["a", "a/b/c", ".github/x", ".gitignore"], []),
        (("*",), ["a", ".env"], ["a/b"]),
        (("**/*.py",), ["a.py", "x/y/a.py", ".py"], ["a.pyc", "a.py/b"]),
        (("a/**/b",), ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb", "a/b/x"]),
        (("a?c/[a-c]x[!0-9]",), ["abc/bxz"], ["a/c/bxz", "abc/dxz", "abc/bx1", "abc/bx/", "abc/Bxz"]),
        (("**/x/**",), ["x/a", "a/x/b/c"], ["x", "a/x", "ax/b"]),
        (("src/**", "!src/secret/", "!**/*.key"), ["src/a", "src/secret"], ["src/secret/a", "src/a/b.key"]),
        (("!a", "**"), ["b"], ["a"]),
        (("[]]", "[[]x"), ["]", "[x"], ["x"]),
        (("a[b",), ["a[b"], ["ab"]),
        (("é*",), ["é", "éa"], ["e"]),
        (("!a",), [], ["a", "b"]),
        ((), [], ["a", "a/b"]),
    ],
)
def test_a_territory_allows_what_its_globs_say(globs: tuple[str, ...], inside: list[str], outside: list[str]) -> None:
    asked = Territory(globs)
    assert [path for path in inside if not asked.allows(path)] == []
    assert [path for path in outside if asked.allows(path)] == []


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "..", "/a", "a/", "a//b", "./a", "a/./b", "a/../b", "a\0b"),
        *(".git", ".git/hooks/x", "a/.git", "a/.GIT/config", "a/.Git", ".git.", ".git /x", "git~1/x"),
        *(".g\u200cit/config", ".git:stream"),
    ],
)
def test_everything_is_still_nothing_of_git_and_no_crooked_path(path: str) -> None:
    assert not territory("**", "**/.git/**", ".git", "*", "**/*").allows(path)


@given(TERRITORIES, PATHS)
@settings(deadline=None)
def test_a_territory_allows_what_the_same_regular_expression_allows(globs: tuple[str, ...], path: str) -> None:
    assert Territory(globs).allows(path) == reference(globs, path)


@given(TERRITORIES, TERRITORIES)
@settings(max_examples=150, deadline=None)
@example(("a*",), ("*b",))
@example(("a/**", "!a/b/**"), ("a/b/*",))
@example(("**/a", "!**/a"), ("**",))
@example(("aa/aa/aa",), ("**",))
def test_territories_overlap_exactly_when_some_path_is_in_both(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    wanted = [re.compile("|".join(as_regex(g) for g in globs if g[0] != "!") or r"(?!)") for globs in (one, other)]
    excluded = re.compile("|".join(as_regex(glob[1:]) for glob in (*one, *other) if glob[0] == "!") or r"(?!)")
    shared = (path for path in SHORT if all(each.fullmatch(path) for each in wanted) and not excluded.fullmatch(path))
    found = next(shared, None)
    said = overlaps(Territory(one), Territory(other))
    assert said == overlaps(Territory(other), Territory(one))
    if found is not None:
        assert said
    elif not any(glob.startswith("!") for glob in (*one, *other)):
        assert not said


@given(TERRITORIES, TERRITORIES, PATHS)
@settings(deadline=None)
def test_a_path_that_both_allow_is_an_overlap(one: tuple[str, ...], other: tuple[str, ...], path: str) -> None:
    if Territory(one).allows(path) and Territory(other).allows(path):
        assert overlaps(Territory(one), Territory(other))


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (("src/**",), ("tests/**",), False),
        (("src/**",), ("src/api/*.py",), True),
        (("**/*.py",), ("docs/**",), True),
        (("**/*.py",), ("**/*.md",), False),
        (("**/*.py",), ("docs/*.md", "*.toml"), False),
        (("src/**", "!src/api/**"), ("src/api/**",), False),
        (("src/**", "!src/api/*.py"), ("src/api/**",), True),
        (("src/[a-m]*",), ("src/[n-z]*",), False),
        (("src/[!a-m]*",), ("src/?",), True),
        (("SRC/**",), ("src/**",), False),
        (("a",), ("a/b",), False),
        (("**/.git",), ("**",), False),
        (("**/.git/config",), ("**/.git/**",), False),
        ((".", "..", "a/../b"), ("**",), False),
        (("**",), ("**",), True),
        ((), ("**",), False),
        ((), (), False),
        (("!a",), ("**",), False),
    ],
)
def test_overlaps_is_decided(one: tuple[str, ...], other: tuple[str, ...], shared: bool) -> None:
    assert overlaps(Territory(one), Territory(other)) is shared
    assert overlaps(Territory(other), Territory(one)) is shared


def test_a_tangle_is_taken_to_overlap_rather_than_counted_out() -> None:
    tangle = ["*".join(letters) + "*x" for letters in itertools.permutations("abcde")]
    assert overlaps(Territory(tuple(tangle)), territory("[a-e]*" * 20 + "y"))
    assert not territory("*a" * 300).allows("a" * 299 + "b" * 500)


@pytest.mark.parametrize(
    ("glob", "said"),
    [
        ("", "is empty"),
        ("!", "is empty"),
        ("/src/**", "is absolute"),
        ("!/src", "is absolute"),
        ("../x", "`..`"),
        ("a/../b", "`..`"),
        ("./a", "`.`"),
        ("a//b", "an empty name"),
        ("a\0b", "a NUL"),
        (".git/**", "nothing of git"),
        ("a/.GIT", "nothing of git"),
        ("a[b", "not closed"),
        ("[!]", "without letters"),
        ("[z-a]", "without letters"),
    ],
)
def test_a_malformed_glob_is_explained(glob: str, said: str) -> None:
    assert said in problems([glob, "**"])[0]


def test_good_globs_have_no_problems_and_exclusions_alone_have_one() -> None:
    assert problems(["**", "src/", "!src/a/**", "**/[!a-c]*.p?", "[]a]", "[[]"]) == []
    assert problems([]) == []
    assert "nothing may be written" in problems(["!src/**"])[0]


LISTING = [
    "a.py",
    "b.md",
    "docs/",
    "docs/x.md",
    "src/",
    "src/a.py",
    "src/api/",
    "src/api/b.py",
    "src/api/k.key",
    "src2/",
]


@pytest.mark.parametrize(
    ("globs", "parts"),
    [
        (("**",), ["./"]),
        (("src/**",), ["src/"]),
        (("src/**", "docs/*.md"), ["docs/x.md", "src/"]),
        (("src/**", "!src/api/k.key"), ["src/a.py", "src/api/b.py"]),
        (("src/**", "!**/*.key"), ["src/a.py", "src/api/b.py"]),
        (("src/**", "!src/*.key"), ["src/a.py", "src/api/"]),
        (("src*/**",), ["src/", "src2/"]),
        (("**/api/**", "a.py"), ["a.py", "src/api/"]),
        (("**/*.py",), ["a.py", "src/a.py", "src/api/b.py"]),
        (("**", "!docs/**"), ["a.py", "b.md", "src/", "src2/"]),
        (("missing/**",), []),
        ((), []),
    ],
)
def test_a_kernel_is_told_whole_folders_and_single_files(globs: tuple[str, ...], parts: list[str]) -> None:
    assert kernel_parts(Territory(globs), LISTING) == parts


@given(TERRITORIES)
@settings(deadline=None)
def test_what_a_kernel_is_told_is_allowed(globs: tuple[str, ...]) -> None:
    asked = Territory(globs)
    for part in kernel_parts(asked, ["a", "b/", "b/a", "b/b/", "b/b/a", "ab/", "ab/a"]):
        below = SHORT if part == "./" else [f"{part}{path}" for path in SHORT[:200]] if part.endswith("/") else [part]
        assert all(asked.allows(path) for path in below)
