"""How many tokens a text is at most, and how it is made shorter; the same wherever and whenever it is asked."""

from collections.abc import Sequence
from math import ceil

HUNDREDTHS = {
    **dict.fromkeys(range(97, 123), 30),
    **dict.fromkeys(range(65, 91), 70),
    **dict.fromkeys(range(48, 58), 100),
    32: 25,
    9: 50,
    10: 100,
    **dict.fromkeys(range(128, 256), 50),
}
"""What a byte counts. A word of prose is about 5 small letters and a space, and 1.1 to 1.6 tokens; some vocabularies
give each digit a token; keys and constants in capitals are cut small; a letter of Chinese is 3 bytes and up to 1.5
tokens, one of Cyrillic 2 bytes and up to 1. So prose and code are counted 10 to 50 % too high, keys and tables about
right. Scripts that a vocabulary does not know at all can be a token a byte, which is twice what is counted here."""
_OTHERS = 75
_CLASSES = [
    (bytes(byte for byte in range(256) if HUNDREDTHS.get(byte, _OTHERS) != weight), weight)
    for weight in sorted({*HUNDREDTHS.values(), _OTHERS})
]


def estimate(text: str) -> int:
    """Tokens, rather too many than too few. Two texts together are never more than each for itself."""
    content = text.encode("utf-8", "replace")
    return ceil(sum(weight * len(content.translate(None, others)) for others, weight in _CLASSES) / 100)


def cut(text: str, tokens: int) -> str:
    """The text, or its beginning and its end with a word about what is missing; never more tokens than that."""
    if estimate(text) <= tokens:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if estimate(_shortened(text, middle)) <= tokens else (low, middle - 1)
    shorter = _shortened(text, low)
    return shorter if estimate(shorter) <= tokens else ""


def line(text: str, tokens: int) -> str:
    """The text on one line, cut at its end."""
    text = " ".join(text[: tokens * 16].split())
    if estimate(text) <= tokens:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if estimate(text[:middle] + "…") <= tokens else (low, middle - 1)
    return text[:low] + "…" if low else ""


def shares(wanted: Sequence[int], tokens: int) -> list[int]:
    """What each gets of what there is: who wants little gets it, the others get the same."""
    given = [0] * len(wanted)
    left = tokens
    for number, place in enumerate(sorted(range(len(wanted)), key=lambda each: wanted[each])):
        given[place] = min(wanted[place], left // (len(wanted) - number))
        left -= given[place]
    return given


def _shortened(text: str, letters: int) -> str:
    head = letters * 3 // 5
    tail = letters - head
    return f"{text[:head]}\n[… {len(text) - letters} letters left out …]\n{text[len(text) - tail :]}"
