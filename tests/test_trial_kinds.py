"""What kind of problem an error tells of, what of it stays the same, and which files it speaks of: on real texts."""

import time

import pytest

from actors.council.problem import KINDS
from actors.executor.trials.kinds import kind_of, stable
from actors.executor.trials.likeness import diff_of, likeness, lines_changed
from actors.executor.trials.naming import Spoken, Tree, imported_by, spoken_of

TEXTS: dict[str, list[str]] = {
    "syntax_error": [
        '  File "src/app.py", line 3\n    def f(:\n          ^\nSyntaxError: invalid syntax',
        '  File "a.py", line 7\n    return 1\nIndentationError: unexpected indent',
        "src/index.js:4\n  const x = ;\n            ^\nSyntaxError: Unexpected token ';'\n    at wrapSafe",
        "src/app.ts(12,5): error TS1005: ';' expected.",
        "error: expected `;`, found `}`\n --> src/main.rs:4:14",
        "./main.go:9:2: syntax error: unexpected newline, expected comma or )",
        "main.c:5:18: error: expected ';' before 'return'",
        "App.java:8: error: ';' expected\n        int x = 1\n                 ^",
        "Makefile:3: *** missing separator.  Stop.",
        "error: this file contains an unclosed delimiter\n --> src/lib.rs:20:3",
    ],
    "missing_name": [
        "E   NameError: name 'tottal' is not defined",
        "AttributeError: 'Cart' object has no attribute 'totals'",
        "ImportError: cannot import name 'parse' from 'app.reader' (/src/app/reader.py)",
        "ReferenceError: amount is not defined\n    at total (src/cart.js:3:10)",
        "TypeError: cart.total is not a function\n    at Object.<anonymous> (test/cart.test.js:5:15)",
        "error[E0425]: cannot find value `amont` in this scope",
        "src/a.ts(3,9): error TS2304: Cannot find name 'amont'.",
        "src/a.ts(3,9): error TS2339: Property 'totl' does not exist on type 'Cart'.",
        "./cart.go:12:9: undefined: amont",
        "/usr/bin/ld: main.o: undefined reference to `total'",
        "Cart.java:5: error: cannot find symbol\n  symbol:   variable amont",
        "NoMethodError: undefined method `totl' for #<Cart:0x000001>",
        "PHP Fatal error:  Uncaught Error: Call to undefined function totl()",
    ],
    "dependency": [
        "E   ModuleNotFoundError: No module named 'requests'",
        "Error: Cannot find module 'lodash'\nRequire stack:\n- /src/index.js",
        "Module not found: Error: Can't resolve 'react-dom' in '/src'",
        "error[E0432]: unresolved import `serde`",
        "error[E0463]: can't find crate for `tokio`",
        "main.go:4:2: no required module provides package github.com/gorilla/mux; to add it:\n\tgo get github.com/x",
        "ERROR: No matching distribution found for numpyy==1.0",
        "npm ERR! code ERESOLVE\nnpm ERR! ERESOLVE unable to resolve dependency tree",
        "fatal error: openssl/ssl.h: No such file or directory",
        "error: package org.junit does not exist",
        "java.lang.ClassNotFoundException: com.mysql.jdbc.Driver",
        "cannot load such file -- nokogiri (LoadError)",
        "src/a.ts(1,20): error TS2307: Cannot find module 'zod' or its corresponding type declarations.",
    ],
    "design": [
        "ImportError: cannot import name 'A' from partially initialized module 'a' (likely due to a circular import)",
        "package app\n\timports app/b\n\timports app: import cycle not allowed",
        "error[E0119]: conflicting implementations of trait `From<u8>` for type `X`",
        "error: cyclic package dependency: package `a` depends on itself. Cycle:",
    ],
    "external_api": [
        "requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://api.example.org/v1",
        "Error: connect ECONNREFUSED 127.0.0.1:5432",
        "urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>",
        "dial tcp: lookup api.example.org: no such host",
        "httpx.ConnectError: [Errno 111] Connection refused",
        "AxiosError: Request failed with status code 503",
        "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed",
    ],
    "timeout": [
        "subprocess.TimeoutExpired: Command '['make']' timed out after 60 seconds",
        "thrown: \"Exceeded timeout of 5000 ms for a test.\"",
        "context deadline exceeded",
        "E   Failed: Timeout >5.0s",
        "panic: test timed out after 30s",
    ],
    "wrong_result": [
        "E   assert 3 == 4\nE    +  where 3 = add(2, 2)\ntest_sums.py:5: AssertionError\n1 failed in 0.03s",
        "AssertionError: 3 != 4\n\nFAILED (failures=1)",
        "  expect(received).toBe(expected) // Object.is equality\n\n    Expected: 4\n    Received: 3",
        "    --- FAIL: TestAdd (0.00s)\n        sums_test.go:9: Add(2, 2) = 3; want 4",
        "thread 'tests::adds' panicked at src/lib.rs:9:9:\nassertion `left == right` failed\n  left: 3\n right: 4",
        "org.opentest4j.AssertionFailedError: expected: <4> but was: <3>",
        "RSpec::Expectations::ExpectationNotMetError: expected: 4 got: 3",
        "2 failed, 3 passed in 1.2s",
    ],
    "exception": [
        "Traceback (most recent call last):\n  File \"a.py\", line 2, in <module>\nZeroDivisionError: division by zero",
        "E   TypeError: unsupported operand type(s) for +: 'int' and 'str'",
        "E   KeyError: 'price'\nsrc/cart.py:9: KeyError\n1 failed in 0.1s",
        "TypeError: Cannot read properties of undefined (reading 'price')",
        "panic: runtime error: index out of range [3] with length 3\n\ngoroutine 1 [running]:",
        "thread 'main' panicked at src/main.rs:3:5:\nindex out of bounds: the len is 3 but the index is 9",
        "Segmentation fault (core dumped)",
        "Exception in thread \"main\" java.lang.NullPointerException",
    ],
    "other": ["", "it went wrong", "exit 2", "the mind does not reply"],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in TEXTS.items() for text in texts])
def test_real_errors_are_of_their_kind(kind: str, text: str) -> None:
    assert kind_of("unknown", text) == kind


def test_every_kind_is_shown() -> None:
    assert set(TEXTS) == set(KINDS)


def test_where_the_text_says_nothing_the_failure_does() -> None:
    assert kind_of("timeout", "E  NameError: x") == "timeout"
    assert kind_of("loop", "the same again") == "design"
    assert kind_of("test_failure", "it is red") == "wrong_result"


def test_no_text_takes_long() -> None:
    for text in ("expected " * 20_000, "a" * 200_000, "File " * 50_000, "got " * 30_000 + "want", "1" * 100_000):
        began = time.process_time()
        kind_of("unknown", text)
        stable(text)
        spoken_of(text, Tree(["a.py"]))
        assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/tmp/x/src/a.py:12: KeyError: 'price'", "/srv/y/z/src/a.py:99: KeyError: 'price'"),
        ('File "C:\\w\\a.py", line 3, in f', 'File "D:\\other\\w\\a.py", line 44, in f'),
        ("<Cart object at 0x7f8e2a> is bad", "<Cart object at 0x1b> is bad"),
        ("failed after 0.12s", "failed after 12.5 s"),
        ("at 2026-11-21T10:00:00Z it broke", "at 2027-01-01 11:12:13.123 it broke"),
        ("run 123e4567-e89b-12d3-a456-426614174000", "run 00000000-e89b-12d3-a456-426614174fff"),
        ("src/a.ts(3,9): oops at line 7", "src/a.ts(3,9): oops at line 70"),
    ],
)
def test_what_differs_from_time_to_time_is_left_out(one: str, other: str) -> None:
    assert stable(one) == stable(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("assert 3 == 4", "assert 3 == 5"),
        ("KeyError: 'price'", "KeyError: 'name'"),
        ("src/a.py:1: boom", "src/b.py:1: boom"),
    ],
)
def test_what_is_another_error_stays_another(one: str, other: str) -> None:
    assert stable(one) != stable(other)


FILES = Tree(
    [
        *("src/app/cart.py", "src/app/__init__.py", "tests/test_cart.py", "web/cart.ts", "web/index.ts"),
        *("web/lib/x.js", "main.go", "a/util.py", "b/util.py", "c/util.py", "d/util.py"),
        *("include/sums.h", "src/main.rs", "src/cart.rs"),
    ]
)


def names(text: str) -> list[str]:
    return [path for path, _ in spoken_of(text, FILES)]


def test_files_are_found_however_they_are_named() -> None:
    assert spoken_of('File "/tmp/w/src/app/cart.py", line 12, in total', FILES) == [Spoken("src/app/cart.py", 12)]
    assert spoken_of("cart.py:7: KeyError", FILES) == [Spoken("src/app/cart.py", 7)]
    assert spoken_of("web/cart.ts(3,9): error TS2304", FILES) == [Spoken("web/cart.ts", 3)]
    assert names("FAILED tests/test_cart.py::test_total - KeyError") == ["tests/test_cart.py"]
    assert names("tests.test_cart.TestCart::test_total") == ["tests/test_cart.py"]
    assert names("C:\\build\\web\\lib\\x.js:1") == ["web/lib/x.js"]
    assert names("./main.go:9:2: undefined: x") == ["main.go"]


def test_a_name_that_many_files_have_names_none() -> None:
    assert names("util.py:3: boom") == []
    assert names("/x/b/util.py:3: boom") == ["b/util.py"]


@pytest.mark.parametrize(
    ("path", "text", "imported"),
    [
        ("tests/test_cart.py", "from app.cart import total\nimport os\n", ["src/app/cart.py"]),
        ("src/app/__init__.py", "from .cart import total", ["src/app/cart.py"]),
        ("src/app/x.py", "from . import cart", ["src/app/cart.py"]),
        ("tests/test_cart.py", "import unittest\n\nfrom app.cart import *\n", ["src/app/cart.py"]),
        ("tests/test_cart.py", "from app.cart import (\n    total,\n    tax,\n)\n", ["src/app/cart.py"]),
        ("tests/x.py", "import src.app.cart as cart, json", ["src/app/cart.py"]),
        ("web/a.ts", "import { total } from './cart'\nconst x = require('./lib/x')", ["web/cart.ts", "web/lib/x.js"]),
        ("web/lib/y.js", "import '../index.js'", ["web/index.ts"]),
        ("src/a.c", '#include "sums.h"\n#include <stdio.h>', ["include/sums.h"]),
        ("src/main.rs", "mod cart;\nuse cart::total;", ["src/cart.rs"]),
    ],
)
def test_imports_are_followed_inside_the_tree(path: str, text: str, imported: list[str]) -> None:
    assert imported_by(path, text, FILES) == imported


BEFORE = {"a.py": b"def add(a, b):\n    return a - b\n"}


def alike(one: str, other: str, path: str = "a.py") -> bool:
    before = {path: BEFORE["a.py"]}
    return likeness(before, {path: one.encode()}) == likeness(before, {path: other.encode()})


def test_layout_and_comments_make_no_difference() -> None:
    assert alike("def add(a, b):\n    return a + b\n", "def add(a,b):  # sum\n\n  return (a\n+ b)\n") is False
    assert alike("def add(a, b):\n    return a + b\n", "def add(a,b):  # the sum\n\n  # of both\n  return a+b\n")
    assert alike("def add(a, b):\n    return a + b\n", "def add(a, b):\n    return b + a\n") is False
    assert alike("let x = 1;\n", "  let   x = 1;\n\n", "a.js") and not alike("let x = 1;\n", "let x = 2;\n", "a.js")


def test_python_that_cannot_be_read_is_compared_by_lines() -> None:
    assert alike("def add(:\n    'open\n", "  def add(:\n  'open")


def test_lines_are_counted_and_shown() -> None:
    after = {"a.py": b"def add(a, b):\n    return a + b\n", "new.txt": b"1\n2\n"}
    before = {**BEFORE, "new.txt": b""}
    assert lines_changed(before, after) == 4
    assert "-    return a - b\n+    return a + b" in diff_of(before, after)


def test_large_changes_are_counted_in_bounded_time() -> None:
    old, new = (b"".join(b"%d\n" % (number * factor) for number in range(100_000)) for factor in (1, 3))
    began = time.process_time()
    assert lines_changed({"a": old}, {"a": new}) > 100_000 and diff_of({"a": old}, {"a": new})
    assert time.process_time() - began < 10
