"""The most tokens that a request can be counted as: what a call is paid for must never be more than was reserved.

No tokenizer makes more tokens of a text than it has bytes. Of what was in the last request to the same model the
provider itself has said how many tokens it is, so only what came since is counted by its bytes.
"""

from typing import NamedTuple

import msgspec

from actors.treasurer.asking import Answered, Asked, Prompt, Text, Turn
from actors.treasurer.quoting import quoted
from bus.messages.call import Usage

REQUEST_TOKENS, TOOL_TOKENS, BLOCK_TOKENS = 1000, 50, 20
"""What providers put around our words: Anthropic's instructions for tools are the longest, 804."""


class _Sent(NamedTuple):
    provider: str
    prompt: Prompt


class Bounds:
    """Of one run. After a crash nothing is known, and the first bound is a wide one."""

    def __init__(self) -> None:
        self._last: _Sent | None = None
        self._counted: dict[tuple[str, str], tuple[Prompt, int]] = {}

    def of(self, provider: str, prompt: Prompt) -> int:
        """For a prompt that is about to be sent."""
        self._last = _Sent(provider, prompt)
        before, tokens = self._counted.get((provider, prompt.model), (None, 0))
        if before is not None and _goes_on(before, prompt):
            return tokens + sum(map(_most, prompt.turns[len(before.turns) :]))
        tools = sum(TOOL_TOKENS + len(msgspec.json.encode(tool)) for tool in prompt.tools)
        shape = len(msgspec.json.encode(prompt.json_schema)) if prompt.json_schema else 0
        return REQUEST_TOKENS + _size(prompt.system) + tools + shape + sum(map(_most, prompt.turns))

    def counted(self, usage: Usage) -> None:
        """How many tokens the provider says that the last prompt was."""
        tokens = usage.input + usage.cache_read + usage.cache_write
        if self._last is not None and tokens:
            provider, prompt = self._last
            self._counted[provider, prompt.model] = (prompt, tokens)


def _goes_on(before: Prompt, prompt: Prompt) -> bool:
    same = (before.system, before.tools, before.json_schema) == (prompt.system, prompt.tools, prompt.json_schema)
    return same and prompt.turns[: len(before.turns)] == before.turns


def _most(turn: Turn) -> int:
    total = 0
    for block in turn.blocks:
        match block:
            case Text():
                total += _size(quoted(block))
            case Asked():
                total += _size(block.tool) + len(msgspec.json.encode(block.input))
            case Answered():
                total += _size(block.text)
        total += BLOCK_TOKENS
    return total


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
