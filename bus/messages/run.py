"""A run: one attempt by one agent at one phase, turn by turn, as the agent decided it."""

from msgspec import field

from bus.messages.base import Artifact, Event, Pieces


class RunStarted(Event, frozen=True):
    """`recovery` is the failure that this run is to make good; empty when nothing went wrong before."""

    task: str
    phase: str
    role: str
    mind: str
    attempt: int = 1
    recovery: str = ""


class ModelRequested(Event, frozen=True):
    """The run needs the mind's next reply. `note` is what the agent adds to what the mind has seen so far."""

    turn: int
    again: int = 0
    note: str = ""


class ToolRequested(Event, frozen=True):
    """Do this. `call` is `<turn>-<place>`; `again` counts repeats of the same call after its outcome was lost."""

    call: str
    tool: str
    input: Pieces
    again: int = 0


class StepRefused(Event, frozen=True):
    """The mind asked for something that it may not have, or said it wrongly; it is told why."""

    call: str
    tool: str
    input: Pieces
    reason: str


class StepEnded(Event, frozen=True):
    """The agent has taken note of a call's outcome. `mark` stands for action and result, so that loops are seen."""

    call: str
    ok: bool
    mark: str = ""
    loop: bool = False
    failure: str = ""


class StepRecoveryStarted(Event, frozen=True):
    """A step failed in a known way, and this is what is tried."""

    call: str
    failure: str
    strategy: str
    tries: int
    wait_s: float = 0


class StepRecoveryEnded(Event, frozen=True):
    failure: str
    ok: bool


class PlaybookOpened(Event, frozen=True):
    """From here on the run follows a playbook; `version` is the sha256 of its text."""

    call: str
    playbook: str
    version: str
    at_s: float = 0
    inputs: Pieces = field(default_factory=dict)


class PlaybookSucceeded(Event, frozen=True):
    playbook: str
    artifacts: int
    seconds: float
    tools: list[str]
    severity: str = "low"


class PlaybookFailed(Event, frozen=True):
    playbook: str
    error: str
    seconds: float
    tools: list[str]
    severity: str = "medium"


class ChecklistExtended(Event, frozen=True):
    """Steps that the agent adds to the task's own; they are numbered on from those."""

    items: list[str]


class ChecklistItemDone(Event, frozen=True):
    """`item` counts from 1."""

    item: int


class HelpAsked(Event, frozen=True):
    question: str


class RunFinished(Event, frozen=True):
    """`tree` is the git tree of the workspace when the run was over; empty where a run had none."""

    artifacts: list[Artifact] = field(default_factory=list)
    tree: str = ""
    summary: str = ""


class RunFailed(Event, frozen=True):
    """`failure` is one of the types that `actors.recovery` knows."""

    reason: str
    failure: str = "unknown"


class RunStopped(Event, frozen=True):
    reason: str


RunEvent = (
    RunStarted
    | ModelRequested
    | ToolRequested
    | StepRefused
    | StepEnded
    | StepRecoveryStarted
    | StepRecoveryEnded
    | PlaybookOpened
    | PlaybookSucceeded
    | PlaybookFailed
    | ChecklistExtended
    | ChecklistItemDone
    | HelpAsked
    | RunFinished
    | RunFailed
    | RunStopped
)
