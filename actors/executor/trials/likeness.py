"""How much candidates change, and whether two of them change the same: whatever their layout and comments."""

import difflib
import io
import tokenize
from collections import Counter
from collections.abc import Mapping

import msgspec

from bus.blobs import sha256

TOKENS_MAX_BYTES = 512 * 1024
COMPARED_MAX, SHOWN_MAX = 1_000_000, 25_000_000
"""So many pairs of lines are compared; of larger changes the lines are only counted."""
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER, tokenize.TYPE_COMMENT}
_BLANK = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}

Texts = Mapping[str, bytes]
"""Files by path; one that was not there before is empty."""


def likeness(before: Texts, after: Texts) -> str:
    """Equal for candidates of one tree that make the same of the same files."""
    changed = []
    for path in sorted(after):
        new = _normal(path, after[path])
        if new != _normal(path, before[path]):
            changed.append((path, new))
    return sha256(msgspec.json.encode(changed))[:32]


def lines_changed(before: Texts, after: Texts) -> int:
    """How many lines are added or taken away."""
    return sum(_changed(before[path].splitlines(), after[path].splitlines()) for path in after)


def diff_of(before: Texts, after: Texts) -> str:
    """The changes as a person reads them; files that are too large to compare are only named."""
    pieces: list[str] = []
    for path in sorted(after):
        old, new = (each[path].decode(errors="replace").splitlines() for each in (before, after))
        if len(old) * len(new) > SHOWN_MAX:
            pieces.append(f"{path}: {len(old):,} lines are now {len(new):,}")
        else:
            pieces += difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm="")
    return "\n".join(pieces)


def _normal(path: str, content: bytes) -> list[str]:
    if path.endswith((".py", ".pyi")) and len(content) <= TOKENS_MAX_BYTES:
        try:
            return _tokens(content)
        except (tokenize.TokenError, SyntaxError, UnicodeDecodeError, ValueError):
            pass
    lines = (line.strip() for line in content.decode(errors="replace").splitlines())
    return [" ".join(line.split()) for line in lines if line]


def _tokens(content: bytes) -> list[str]:
    found = (token for token in tokenize.tokenize(io.BytesIO(content).readline) if token.type not in _LAYOUT)
    return [f"{token.type}" if token.type in _BLANK else f"{token.type} {token.string}" for token in found]


def _changed(old: list[bytes], new: list[bytes]) -> int:
    first = 0
    while first < min(len(old), len(new)) and old[first] == new[first]:
        first += 1
    old, new = old[first:], new[first:]
    while old and new and old[-1] == new[-1]:
        old.pop()
        new.pop()
    if len(old) * len(new) > COMPARED_MAX:
        was, now = Counter(old), Counter(new)
        return (was - now).total() + (now - was).total()
    pairs = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    kept = sum(block.size for block in pairs)
    return len(old) + len(new) - 2 * kept
