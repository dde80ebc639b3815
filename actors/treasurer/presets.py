"""Presets: which model and how much effort each type of work gets, read from `models.toml` and what is laid over it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from actors.overlay import read_laid_over
from bus.subjects import Token

FILE = "models.toml"
Glob = Annotated[str, Meta(min_length=1, max_length=200)]
Tokens = Annotated[int, Meta(ge=1, le=10_000_000)]
Effort = Literal["low", "medium", "high"]


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much is spent on one reply, and which models are best for that, as globs of `provider/model`."""

    effort: Effort
    output_max_tokens: Tokens
    output_min_tokens: Tokens
    """A model that has room for less than this cannot take the call."""
    prefer: list[Glob]


class PaidWhen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Any of these makes a call one for a paid model."""

    failed_turns: Annotated[int, Meta(ge=1)]
    loops: Annotated[int, Meta(ge=1)]
    complexity_over: float
    priority: Annotated[int, Meta(ge=0)]


class Goal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of the last calls no more than this share is paid; looked at from `calls_min` calls on."""

    paid_percent: Annotated[float, Meta(ge=0, le=100)]
    calls_min: Annotated[int, Meta(ge=1)]


class Presets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `models.toml`."""

    preset: Token
    """The preset of a type of work that is not named."""
    never: list[Glob]
    paid: PaidWhen
    goal: Goal
    work_types: dict[Token, Token]
    presets: dict[Token, Preset]


def read_presets(*folders: Path) -> Presets:
    """What the files of these folders say together; an error names the file and the path inside it."""
    return read_laid_over((folder / FILE for folder in folders), Presets, f"actors/{FILE}", _complaints)


def _complaints(presets: Presets) -> Iterable[str]:
    known = ", ".join(presets.presets)
    named = {"preset": presets.preset, **{f"work_types.{work}": name for work, name in presets.work_types.items()}}
    for field, name in named.items():
        if name not in presets.presets:
            yield f'$.{field}: unknown preset "{name}"; the presets are {known}'
    for name, preset in presets.presets.items():
        if preset.output_min_tokens > preset.output_max_tokens:
            yield f"$.presets.{name}.output_min_tokens: it is more than output_max_tokens"
        for place, glob in enumerate(preset.prefer):
            if "/" not in glob:
                yield f'$.presets.{name}.prefer[{place}]: "{glob}" is not provider/model'
