"""What members and judges answered, read robustly: JSON wherever it stands in a reply, and nothing but JSON."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import msgspec

from actors.council.problem import Change, Proposal, read_proposal
from bus.errors import Invalid
from bus.messages.base import ToolCall

REPLY_MAX_CHARACTERS = 512 * 1024
STARTS_MAX, IN_VAIN_MAX_CHARACTERS = 1000, 1024 * 1024
EXPLANATION_MAX, REASON_MAX = 8000, 500
SCORE_MOST = 10
LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WRAPPINGS_MAX = 3

_opening = re.compile(r'\{\s{0,200}"')


def read_reply(text: str, calls: Sequence[ToolCall]) -> Proposal:
    """The proposal in a member's reply, or an error that says why there is none."""
    wrong = "the reply holds no JSON object with `changes`"
    for found in _objects(text, calls):
        if "changes" not in found:
            continue
        try:
            return _proposal(found)
        except Invalid as error:
            wrong = str(error)
    raise Invalid(wrong)


def read_judgement(
    text: str, calls: Sequence[ToolCall], order: Sequence[str]
) -> tuple[dict[str, float], dict[str, str]]:
    """Points from 0 to 10 and a reason by candidate, from a reply about A, B, C, … in this order."""
    wrong = "the reply holds no JSON object with `verdicts`"
    for found in _objects(text, calls):
        if not isinstance(verdicts := found.get("verdicts"), list):
            continue
        try:
            return _judgement(verdicts, order)
        except Invalid as error:
            wrong = str(error)
    raise Invalid(wrong)


def _proposal(found: dict[str, Any]) -> Proposal:
    """It fits into the blob store under the limit, or it is none."""
    given = found["changes"]
    if not isinstance(given, list):
        raise Invalid("`changes` is not a list")
    changes = [_change(each) for each in given]
    changes = [each for each in changes if not each.old or each.old != each.new]
    explanation = found.get("explanation")
    said = explanation[:EXPLANATION_MAX] if isinstance(explanation, str) else ""
    try:
        return read_proposal(msgspec.json.encode(Proposal(changes, said, _confidence(found.get("confidence")))))
    except UnicodeEncodeError as error:
        raise Invalid("the proposal holds letters that are none") from error


def _change(given: object) -> Change:
    if not isinstance(given, dict):
        raise Invalid("a change is no object")
    path, old, new = given.get("path"), given.get("old") or "", given.get("new")
    if not isinstance(path, str) or not isinstance(old, str) or not isinstance(new, str):
        raise Invalid("a change needs `path`, `old` and `new`, and each is a text")
    return Change(path.strip().removeprefix("./"), _lines(new), _lines(old))


def _lines(text: str) -> str:
    """With the line ends of most files; whoever applies them knows those of the file."""
    return text.replace("\r\n", "\n")


def _confidence(given: object) -> float:
    """A percentage is understood; what is no number says nothing."""
    number = _number(given)
    if number is None:
        return 0.5
    return min(1.0, max(0.0, number / 100 if 1 < number <= 100 else number))


def _number(given: object) -> float | None:
    if isinstance(given, bool) or not isinstance(given, int | float | str) or len(str(given)[:50]) > 40:
        return None
    try:
        number = float(given)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < 1e9 else None


def _judgement(verdicts: list[object], order: Sequence[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Every candidate exactly once: a judge that leaves one out or says two things has not judged."""
    scores: dict[str, float] = {}
    reasons: dict[str, str] = {}
    names = dict(zip(LABELS, order, strict=False))
    for verdict in verdicts:
        label = verdict.get("label") if isinstance(verdict, dict) else None
        candidate = names.get(label.strip().upper()) if isinstance(label, str) else None
        if candidate is None or not isinstance(verdict, dict):
            raise Invalid(f"the judge speaks of {str(label)[:20]!r}, which nobody proposed")
        score = _number(verdict.get("score"))
        if score is None or not 0 <= score <= SCORE_MOST:
            raise Invalid(f"the judge's score for {label} is not from 0 to {SCORE_MOST}")
        if candidate in scores:
            raise Invalid(f"the judge speaks of {label} twice")
        scores[candidate] = score
        reason = verdict.get("reason")
        reasons[candidate] = _text(reason)[:REASON_MAX] if isinstance(reason, str) else ""
    if missing := [label for label, candidate in names.items() if candidate not in scores]:
        raise Invalid(f"the judge says nothing about {', '.join(missing)}")
    return scores, reasons


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _objects(text: str, calls: Sequence[ToolCall]) -> Iterator[dict[str, Any]]:
    """All objects that may be the answer, the likeliest first: what calls are given, then the last in the text."""
    for call in calls:
        yield from _unwrapped(call.input)
    if len(text) > REPLY_MAX_CHARACTERS:
        raise Invalid(f"a reply of {len(text)} characters is too long; at most {REPLY_MAX_CHARACTERS}")
    for found in reversed(list(_inside(text))):
        yield from _unwrapped(found)


def _unwrapped(found: object) -> Iterator[dict[str, Any]]:
    """The object, and what it holds if that is one object alone, as in {"reply": {…}}."""
    for _ in range(WRAPPINGS_MAX):
        if not isinstance(found, dict):
            return
        yield found
        if len(found) != 1:
            return
        (found,) = found.values()


def _inside(text: str) -> Iterator[object]:
    """Every JSON object that stands in a text and in no other object, as far as that can be found in bounded time."""
    decoder = json.JSONDecoder(parse_constant=_no_constant, strict=False)
    at, in_vain = 0, 0
    for _ in range(STARTS_MAX):
        opening = _opening.search(text, at)
        if opening is None or in_vain > IN_VAIN_MAX_CHARACTERS:
            return
        at = opening.start() + 1
        try:
            found, at = decoder.raw_decode(text, opening.start())
        except json.JSONDecodeError as error:
            in_vain += error.pos - opening.start()
        except (ValueError, RecursionError):
            in_vain += IN_VAIN_MAX_CHARACTERS // STARTS_MAX
        else:
            yield found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
