"""What a question may say: the parameters of a view by name, and values that fit their columns."""

from collections.abc import Mapping
from typing import Any

from bus.errors import Invalid
from projections.statements import View

LIMIT_DEFAULT, LIMIT_MAX = 100, 100_000

Value = str | int | float | bool | None


def arguments(view: View, types: Mapping[str, str], params: Mapping[str, Value]) -> dict[str, Any]:
    """All parameters of the view's question, checked; those that were not given are None."""
    known = {**{name: types[name] for name in view.filters}, "limit": "BIGINT", "offset": "BIGINT"}
    for name in params:
        if name not in known:
            raise Invalid(f"{view.name} has no parameter {str(name)[:80]!r}", f"Known: {', '.join(known)}.")
    given: dict[str, Any] = {name: _fitting(name, kind, params.get(name)) for name, kind in known.items()}
    limit = LIMIT_DEFAULT if given["limit"] is None else min(given["limit"], LIMIT_MAX)
    offset = given["offset"] or 0
    if limit < 0 or offset < 0:
        raise Invalid("limit and offset cannot be negative", "Say 0 or more.")
    return {**given, "limit": limit, "offset": offset}


def _fitting(name: str, kind: str, value: object) -> str | int | None:
    if value is None:
        return None
    if kind == "VARCHAR" and isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    if kind != "VARCHAR" and isinstance(value, str) and value.removeprefix("-").isdecimal() and len(value) < 10:
        return int(value)
    if kind != "VARCHAR" and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31:
        return value
    raise Invalid(f"{name} = {str(value)[:80]!r} is not {'text' if kind == 'VARCHAR' else 'a whole number'}")
