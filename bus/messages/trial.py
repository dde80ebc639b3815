"""What the executor found out for a council: the problem as it lies in the tree, and what each candidate came to."""

from bus.messages.base import Event, Excerpt, TestResults


class ProblemGathered(Event, frozen=True):
    """`problem` is a JSON `Problem` of so many bytes, with secrets taken out, or its sha256.

    Equal `fingerprint`s are the same problem: the same error over the same files.
    """

    problem: str
    bytes: int
    fingerprint: str
    kind: str
    """The type of the problem, one of `actors.council.problem.KINDS`."""
    tests: str = ""
    """The command that tests it; empty: nobody knows one."""
    tree: str = ""


class GatheringFailed(Event, frozen=True):
    reason: str


class CandidateTried(Event, frozen=True):
    """What came of one candidate in a tree of its own. None: there was nothing to check it with."""

    candidate: str
    applies: bool
    reason: str = ""
    syntax: bool | None = None
    types: bool | None = None
    tests: TestResults | None = None
    output: Excerpt | None = None
    likeness: str = ""
    """Equal for candidates that change the same lines to the same, whatever their layout and comments."""
    lines: int = 0
    """So many lines it adds or takes away."""
    ms: float = 0


TrialEvent = ProblemGathered | GatheringFailed | CandidateTried
