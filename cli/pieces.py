"""What a person writes as `key=value` or as a JSON object, read into one set of named pieces."""

from collections.abc import Iterable

import click
import msgspec


def pieces_of(words: Iterable[str], option: str) -> dict[str, object]:
    """`key=value` is text; a word that begins with `{` is a JSON object and may hold anything."""
    pieces: dict[str, object] = {}
    for word in words:
        if word.lstrip().startswith("{"):
            pieces.update(_object(word, option))
            continue
        key, equals, value = word.partition("=")
        if not (equals and key):
            raise click.BadParameter(f"{word!r} is neither key=value nor a JSON object", param_hint=option)
        pieces[key] = value
    return pieces


def _object(text: str, option: str) -> dict[str, object]:
    try:
        return msgspec.json.decode(text.encode(), type=dict[str, object])
    except msgspec.MsgspecError as error:
        raise click.BadParameter(f"{text[:80]!r} is not a JSON object: {error}", param_hint=option) from error
