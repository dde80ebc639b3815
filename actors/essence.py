"""What matters of a long text: where it says what is wrong, and its end."""

import re

ENDS_CHARS = 8 * 1024
"""What a long text says is wrong stands at its beginning or at its end; no more of it is read."""
ERROR_CHARS = 1000
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[@-~]")
_UNSEEN = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))


def bounded(text: str) -> str:
    """The beginning and the end, without colours and without what nobody can see."""
    if len(text) > 2 * ENDS_CHARS:
        text = f"{text[:ENDS_CHARS]}\n…\n{text[-ENDS_CHARS:]}"
    return _COLOURS.sub("", text).translate(_UNSEEN).encode(errors="replace").decode()


def essence(text: str, place: int = -1, chars: int = ERROR_CHARS) -> str:
    """The end of the text, and before it what stands around `place` where the end does not hold it."""
    stripped = text.strip()
    start, window = place - (len(text) - len(text.lstrip())), chars // 2
    if len(stripped) <= chars:
        return stripped
    if place < 0 or start - window // 2 >= len(stripped) - chars:
        return stripped[-chars:]
    first = max(0, start - window // 2)
    if first and (line := stripped.find("\n", first, start)) >= 0:
        first = line + 1
    around = stripped[first : first + window]
    return f"{around}\n…\n{stripped[-(chars - len(around) - 3) :]}"
