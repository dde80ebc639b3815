"""What the Messages API says when it does not reply, in our own words."""

import re
from typing import Literal, NamedTuple

from actors.treasurer.providers.failures import TOO_LONG

Failure = Literal["rate_limit", "model_error", "timeout", "help", "context"]
Charged = Literal["nothing", "usage", "unknown"]

OVERLOADED_S = 15.0
"""How long it is left alone when it is overloaded and does not say for how long."""
REASON_MAX_CHARACTERS = 500

_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_FAILURES: dict[int, Failure] = {
    401: "help",
    402: "help",
    403: "help",
    404: "help",
    408: "timeout",
    429: "rate_limit",
    503: "rate_limit",
    504: "timeout",
    529: "rate_limit",
}
_KEY = re.compile(r"sk-[A-Za-z0-9_-]{6,}")


class Fault(NamedTuple):
    """What went wrong, for how long it wants to rest, and whether it may have cost something."""

    failure: Failure
    reason: str
    wait_s: float
    charged: Charged


def fault(status: int, kind: str, message: str, wait_s: float = 0) -> Fault:
    """`kind` is the API's own name of the error; in the middle of a stream it is all that there is."""
    known = _STATUS.get(kind)
    status = status if status >= 300 else known or 500
    failure = _FAILURES.get(status, "help" if status < 400 else "model_error")
    if status == 413 or (status == 400 and TOO_LONG.search(message)):
        failure = "context"
    if "credit balance" in message.lower():
        failure = "help"
    if status in (503, 529):
        wait_s = wait_s or OVERLOADED_S
    named = f" ({kind})" if kind else ""
    return Fault(failure, f"{status}{named}: {message}", wait_s, _charged(status, known is not None))


def _charged(status: int, by_the_api: bool) -> Charged:
    """An error that the API itself reports is not billed. What a gateway says of it, nobody knows."""
    if status in (408, 499):
        return "unknown"
    if status < 500 or status in (503, 529) or (status == 500 and by_the_api):
        return "nothing"
    return "unknown"


def said(text: str, *secrets: str) -> str:
    """In one line, not longer than a reason may be, and without any key."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[key]")
    return _KEY.sub("[key]", " ".join(text.split()))[:REASON_MAX_CHARACTERS]
