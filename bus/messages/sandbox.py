"""The sandbox: what holds commands in, as attested from inside when the executor begins."""

from msgspec import field

from bus.messages.base import Event


class SandboxAttested(Event, frozen=True):
    """`level`: A namespaces, B Landlock and seccomp, C nothing. `failed` are the checks that did not hold."""

    level: str
    about: str
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class LeftoversKilled(Event, frozen=True):
    """Processes of an executor that died were still there when the next one began."""

    count: int


SandboxEvent = SandboxAttested | LeftoversKilled
