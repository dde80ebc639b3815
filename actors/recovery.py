"""What went wrong, and what to do differently: one classifier and one table of strategies for steps and for phases."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from actors.essence import ERROR_CHARS, bounded, essence
from bus.messages.base import Recovery

Severity = Literal["low", "medium", "high", "critical"]

TRIES_MAX = 3
"""So often one type of failure is tried again at one place."""
HINT_CHARS = 2000
ELSEWHERE = 99
"""A tier that there is not: the work of an earlier phase is not to blame."""


class Classified(NamedTuple):
    """What kind of failure it is. One that is not `recoverable` will be the same however often it is tried."""

    failure: str
    severity: Severity
    recoverable: bool
    error: str = ""


class Strategy(NamedTuple):
    """What is tried. From `reopens_tier` on, an earlier phase is done once more if the workflow names one."""

    name: str
    hint: str
    wait_s: float = 0.5
    cap_s: float = 60
    factor: float = 2
    reopens_tier: int = 2


_ROUND = Strategy("different_approach", "You went round in circles. Do not repeat what you did: take another way.", 0.5)

STRATEGIES: dict[str, Strategy] = {
    "syntax_error": Strategy(
        "re_prompt", "The code cannot be read by its compiler. Look at the place that is named, and mend it first."
    ),
    "file_not_found": Strategy(
        "look_first",
        "Something is not where it was looked for. List or search first; correct the name, or create what is missing.",
    ),
    "timeout": Strategy("smaller_scope", "It took too long. Do less at once, and let nothing wait for input.", 1),
    "permission_denied": Strategy(
        "stay_inside",
        "That is not allowed here. Stay inside the workspace and your territory, and do without the network.",
        reopens_tier=ELSEWHERE,
    ),
    "rate_limit": Strategy(
        "back_off", "Somebody asked to be called less often. Ask for less.", 5, 120, reopens_tier=ELSEWHERE
    ),
    "model_error": Strategy(
        "other_model", "The model did not reply as it should. Keep what you send short.", 1, 120, reopens_tier=ELSEWHERE
    ),
    "context": Strategy(
        "condense",
        "The conversation had no room in the model any more. Read less at once, and take smaller steps.",
        0.1,
        reopens_tier=ELSEWHERE,
    ),
    "test_failure": Strategy(
        "fix_the_code", "Tests fail. Find out why, and mend the code, not the tests.", 0.5, reopens_tier=1
    ),
    "loop": _ROUND,
    "turns": _ROUND,
    "out_of_memory": Strategy(
        "less_memory", "It took more memory than there is. Take less at once: smaller parts, fewer at a time.", 1
    ),
    "lost": Strategy(
        "check_first",
        "Nobody knows how the last try ended. See what is there already before you do it again.",
        0.5,
        reopens_tier=ELSEWHERE,
    ),
    "unknown": Strategy("re_prompt", "It failed. Read what was said, find the cause, and try again.", 1),
}
"""`help` is not among them: who asks for help is answered by a person."""

FAILURES = (*STRATEGIES, "help")

_SEVERITIES: dict[str, Severity] = {
    "syntax_error": "low",
    "file_not_found": "low",
    "rate_limit": "low",
    "permission_denied": "high",
    "out_of_memory": "high",
    "help": "high",
}

_PATTERNS: tuple[tuple[str, str], ...] = (
    ("help", r"\Aasked for help\b"),
    ("no_space", r"no space left on device|\bENOSPC\b|disk quota exceeded"),
    (
        "no_credit",
        r"insufficient.quota|check your plan and billing|credit balance is too low|invalid (?:x-)?api.?key|"
        r"incorrect api key|authentication_error|model_not_found|\bmodel\b.{1,80}(?:does not exist|not found)",
    ),
    (
        "rate_limit",
        r"too ?many ?requests|rate.?limit(?:ed|_error|error|s? (?:exceeded|reached))|\brate limit\b|"
        r"\bstatus.{0,10}429\b|\b429\b.{0,5}(?:too|status|error)|resource.?exhausted|"
        r"\bthrottl(?:ed|ing)|overloaded|\bquota exceeded",
    ),
    (
        "test_failure",
        r"^(?:=+ )?(?:.{0,80}, )?[1-9]\d{0,8} failed\b|^[ \t]{0,20}Tests?:? {1,20}[1-9]\d{0,8} failed|"
        r"^test result: FAILED|^[ \t]{0,40}--- FAIL: |^FAIL[ \t]|^not ok \d|^\W{1,4}fail [1-9]|^FAILED \(\w|"
        r"^[ \t]{0,20}[1-9]\d{0,8} failing\b|\bexamples?, [1-9]\d{0,8} failure|\bFailures: [1-9]|"
        r"\btests failed out of\b|^FAILURES!|^no tests ran\b|\bFAILED \S{1,200}::",
    ),
    (
        "out_of_memory",
        r"\bMemoryError\b|out of memory|cannot allocate memory|\bENOMEM\b|heap limit|\bOOM.?Kill|std::bad_alloc|"
        r"memory allocation of \d{1,20} bytes failed|^Killed\b|killed signal terminated|signal: killed|"
        r"requires more system memory",
    ),
    (
        "loop",
        r"(?:iteration|recursion|turn) limit (?:of|reached|exceeded)|iteration limit or time limit|"
        r"same action (?:and|with) |going (?:round )?in circles|turns were not enough",
    ),
    (
        "timeout",
        r"\btimed out\b|\bTimeout(?:Error|Expired|Exception)\b|\bE(?:SOCKET)?TIMEDOUT\b|deadline exceeded|time-?out >|"
        r"\btime-?out (?:of|exceeded|after|expired|reached)|"
        r"(?:gateway|request|read|connect|connection|network) time-?out",
    ),
    (
        "permission_denied",
        r"permission denied|\bE(?:ACCES|PERM|ROFS|AI_AGAIN)\b|operation not permitted|\bPermissionError\b|"
        r"access (?:is )?denied|outside (?:of )?(?:the |your |its )?(?:territory|workspace)|read-only file system|"
        r"403 forbidden|authentication failed|could not read (?:username|password)|could not resolve host|"
        r"name resolution|network is unreachable|dubious ownership|protected branch|insufficient permissions",
    ),
    ("file_not_found", r"fatal error: .{1,200}: no such file"),
    (
        "syntax_error",
        r"\b(?:Syntax|Indentation|Tab|JSONDecode|TOMLDecode|Scanner|Parser?|YAML)(?:Error|Exception)\b|syntax error|"
        r"unexpected token|\bparse error|invalid syntax|missing separator|unterminated |unexpected end of|"
        r"^error(?:\[E\d{4}\])?: expected |^error\[E\d{4}\]|\berror TS\d{4}\b|^\S{1,300}:\d{1,7}:\d{1,7}: error:|"
        r"^\S{1,300}\.go:\d{1,7}:\d{1,7}: |\bundefined reference to\b|mapping values are not allowed",
    ),
    (
        "file_not_found",
        r"no such file|\bFileNotFoundError\b|\bENOENT\b|\bModuleNotFoundError\b|no module named|cannot find (?:module|"
        r"package)|command not found|: not found\b|\b404 not found|did not match any|cannot open shared object|"
        r"missing script|no rule to make target|manifest unknown|(?:repository|path|file) .{0,200}(?:not found|"
        r"does not exist)|not a git repository|can't open file|could not find|unable to find|"
        r"no required module provides|no matching (?:package|distribution|version)",
    ),
    (
        "model_error",
        r"internal.server.error|\b50[0234]\b|\bapi_error\b|service (?:is )?(?:temporarily )?unavailable|bad gateway|"
        r"context.?length|prompt is too long|maximum context|invalid_request_error|content.?filter|APIConnectionError|"
        r"model (?:runner|process) |does not reply",
    ),
    ("test_failure", r"\bAssertionError\b|\bassertion.{0,30}failed|\bpanicked at\b.{0,80}assert"),
)
"""In this order; the first that is found says what it is. No quantifier has room for a run of any length."""

_COMPILED = tuple((name, re.compile(pattern, re.IGNORECASE | re.MULTILINE)) for name, pattern in _PATTERNS)
_OF_MINDS = ("help", "no_credit", "model_error")
"""These words are a mind's, or about one, only where no tool said them."""
_BY_END = {"silence": "timeout", "cap": "timeout", "lost sandbox": "lost"}
_BY_EXIT = {124: "timeout", 126: "permission_denied", 127: "file_not_found", 137: "out_of_memory"}
_CRASHES = (132, 134, 135, 136, 139)
_ANY_ERROR = re.compile(r"\b\w{0,50}(?:Error|Exception)\b|\b(?:error|fatal|panicked)\b", re.IGNORECASE)
"""Where to look in a text that no pattern knows."""


def classify(text: str, *, exit: int | None = None, ended_by: str = "", tool: str = "") -> Classified:
    """By how it ended, by its exit code, by what it says; in this order."""
    text = bounded(text)
    code = 128 - exit if exit is not None and exit < 0 else exit
    known = _BY_END.get(ended_by) or _BY_EXIT.get(code or 0)
    if known:
        return _named(known, text)
    for name, pattern in _COMPILED:
        if not (tool and name in _OF_MINDS) and (found := pattern.search(text)):
            return _named(name, text, found.start())
    if code in _CRASHES:
        return _named("unknown", text)._replace(severity="high")
    return _named("test_failure" if tool == "test" and code else "unknown", text)


def classified(failure: str, text: str = "") -> Classified:
    """A failure whose type may be known already."""
    return classify(text) if failure == "unknown" or failure not in FAILURES else known(failure, text)


def known(failure: str, text: str) -> Classified:
    """A failure whose type is beyond doubt; the text can still say that it is for good."""
    text = bounded(text)
    for_good = {"unknown": "no_space", "model_error": "no_credit"}.get(failure, "")
    place = _place(for_good, text)
    return _named(failure, text) if place < 0 else _named(for_good, text, place)


def essence_of(failure: str, text: str, chars: int) -> str:
    """So much of a text as tells of this failure."""
    text = bounded(text)
    return essence(text, _place(failure, text), chars)


def wait_s(failure: str, tries: int) -> float:
    """The pause before this try: longer each time, up to a cap."""
    strategy = STRATEGIES.get(failure, STRATEGIES["unknown"])
    return min(strategy.cap_s, strategy.wait_s * strategy.factor ** min(max(tries - 1, 0), 30))


def recovery_of(
    found: Classified, error: str = "", tries: int = 1, tier: int = 0, *, so_far: Sequence[str] = ()
) -> Recovery:
    """What the next try is told; `so_far` is what was tried before, for somebody who was not there."""
    strategy = STRATEGIES.get(found.failure, STRATEGIES["unknown"])
    error = (essence(bounded(error)) if error else found.error)[:ERROR_CHARS]
    name = "fresh_agent" if tier == 2 else strategy.name
    hint = f"{strategy.hint}\n\nWhat was said:\n{error}" if error else strategy.hint
    if so_far:
        told = "\n".join(f"- {each}" for each in so_far)[-(HINT_CHARS - len(hint) - 100) :]
        hint = f"{hint}\n\nOthers have tried this before you, and failed:\n{told}"
    return Recovery(found.failure, name, hint[:HINT_CHARS], error, tries, tier)


def _named(name: str, text: str, place: int = -1) -> Classified:
    error = essence(text, place if place >= 0 else _place(name, text))
    if name == "no_space":
        return Classified("unknown", "critical", False, error)
    if name == "no_credit":
        return Classified("model_error", "critical", False, error)
    return Classified(name, _SEVERITIES.get(name, "medium"), name != "help", error)


def _place(name: str, text: str) -> int:
    """Where the text says that it is of this type, or at least that something is wrong; -1: nowhere."""
    patterns = [pattern for each, pattern in _COMPILED if each == name]
    found = [match.start() for pattern in patterns if (match := pattern.search(text))]
    if not found and name in STRATEGIES and (match := _ANY_ERROR.search(text)):
        return match.start()
    return min(found, default=-1)
