"""The steps of a run, turn by turn, as its agent decided them. One entity a run, with the run's own id.

They stand apart from the run itself, so that whoever only wants to know how runs end does not read all of them.
"""

from msgspec import field

from bus.messages.base import Event, Pieces


class StepsOpened(Event, frozen=True):
    """The run is led turn by turn; `recovery` is the failure that it is to make good."""

    task: str
    phase: str
    role: str
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
    note: str = ""
    """What the agent makes of it in a few words, where that is not plain from the outcome itself."""


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


class StepsClosed(Event, frozen=True):
    """Nothing more is asked or requested for this run."""

    outcome: str


StepEvent = (
    StepsOpened
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
    | StepsClosed
)
