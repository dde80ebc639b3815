"""Every way in which Witan says no: a public code, what happened, and what to do next."""

from typing import ClassVar


class WitanError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    hint: ClassVar[str] = ""

    def __init__(self, message: str = "", hint: str = "") -> None:
        super().__init__(message or self.__class__.__doc__)
        self.what_next = hint or self.hint

    def answer(self) -> dict[str, object]:
        """The same error as a reader on the wire sees it."""
        return {"ok": False, "code": self.code, "message": str(self), "hint": self.what_next}


class Invalid(WitanError):
    """This is not a message that Witan knows."""

    code = "invalid"
    hint = "Compare the body with `witan config commands`, then send it again."


class Refused(WitanError):
    """The rules say no."""

    code = "refused"
    hint = "Look at the current state with `witan status`."


class Missing(WitanError):
    """There is no such thing."""

    code = "missing"
    hint = "List what exists with `witan status`."


class Conflict(WitanError):
    """Another writer was first."""

    code = "conflict"
    hint = "Nothing was written by this call; it is safe to send it again."


class Unavailable(WitanError):
    """No answer came in time, so the outcome is unknown."""

    code = "unavailable"
    hint = "Check with `witan doctor`; send the command again with the same id, it is executed once."


class Broken(WitanError):
    """The log does not say what it should."""

    code = "broken"
    hint = "Run `witan log verify`, which names the first broken link."
