"""Models as they are offered for a council: how they are named, what asking costs, and who cannot be asked."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

OUTPUT_TOKENS = 2000


class Offered(msgspec.Struct, frozen=True):
    """A model as the treasurer offers it; prices are for a million tokens, in millionths of a dollar."""

    model: str
    family: str
    local: bool
    rests: bool
    input_micro: int
    output_micro: int
    context_max_tokens: int
    output_max_tokens: int

    def micro(self, input_tokens: int, output_tokens: int) -> int:
        return -(-(self.input_micro * input_tokens + self.output_micro * output_tokens) // 1_000_000)


def named(offered: Offered, word: str) -> bool:
    provider, _, name = offered.model.partition("/")
    return word in (provider, name, offered.family) or fnmatchcase(offered.model, word)


def barred(known: Sequence[Offered], wanted: Sequence[str], input_tokens: int) -> dict[str, str]:
    """Why they cannot be asked, those among them that are wanted and not there."""
    out = {each.model: why for each in known if (why := _bar(each, wanted, input_tokens))}
    return out | {word: "nobody offers it" for word in wanted if not any(named(each, word) for each in known)}


def unbarred(known: Sequence[Offered], wanted: Sequence[str], input_tokens: int) -> list[Offered]:
    return [each for each in known if not _bar(each, wanted, input_tokens)]


def missing(known: Sequence[Offered], wanted: Sequence[str]) -> str:
    """Which of the names that a person said are nobody's; empty: none."""
    words = [word for word in wanted if not any(named(each, word) for each in known)]
    return f"nobody offers {', '.join(words)}: `witan models` lists who can be asked" if words else ""


def _bar(offered: Offered, wanted: Sequence[str], input_tokens: int) -> str:
    """Why a model cannot be asked at all; empty: it can."""
    if wanted and not any(named(offered, word) for word in wanted):
        return "it is not one of those to be asked"
    if offered.rests:
        return "it has to be left alone for now"
    if offered.context_max_tokens < input_tokens + min(OUTPUT_TOKENS, offered.output_max_tokens):
        return f"the problem does not fit into its {offered.context_max_tokens:,} tokens"
    return ""


def usd(micro: int) -> str:
    return f"${micro / 1_000_000:.4f}" if micro < 10_000 else f"${micro / 1_000_000:.2f}"
