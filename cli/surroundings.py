"""Settings as the environment says them: `WITAN_…` for each, and for the council also the names that others gave it."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from bus.errors import Invalid

PREFIX, COUNCIL_PREFIX = "WITAN_", "COUNCIL_"
ALSO = {
    "COUNCIL_ENABLED": "council_enabled",
    "COUNCIL_MODELS": "council_models",
    "COUNCIL_JUDGE": "council_judge",
    "COUNCIL_TRIGGER_AFTER_RETRIES": "council_after_retries",
    "COUNCIL_DAILY_BUDGET": "council_usd",
    "COUNCIL_TIMEOUT_MS": "council_timeout_ms",
}
"""`WITAN_…` wins over these."""
TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Spoken(NamedTuple):
    """A setting, what the environment says it is, and the variable that says so."""

    name: str
    value: object
    variable: str


def spoken(env: Mapping[str, str], defaults: Mapping[str, object]) -> Iterator[Spoken]:
    """All that the environment says of the settings; a name that all but is one is refused."""
    for variable in env:
        if variable.startswith(COUNCIL_PREFIX) and variable not in ALSO:
            _refuse_slip(variable, ALSO)
    yield from (Spoken(name, _read(env[each], defaults[name]), each) for each, name in ALSO.items() if each in env)
    for variable, text in env.items():
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and name in defaults:
            yield Spoken(name, _read(text, defaults[name]), variable)
        elif variable.startswith(PREFIX):
            _refuse_slip(variable, [f"{PREFIX}{each.upper()}" for each in defaults])


def _read(text: str, default: object) -> object:
    """Text is text; a list may be told by commas."""
    if isinstance(default, str | Path):
        return text
    if isinstance(default, bool):
        return TRUTHS.get(text.strip().lower(), text)
    if isinstance(default, list) and not text.lstrip().startswith("["):
        return [each.strip() for each in text.split(",") if each.strip()]
    return _value_of(text)


def _value_of(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        import tomllib
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _refuse_slip(variable: str, known: Iterable[str]) -> None:
    """Other programs have variables that begin like ours; one that all but spells a setting is a mistake."""
    from difflib import get_close_matches

    for meant in get_close_matches(variable, [*known], 1, 0.85):
        raise Invalid(f"environment {variable}: there is no such setting", f"Did you mean {meant}?")
