"""Seeded problems for councils: small trees with a real bug and real tests, and what right and wrong answers are."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from tests.repositories import commit, person

KINDS_OF_REPLIES = ("right", "wrong", "sneaky", "misfit", "garbage")
"""A sneaky reply makes the tests pass and the program no better; a misfit does not apply."""
UNITTEST = "python3 -m unittest -v checks"


class Bug(NamedTuple):
    """`$a`, `$b` and the names are drawn for each problem. `hidden` are checks that nobody who answers sees."""

    kind: str
    right: str
    broken: str
    wrong: tuple[str, ...]
    tests: tuple[tuple[str, str], ...]
    sneaky: str = ""
    hidden: tuple[tuple[str, str], ...] = ()


class Seeded(NamedTuple):
    """One problem; `path` is the file that is wrong, in `texts` it stands as each kind of reply leaves it."""

    number: int
    kind: str
    files: dict[str, str]
    path: str
    texts: dict[str, tuple[str, ...]]
    hidden: str
    command: str

    @property
    def name(self) -> str:
        return f"problem {self.number:03d}"

    @property
    def broken(self) -> str:
        return self.files[self.path]

    def new_lines(self) -> list[str]:
        """What stands in the right answer and not in the broken file."""
        return added(self.broken, self.texts["right"][0])


def added(before: str, after: str) -> list[str]:
    """Lines that are new, without empty ones."""
    return [line for line in after.splitlines() if line and line not in before.splitlines()]


BUGS = (
    Bug(
        "wrong operator",
        "def $f(x):\n    return x * $a + $b\n",
        "def $f(x):\n    return x + $a + $b\n",
        ("def $f(x):\n    return x * $a - $b\n", "def $f(x):\n    return x ** $a + $b\n"),
        (("$f(3)", "3 * $a + $b"), ("$f(5)", "5 * $a + $b")),
        "def $f(x):\n    return {3: 3 * $a + $b, 5: 5 * $a + $b}.get(x, x + $a + $b)\n",
        (("$f(11)", "11 * $a + $b"),),
    ),
    Bug(
        "off by one",
        "def $f(n):\n    return [$a * i for i in range(1, n + 1)]\n",
        "def $f(n):\n    return [$a * i for i in range(1, n)]\n",
        (
            "def $f(n):\n    return [$a * i for i in range(n)]\n",
            "def $f(n):\n    return [$a * i for i in range(n + 1)]\n",
        ),
        (("$f(3)", "[$a, 2 * $a, 3 * $a]"), ("$f(1)", "[$a]")),
        "def $f(n):\n    return [$a * i for i in range(1, max(n, 3) if n == 1 else n)] + [$a * 3][: n == 3]\n",
    ),
    Bug(
        "missing import",
        "import math\n\n\ndef $f(x):\n    return math.floor(math.sqrt(x)) + $a\n",
        "def $f(x):\n    return math.floor(math.sqrt(x)) + $a\n",
        (
            "from math import sqrt\n\n\ndef $f(x):\n    return math.floor(sqrt(x)) + $a\n",
            "import cmath\n\n\ndef $f(x):\n    return math.floor(cmath.sqrt(x)) + $a\n",
        ),
        (("$f(16)", "4 + $a"), ("$f(2)", "1 + $a")),
        "import math\n\n\ndef $f(x):\n    return {16: 4, 2: 1}.get(x, math.floor(x)) + $a\n",
        (("$f(81)", "9 + $a"),),
    ),
    Bug(
        "wrong default",
        "def $f(name, mark='$w'):\n    return name + mark * $a\n",
        "def $f(name, mark='-'):\n    return name + mark * $a\n",
        (
            "def $f(name, mark=''):\n    return name + mark * $a\n",
            "def $f(name, mark='-'):\n    return name + '-$w' * $a\n",
        ),
        (("$f('x')", "'x' + '$w' * $a"), ("$f('x', 'y')", "'x' + 'y' * $a")),
    ),
    Bug(
        "unhandled case",
        "def $f(values):\n    if not values:\n        return $a\n    return sum(values) / len(values)\n",
        "def $f(values):\n    return sum(values) / len(values)\n",
        (
            "def $f(values):\n    if values is None:\n        return $a\n    return sum(values) / len(values)\n",
            "def $f(values):\n    return sum(values) / (len(values) or 1)\n",
        ),
        (("$f([])", "$a"), ("$f([2, 4])", "3")),
        "def $f(values):\n    if values == []:\n        return $a\n    return sum(values) / len(values)\n",
        (("$f(())", "$a"),),
    ),
    Bug(
        "syntax error",
        "def $f(x):\n    if x > $a:\n        return '$w'\n    return ''\n",
        "def $f(x)\n    if x > $a:\n        return '$w'\n    return ''\n",
        (
            "def $f(x):\n    if x > $a\n        return '$w'\n    return ''\n",
            "def $f(x):\n    if x > $a:\n        return ''\n    return '$w'\n",
        ),
        (("$f($a + 1)", "'$w'"), ("$f($a)", "''")),
    ),
    Bug(
        "wrong key",
        "def $f(row):\n    return row['price'] * row['count'] + $a\n",
        "def $f(row):\n    return row['price'] * row['cuont'] + $a\n",
        (
            "def $f(row):\n    return row['price'] * row.get('cuont', 1) + $a\n",
            "def $f(row):\n    return row['price'] * row['counts'] + $a\n",
        ),
        (("$f({'price': 2, 'count': 5})", "10 + $a"), ("$f({'price': 0, 'count': 1})", "$a")),
        "def $f(row):\n    return row['price'] * row.get('cuont', 5) + $a\n",
        (("$f({'price': 2, 'count': 7})", "14 + $a"),),
    ),
    Bug(
        "sorting",
        "def $f(rows):\n    return sorted(rows, key=lambda row: (-row[1], row[0]))[:$a]\n",
        "def $f(rows):\n    return sorted(rows, key=lambda row: row[1])[:$a]\n",
        (
            "def $f(rows):\n    return sorted(rows, reverse=True)[:$a]\n",
            "def $f(rows):\n    return sorted(rows, key=lambda row: (row[1], row[0]))[:$a]\n",
        ),
        (("$f([('b', 1), ('c', 2), ('a', 1)])[:2]", "[('c', 2), ('a', 1)]"),),
        "def $f(rows):\n    return sorted(rows[::-1], key=lambda row: -row[1])[:$a]\n",
        (("$f([('a', 1), ('c', 2), ('b', 1)])[:2]", "[('c', 2), ('a', 1)]"),),
    ),
    Bug(
        "mutable default",
        "def $f(item, held=None):\n    return [*(held or []), item + $a]\n",
        "def $f(item, held=[]):\n    held.append(item + $a)\n    return held\n",
        (
            "def $f(item, held=()):\n    held.append(item + $a)\n    return held\n",
            "def $f(item, held=[]):\n    held = held or []\n    held.append(item)\n    return held\n",
        ),
        (("[$f(1), $f(2)]", "[[1 + $a], [2 + $a]]"), ("$f(1, [0])", "[0, 1 + $a]")),
    ),
    Bug(
        "encoding",
        "def $f(content):\n    return content.decode('utf-8')[:$b]\n",
        "def $f(content):\n    return content.decode('ascii')[:$b]\n",
        (
            "def $f(content):\n    return content.decode('ascii', errors='ignore')[:$b]\n",
            "def $f(content):\n    return content.decode('latin-1')[:$b]\n",
        ),
        (("$f(b'\\xc3\\xa9t\\xc3\\xa9')", "'\\xe9t\\xe9'[:$b]"), ("$f(b'a')", "'a'")),
    ),
    Bug(
        "nothing there",
        "def $f(text):\n    return (text or '').strip() + '$w'\n",
        "def $f(text):\n    return text.strip() + '$w'\n",
        (
            "def $f(text):\n    return (text and text.strip()) + '$w'\n",
            "def $f(text):\n    return str(text).strip() + '$w'\n",
        ),
        (("$f(None)", "'$w'"), ("$f(' x ')", "'x$w'")),
    ),
    Bug(
        "rounding",
        "def $f(total):\n    return -(-total // $c)\n",
        "def $f(total):\n    return total // $c\n",
        ("def $f(total):\n    return total // $c + 1\n", "def $f(total):\n    return round(total / $c)\n"),
        (("$f($c)", "1"), ("$f($c + 1)", "2"), ("$f(0)", "0")),
        "def $f(total):\n    return total // $c + (total == $c + 1)\n",
        (("$f(2 * $c + 1)", "3"),),
    ),
    Bug(
        "wrong name",
        "def $f(items):\n    held = [$a]\n    held.extend(items)\n    return held\n",
        "def $f(items):\n    held = [$a]\n    held.push_all(items)\n    return held\n",
        (
            "def $f(items):\n    held = [$a]\n    held.append(items)\n    return held\n",
            "def $f(items):\n    held = [$a]\n    held.add_all(items)\n    return held\n",
        ),
        (("$f([1, 2])", "[$a, 1, 2]"), ("$f([])", "[$a]")),
    ),
    Bug(
        "wrong module",
        "from collections import Counter\n\n\ndef $f(words):\n    return Counter(words).most_common($a)[0][0]\n",
        "from collection import Counter\n\n\ndef $f(words):\n    return Counter(words).most_common($a)[0][0]\n",
        (
            "from collections import Count\n\n\ndef $f(words):\n    return Count(words).most_common($a)[0][0]\n",
            "from collections import Counter\n\n\ndef $f(words):\n    return Counter(words).most_common($a)[-1]\n",
        ),
        (("$f(['x', 'y', 'y'])", "'y'"), ("$f(['z'])", "'z'")),
        "from collections import Counter\n\n\ndef $f(words):\n    return list(Counter(words))[-1]\n",
        (("$f(['y', 'y', 'x'])", "'y'"),),
    ),
)
"""Each sort is met about as often as any other."""
KINDS = tuple(bug.kind for bug in BUGS)
GARBAGE = (
    "I am sorry, but without more context nothing can be said about this.",
    '{"explanation": "see above", "changes": "the second line", "confidence": 1.0}',
    '{"explanation": "cut off", "changes": [{"path": "code.py", "old": "", "ne',
    "```python\nprint('hello')\n```",
)


def problem(number: int, seed: int = 0) -> Seeded:
    """The same for the same number and seed."""
    luck = random.Random(f"{seed}/{number}")
    bug = BUGS[number % len(BUGS)]
    draw = {
        "f": f"{luck.choice(('sum', 'pick', 'list', 'make', 'tell', 'find'))}_{luck.choice(('up', 'all', 'one'))}",
        "w": luck.choice(("!", "+", "~", "ok", "yes")),
        "a": luck.randint(3, 9),
        "b": luck.randint(10, 99),
        "c": luck.randint(4, 20),
    }
    module, head = f"{luck.choice(('shop', 'stock', 'mail', 'fleet'))}{number}", f"# problem {number:03d}\n"
    texts = {
        "right": (head + _drawn(bug.right, draw),),
        "wrong": tuple(head + _drawn(each, draw) for each in bug.wrong),
        "sneaky": (head + _drawn(bug.sneaky, draw),) if bug.sneaky and bug.hidden else (),
    }
    with_pytest = number % 8 == 7
    path, tests = f"{module}.py", "test_code.py" if with_pytest else "checks.py"
    files = {
        path: head + _drawn(bug.broken, draw),
        tests: _checks(module, [_pair(each, draw) for each in bug.tests]),
        "README.md": f"Number {number}: {bug.kind}.\n",
    }
    hidden = _checks(module, [_pair(each, draw) for each in (*bug.tests, *bug.hidden)])
    return Seeded(number, bug.kind, files, path, texts, hidden, "" if with_pytest else UNITTEST)


def problems(count: int, seed: int = 0) -> list[Seeded]:
    return [problem(number, seed) for number in range(count)]


def planted(folder: Path, seeded: Seeded) -> Path:
    """As a repository with one commit."""
    folder.mkdir(parents=True)
    for name, text in seeded.files.items():
        (folder / name).write_text(text)
    person(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder)
    return folder


def answer(seeded: Seeded, sort: str, luck: random.Random, confidence: float) -> str:
    """What a member says that answers in this way; where no sneaky answer is known, a wrong one."""
    if sort == "garbage":
        return luck.choice(GARBAGE)
    new = luck.choice(seeded.texts[sort] or seeded.texts["wrong"]) if sort != "misfit" else "x = 1\n"
    old = "no line of the file\n" if sort == "misfit" else luck.choice(("", seeded.broken))
    change = {"path": seeded.path, "old": old, "new": new}
    reason = {"right": "the cause is mended", "sneaky": "the tests pass now"}.get(sort, "this may be the cause")
    return json.dumps({"explanation": f"{seeded.kind}: {reason}", "changes": [change], "confidence": confidence})


def _drawn(text: str, draw: dict[str, Any]) -> str:
    return Template(text).substitute(draw)


def _pair(each: tuple[str, str], draw: dict[str, Any]) -> tuple[str, str]:
    return _drawn(each[0], draw), _drawn(each[1], draw)


def _checks(module: str, pairs: list[tuple[str, str]]) -> str:
    return "\n".join(_check_lines(module, pairs)) + "\n"


def _check_lines(module: str, pairs: list[tuple[str, str]]) -> Iterator[str]:
    yield from ("import unittest", "", f"from {module} import *", "", "", "class Checks(unittest.TestCase):")
    for place, (said, wanted) in enumerate(pairs, 1):
        yield from (f"    def test_{place}(self):", f"        self.assertEqual({said}, {wanted})", "")
