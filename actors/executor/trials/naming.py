"""Which files of a tree a text speaks of, and which a file imports: found by their names, never by running anything."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

NAMES_MAX = 400
"""So many names of a text are looked for."""
SEVERAL = 3
"""A name that fits more files than this is no name."""
_word = re.compile(r"[\w.@+-]{1,120}(?:[/\\][\w.@+-]{1,120}){0,30}")
_at_line = re.compile(r"""['"]?(?:,? line |:|\()(\d{1,7})""")
_python = re.compile(r"^[ \t]{0,40}(?:from[ \t]+(\.{0,5}[\w.]{0,200})[ \t]+import[ \t]+\(?([\w, \t]{0,300})|"
                     r"import[ \t]+([\w., \t]{1,300}))", re.MULTILINE)  # fmt: skip
_script = re.compile(r"""(?:from|import|require\()[ \t]{0,4}['"](\.{1,2}/[^'"\n]{1,200})['"]""")
_include = re.compile(r"""^[ \t]*(?:#[ \t]*include[ \t]+"([^"\n]{1,200})"|mod[ \t]+(\w{1,80})[ \t]*;)""", re.MULTILINE)
_SCRIPTS = ("", ".ts", ".tsx", ".js", ".jsx", ".mjs", ".json", "/index.ts", "/index.js")
_PACKAGES = (".py", "/__init__.py")


class Tree:
    """The names of all files, found by how they end."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = set(paths)
        self._by_name: dict[str, list[str]] = {}
        for path in sorted(self.paths):
            self._by_name.setdefault(posixpath.basename(path), []).append(path)

    def fitting(self, name: str) -> list[str]:
        """The files that a name can mean: the longest end that is a file of ours, or a few that end like it."""
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts or parts[-1] not in self._by_name:
            return []
        for start in range(len(parts)):
            if (end := "/".join(parts[start:])) in self.paths:
                return [end]
        ending = "/" + "/".join(parts)
        found = [path for path in self._by_name[parts[-1]] if path.endswith(ending)]
        return found if len(found) <= SEVERAL else []

    def module(self, dotted: str, roots: Iterable[str] = ("", "src/", "lib/")) -> list[str]:
        """A dotted name as a file: of the whole name, or of its beginning, as in `tests.test_a.TestIt.test_one`."""
        parts = [part for part in dotted.split(".") if part]
        for count in range(len(parts), 0, -1):
            place = "/".join(parts[:count])
            for root in roots:
                for ending in _PACKAGES:
                    if (path := f"{root}{place}{ending}") in self.paths:
                        return [path]
        return []


class Spoken(NamedTuple):
    """A file that a text speaks of; `line` is 0 where it says none."""

    path: str
    line: int


def spoken_of(text: str, tree: Tree) -> list[Spoken]:
    """In the order of the text, each once."""
    found: dict[str, int] = {}
    for count, match in enumerate(_word.finditer(text)):
        if count >= 20 * NAMES_MAX or len(found) >= NAMES_MAX:
            break
        word = match[0].strip(".,-")
        paths = tree.fitting(word)
        if not paths and "." in word and "/" not in word:
            paths = tree.module(word)
        line = _at_line.match(text, match.end())
        for path in paths:
            found[path] = found.get(path) or (int(line[1]) if line else 0)
    return [Spoken(path, line) for path, line in found.items()]


def imported_by(path: str, text: str, tree: Tree) -> list[str]:
    """The files of the tree that this one imports, as far as its text says so."""
    found = dict.fromkeys(each for name in _names(path, text) for each in name if each in tree.paths)
    if path.endswith((".py", ".pyi")):
        found |= dict.fromkeys(_modules(path, text, tree))
    found.pop(path, None)
    return list(found)


def _names(path: str, text: str) -> Iterator[list[str]]:
    folder = posixpath.dirname(path)
    for match in _script.finditer(text):
        place = posixpath.normpath(posixpath.join(folder, match[1]))
        stem = place.removesuffix(".js")
        yield [f"{each}{ending}" for each in dict.fromkeys((place, stem)) for ending in _SCRIPTS][:20]
    for match in _include.finditer(text):
        if match[1]:
            yield [posixpath.normpath(posixpath.join(folder, match[1])), match[1], f"include/{match[1]}"]
        else:
            yield [posixpath.join(folder, f"{match[2]}.rs"), posixpath.join(folder, match[2], "mod.rs")]


def _modules(path: str, text: str, tree: Tree) -> Iterator[str]:
    folder = posixpath.dirname(path)
    roots = ("", "src/", "lib/", f"{folder}/" if folder else "")
    for match in _python.finditer(text):
        if match[3]:
            wanted = [each.split()[0] for each in match[3].split(",") if each.strip()]
            relative: tuple[str, ...] = roots
        else:
            above, name = folder, match[1]
            dots = len(name) - len(name.lstrip("."))
            for _ in range(dots - 1):
                above = posixpath.dirname(above)
            relative = (f"{above}/" if above else "",) if dots else roots
            members = [each.split()[0] for each in match[2].split(",") if each.strip()] or [""]  # `*`, or names below
            wanted = [".".join((name.lstrip("."), each)).strip(".") for each in members]
        for each in wanted[:NAMES_MAX]:
            yield from tree.module(each, relative)
