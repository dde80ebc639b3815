"""Who was named for a task: for its present work, for the phase that is not begun yet, for a look at it before that."""

import msgspec


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """Who works on the current phase, or looks at it before it is done: then `role` is whose work that is."""

    agent: str
    run: str
    role: str = ""

    @property
    def is_review(self) -> bool:
        return bool(self.role)


class Routed(msgspec.Struct, frozen=True, gc=False):
    """Who was named for the phase that is not begun yet. `agent` is empty when anybody of the role may have it."""

    role: str
    agent: str = ""


class Review(msgspec.Struct, frozen=True, gc=False):
    """Why somebody is to look at the phase before it is done, and who: empty is any architect."""

    because: str
    agent: str = ""
