"""Which values are secret: what an environment says by the names of its variables."""

import re
from collections.abc import Mapping
from urllib.parse import unquote

from actors.redaction import SECRET_MIN_CHARS

_NAMES = re.compile(r"(?:API)?KEYS?|TOKENS?|SECRETS?|[A-Z]*PASS(?:WORD|WD|PHRASE)?|PWD|CREDENTIALS?|PAT").fullmatch
_NAMES_OF_PLACES = re.compile(r"FILE|PATH|DIR|NAME|ID|USER|HOST|PORT|SOCK|URL|URI|TTL|MAX").fullmatch
_place = re.compile(r"(?:/|~|\.{1,2}/)[^\s]*|\d{1,15}(?:\.\d+)?|https?://[^@]*", re.DOTALL).fullmatch
_in_address = re.compile(r"://[^\s:/@]*:([^\s@/]+)@")


def secrets_of(environ: Mapping[str, str]) -> dict[str, str]:
    """The values of the variables whose names speak of keys, and the passwords in addresses."""
    found: dict[str, str] = {}
    for name, value in environ.items():
        words = re.split(r"[^A-Z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).upper())
        spoken = any(map(_NAMES, words)) and not _NAMES_OF_PLACES(words[-1])
        if password := _in_address.search(value):
            found[name] = unquote(password[1])
        elif spoken and not _place(value):
            found[name] = value
    return {name: value for name, value in found.items() if len(value) >= SECRET_MIN_CHARS}
