"""How a council is held, as the settings say."""

from typing import Literal

import msgspec

from actors.council.judging import Weights
from bus.messages.council import Size, Strategy


class Rules(msgspec.Struct, frozen=True):
    """`models` are globs over `provider/model` or names of providers or families; empty: all that can be asked."""

    enabled: bool = True
    models: list[str] = []
    judge: str = ""
    limit_s: float = 30
    size: Size = "standard"
    strategy: Strategy | Literal[""] = ""
    """Empty: what suits the type of the problem."""
    weights: Weights = Weights()
