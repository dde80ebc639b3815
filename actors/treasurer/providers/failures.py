"""What a provider's refusal means, from its status, its headers and its words; no key is ever part of it."""

import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from functools import cache
from math import isfinite
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from actors.treasurer.asking import ProviderFailed

SAID_MAX_CHARACTERS = 400
OVERLOADED, OVERLOADED_S = (503, 529), 15.0
"""How long it is left alone when it is overloaded and does not say for how long."""
TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|context (?:window|length|size|limit)|prompt is too long"
    r"|input (?:is|length|tokens?|token count).{0,60}(?:too long|exceed)",
    re.IGNORECASE,
)
NO_MONEY = re.compile(
    r"insufficient_quota|insufficient balance|exceeded your current quota|billing|credit", re.IGNORECASE
)
BAD_KEY = re.compile(r"api[ _]key", re.IGNORECASE)
PARTS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
EPOCH_FROM, EPOCH_MS_FROM = 1e9, 1e11
"""A reset time above the first is a moment in seconds, above the second in thousandths; below both it is a pause."""

Failure = Literal["rate_limit", "model_error", "timeout", "help", "context"]
Charged = Literal["nothing", "usage", "unknown"]


class Refusal(NamedTuple):
    """An answer that is not a reply."""

    status: int
    headers: Mapping[str, str]
    words: str
    """Its body as it came."""

    @property
    def too_long(self) -> bool:
        """The request does not fit into the model's context."""
        return self.status in (400, 413, 422) and TOO_LONG.search(self.words) is not None


def failed(provider: str, refusal: Refusal, secrets: Iterable[str] = ()) -> ProviderFailed:
    """The same, as the treasurer is told it."""
    said = said_in(refusal.words, secrets)
    failure, charged = _kind(refusal, said)
    wait_s = wait_of(refusal.headers, refusal.words) if failure in ("rate_limit", "model_error") else 0
    if refusal.status in OVERLOADED:
        wait_s = wait_s or OVERLOADED_S
    reason = f"{provider} answers {refusal.status}" + (f": {said}" if said else "")
    return ProviderFailed(failure, reason, wait_s, charged)


def _kind(refusal: Refusal, said: str) -> tuple[Failure, Charged]:
    """What it says before it begins to think costs nothing; what a gateway says for it, nobody knows."""
    status = refusal.status
    match status:
        case 429 if "insufficient_quota" in refusal.words or NO_MONEY.search(said):
            return "help", "nothing"
        case 429:
            return "rate_limit", "nothing"
        case 401 | 402 | 403 | 404 | 407:
            return "help", "nothing"
        case 400 if BAD_KEY.search(said):
            return "help", "nothing"
        case 408 | 504 | 522 | 524:
            return "timeout", "unknown"
        case 503 | 529:
            return "rate_limit", "nothing"
        case 500:
            return "model_error", "nothing" if refusal.words.lstrip()[:1] in ("{", "[") else "unknown"
    if 300 <= status < 400:
        return "help", "nothing"
    return "model_error", "nothing" if status < 500 else "unknown"


def said_in(words: str, secrets: Iterable[str] = ()) -> str:
    """The sentence in an error's body, on one line, without anything secret."""
    for secret in secrets:
        if secret:
            words = words.replace(secret, "***")
    said = words
    try:
        said = _sentence(msgspec.json.decode(words)) or words
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        said = re.sub(r"<[^>]{0,2000}>", " ", words)
    said = " ".join("".join(letter if letter.isprintable() else " " for letter in said[:10_000]).split())
    return said if len(said) <= SAID_MAX_CHARACTERS else said[:SAID_MAX_CHARACTERS] + "…"


def _sentence(body: object) -> str:
    """Where each provider puts it: {error: {message}}, {error}, {message}, {detail}, or a list with one of these."""
    while isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return ""
    for name in ("error", "message", "detail"):
        found = body.get(name)
        if isinstance(found, str) and found:
            return found
        if isinstance(found, dict) and (inner := _sentence(found)):
            return inner
    return ""


def wait_of(headers: Mapping[str, str], words: str = "") -> float:
    """For how many seconds it wants to be left alone; nothing when it does not say, or says nonsense."""
    if (ms := _number(headers.get("retry-after-ms", ""))) is not None:
        return ms / 1000
    if after := headers.get("retry-after", ""):
        seconds = _number(after)
        return seconds if seconds is not None else _until(after, headers.get("date", ""))
    if found := re.search(r'"retryDelay"\s*:\s*"([0-9.]+)s"', words):
        return _number(found[1]) or 0
    return max(_resets(headers), default=0)


def _resets(headers: Mapping[str, str]) -> Iterable[float]:
    """The limits that are used up, or all of them if none says that it is."""
    waits, empty = [], []
    for name, text in headers.items():
        if name.lower().startswith("x-ratelimit-reset"):
            wait = _pause(text, headers.get("date", ""))
            waits.append(wait)
            if headers.get(name.lower().replace("reset", "remaining"), "") == "0":
                empty.append(wait)
    return empty or waits


def _pause(text: str, date: str) -> float:
    """`6m0s`, `20ms`, seconds, or a moment in seconds or thousandths of the epoch."""
    number = _number(text)
    if number is not None:
        if number < EPOCH_FROM:
            return number
        moment = number / 1000 if number > EPOCH_MS_FROM else number
        now = _moment(date)
        return max(0, moment - now) if now is not None else 0
    if re.fullmatch(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+", text.strip()):
        return sum(float(n) * PARTS_S[unit] for n, unit in re.findall(r"(\d+(?:\.\d+)?)(ms|[smhd])", text))
    return 0


def _until(text: str, date: str) -> float:
    """From the moment that the provider calls now to the one that it names: our own clock may be another."""
    then, now = _moment(text), _moment(date)
    return max(0, then - now) if then is not None and now is not None else 0


def _moment(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0 else None


@cache
def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own."""
    host = (urlsplit(address).hostname or "") if is_plain(address) else ""
    return host in ("localhost", "::1", "0.0.0.0") or host.startswith("127.")


@cache
def is_plain(address: str) -> bool:
    """Whether it says where a server is and nothing else."""
    try:
        parts = urlsplit(address)
        named = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return named and parts.scheme in ("http", "https") and not (parts.username or parts.password or parts.query)
