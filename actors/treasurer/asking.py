"""What is said to a provider and what it says: one shape for all of them."""

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from bus.messages.base import Pieces, ToolCall
from bus.messages.call import Usage


class ToolSpec(NamedTuple):
    """A tool as a model is told of it; `schema` is the JSON schema of its input."""

    name: str
    about: str
    schema: Pieces


class Text(NamedTuple):
    """Words. `source` empty: the system's own; else where untrusted words come from (a file, a command, the web)."""

    text: str
    source: str = ""


class Asked(NamedTuple):
    """A tool call that the model made in an earlier turn; `id` is the run's own number of it."""

    id: str
    tool: str
    input: Pieces


class Answered(NamedTuple):
    """What came of such a call. It is always untrusted."""

    id: str
    text: str
    ok: bool


class Turn(NamedTuple):
    """One side of the conversation at a time. `user` carries texts and answers, `assistant` texts and calls."""

    role: Literal["user", "assistant"]
    blocks: tuple[Text | Asked | Answered, ...]


class Prompt(NamedTuple):
    """One request. What stands before `cached_turns` of the turns is the same as in the run's last request."""

    model: str
    system: str
    turns: tuple[Turn, ...]
    tools: tuple[ToolSpec, ...]
    output_max_tokens: int
    context_max_tokens: int
    cached_turns: int = 0
    effort: Literal["low", "medium", "high"] = "medium"
    json_schema: Pieces | None = None
    """The reply must be one JSON object of this shape, and no tool call."""


Stop = Literal["end", "tools", "length", "refusal", "context", "paused"]


class Reply(NamedTuple):
    """`model` is what the provider says that it was; `micro` what it says that this cost, where it says so."""

    text: str
    calls: tuple[ToolCall, ...]
    stop: Stop
    usage: Usage
    model: str
    micro: int | None = None


class ProviderFailed(Exception):
    """It did not reply; `context`: because there was no room for the prompt.

    `charged` is what it may have cost: none of it, what `usage` says, or nobody knows.
    """

    def __init__(
        self,
        failure: Literal["rate_limit", "model_error", "timeout", "help", "context"],
        reason: str,
        wait_s: float = 0,
        charged: Literal["nothing", "usage", "unknown"] = "unknown",
        usage: Usage | None = None,
    ) -> None:
        super().__init__(reason)
        self.failure, self.reason, self.wait_s, self.charged, self.usage = failure, reason, wait_s, charged, usage


class Model(NamedTuple):
    """A model that can be asked here."""

    provider: str
    name: str
    local: bool
    context_max_tokens: int
    output_max_tokens: int
    tools: bool = True


class Standing(NamedTuple):
    """Whether a provider can be used here, why or why not, and what to type when it cannot."""

    provider: str
    usable: bool
    why: str
    what_next: str = ""


class Provider(Protocol):
    """One adapter. It never retries, never waits, and has no clock but the time limit of one request."""

    @property
    def name(self) -> str: ...

    async def load(self) -> None:
        """Have ready what it is asked with; the rest does so too, but this may take long, and says nothing of it."""
        ...

    async def standing(self) -> Standing: ...

    async def models(self) -> list[Model]: ...

    async def ask(self, prompt: Prompt, heard: Callable[[str], None], limit_s: float) -> Reply:
        """The reply, or ProviderFailed. `heard` is told each piece of text as it comes."""
        ...

    async def close(self) -> None: ...


class Survey(NamedTuple):
    """Find out who can be asked."""


class Surveyed(NamedTuple):
    """Who can be asked, and why the others cannot."""

    models: list[Model]
    standings: list[Standing]


class Asking(NamedTuple):
    """Ask this provider; what it says on the way goes to `topic`, and nowhere without one."""

    provider: str
    prompt: Prompt
    limit_s: float
    topic: str


class Failed(NamedTuple):
    """What `ProviderFailed` says, as a fact."""

    failure: str
    reason: str
    wait_s: float
    charged: str
    usage: Usage | None


class SettleSoon(NamedTuple):
    """Nobody is asked anything: it is told again when the money of some calls has waited for long enough."""


class Bought(NamedTuple):
    """What came of asking."""

    outcome: Reply | Failed
    ms: float
