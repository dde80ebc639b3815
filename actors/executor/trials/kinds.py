"""What kind of problem an error tells of, and what of it stays the same when it happens again."""

import re

from actors.council.problem import KINDS
from actors.essence import bounded, essence

KEPT_CHARS = 4000
"""So much of an error's essence tells one problem from another."""

_PATTERNS: tuple[tuple[str, str], ...] = (
    (
        "design",
        r"circular import|partially initialized module|import cycle not allowed|circular dependenc|"
        r"cyclic (?:import|dependency|package)|cycle detected|conflicting (?:implementations|requirements|definitions)|"
        r"requirements? (?:contradict|conflict)",
    ),
    (
        "syntax_error",
        r"\b(?:Syntax|Indentation|Tab)Error\b|\bsyntax error\b|unexpected token|\bparse error\b|invalid syntax|"
        r"unterminated (?:string|quoted|character|template|triple|double quote)|unexpected (?:end of|EOF|indent|"
        r"keyword|identifier|'end')|"
        r"error: expected |error: (?:';'|'\)'|class, interface|illegal start|reached end of file)|\berror TS1\d{3}\b|"
        r"missing separator|mismatched (?:brackets|closing delimiter)|unclosed delimiter|expected declaration, found",
    ),
    (
        "missing_name",
        r"\b(?:Name|Attribute|UnboundLocal)Error\b|cannot import name|\b\w{1,80} is not defined\b|"
        r"has no attribute|is not a function\b|undefined: \w|cannot find symbol|"
        r"error\[E0(?:405|407|412|422|423|424|425|426|433|531|560|576|599|609|610)\]|"
        r"\berror TS2(?:304|305|339|551|552)\b|"
        r"cannot find name|Property '.{1,80}' does not exist|undeclared|undefined reference to|"
        r"undefined (?:method|local variable|function|variable|symbol)|uninitialized constant|no member named|"
        r"unresolved reference|has no (?:field|member|property)\b|Call to undefined|was not declared in this scope|"
        r"\bNoMethodError\b|\bno method named\b",
    ),
    (
        "dependency",
        r"\b(?:ModuleNotFound|Import|PackageNotFound|DistributionNotFound|Load)Error\b|no module named|"
        r"cannot find (?:module|package)|module not found|can't resolve '|unresolved import|error\[E0(?:432|463)\]|"
        r"can't find crate|no required module provides|missing go\.sum entry|"
        r"no matching (?:package|distribution|version)|"
        r"could not resolve dependenc|unable to resolve dependency|\bERESOLVE\b|version solving failed|"
        r"\bClass(?:NotFoundException|DefNotFoundError)\b|\bNoClassDefFoundError\b|package [\w.]{1,100} does not exist|"
        r"fatal error: .{1,200}: no such file|cannot open shared object|error TS2307\b|"
        r"cannot load such file|failed to select a version|no such (?:module|package)\b",
    ),
    (
        "external_api",
        r"\b(?:HTTPError|HTTPStatusError|ConnectionError|ConnectionRefusedError|ConnectError|ClientError|SSLError|"
        r"MaxRetryError|APIError|APIConnectionError|URLError)\b|\bE(?:CONNREFUSED|CONNRESET|NOTFOUND|AI_AGAIN)\b|"
        r"connection refused|getaddrinfo|name or service not known|could not resolve host|certificate verify failed|"
        r"\b(?:401 unauthorized|403 forbidden|429 too many|50[0234] (?:internal|bad gateway|service|gateway))|"
        r"(?:status|HTTP)(?: code)?[ :=]{1,3}(?:4\d\d|5\d\d)\b|invalid.{0,3}api.?key|rate.?limit|requests\.exceptions|"
        r"no such host|network is unreachable",
    ),
    (
        "timeout",
        r"\btimed out\b|\bTimeout(?:Error|Expired|Exception)?\b|deadline exceeded|\bETIMEDOUT\b|exceeded timeout|"
        r"time-?out (?:of|exceeded|after|expired)|said nothing for|took longer than|deadlock",
    ),
    (
        "wrong_result",
        r"\bAssert(?:ion)?(?:Error|FailedError|ionFailedError)\b|^E {1,10}assert\b|\bassertion.{0,40}failed|"
        r"^\s{0,20}Expected\b.{0,200}\n?.{0,40}\b(?:Received|Actual|got)\b|"
        r"\bexpected\b.{1,200}\b(?:but was|got|to (?:equal|be))\b|"
        r"^\s{0,20}\w{1,80}\.go:\d{1,6}: .{0,200}\bwant\b|\bgot\b.{1,200}\bwant\b|--- FAIL: |ComparisonFailure|"
        r"ExpectationNotMetError",
    ),
    (
        "exception",
        r"\b[A-Z]\w{0,60}(?:Error|Exception)\b|^Traceback \(most recent|\bpanicked at\b|^panic: |"
        r"segmentation fault|core dumped|null pointer|stack overflow|\bunhandled\b|\bSIG(?:SEGV|ABRT)\b|uncaught",
    ),
    ("wrong_result", r"\b[1-9]\d{0,6} (?:failed|failing|failures?)\b|^not ok \d|\bFAILED\b"),
)
"""In this order; the first that is found says what it is. No quantifier has room for a run of any length."""

_COMPILED = tuple((kind, re.compile(pattern, re.IGNORECASE | re.MULTILINE)) for kind, pattern in _PATTERNS)
_BY_FAILURE = {
    "syntax_error": "syntax_error",
    "timeout": "timeout",
    "test_failure": "wrong_result",
    "loop": "design",
    "turns": "design",
    "help": "design",
    "rate_limit": "external_api",
    "out_of_memory": "exception",
}
_CHANGING = tuple(
    (re.compile(pattern), put)
    for pattern, put in (
        (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?", "<time>"),
        (r"\b\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\b", "<time>"),
        (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "<id>"),
        (r"\b0x[0-9a-fA-F]{1,16}\b", "<address>"),
        (r"(?<![\w.])(?:[A-Za-z]:\\|~?/|\.{1,2}/)?(?:[\w.@+-]{1,100}[/\\]){1,40}(?=[\w.@+-])", ""),
        (r"(?i)\b(lines?|column|col|pid|port|seed|thread|goroutine)([ =:#]{1,3})\d{1,9}", r"\1\2<n>"),
        (r"(?<=[\w)\]]):\d{1,9}(?::\d{1,9})?(?![\w.])", ":<n>"),
        (r"\b\d{1,9}(?:\.\d{1,9})? ?(?:ms|µs|us|ns|s|sec|secs|seconds|minutes|min)\b", "<time>"),
        (r"^ {0,8}\d{1,6} ?\|", "|"),
        (r"\s+", " "),
    )
)


def kind_of(failure: str, error: str) -> str:
    """One of `KINDS`: by what the text says, and where it says nothing, by how the failure was classified."""
    if failure == "timeout":
        return "timeout"
    text = bounded(error)
    found = next((kind for kind, pattern in _COMPILED if pattern.search(text)), "")
    kind = found or _BY_FAILURE.get(failure, "other")
    assert kind in KINDS
    return kind


def stable(error: str) -> str:
    """The essence of an error without what differs from one time to the next: paths, lines, addresses, times."""
    text = essence(bounded(error), chars=KEPT_CHARS)
    for pattern, put in _CHANGING:
        text = pattern.sub(put, text)
    return text.strip()
