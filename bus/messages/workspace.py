"""A workspace: the branch and the working tree of one task, and what became of them."""

from bus.messages.base import Event


class WorkspaceOpened(Event, frozen=True):
    """`base` is the commit that the branch began at; `target` the branch that it may be merged into one day."""

    repo: str
    branch: str
    base: str
    target: str
    path: str


class TreeSaved(Event, frozen=True):
    """What a run left behind, as a commit on the task's branch."""

    run: str
    phase: str
    tree: str
    commit: str


class TreeTested(Event, frozen=True):
    tree: str
    run: str
    passed: int
    failed: int
    errors: int = 0


class TreeDeployed(Event, frozen=True):
    environment: str
    tree: str
    place: str
    health: str


class DeployRolledBack(Event, frozen=True):
    """`to` is the tree that is in use again; empty: there was none before."""

    environment: str
    tree: str
    reason: str
    to: str = ""


class WorkspaceMerged(Event, frozen=True):
    order: str
    into: str
    commit: str


class MergeRefused(Event, frozen=True):
    order: str
    reason: str


class WorkspaceDiscarded(Event, frozen=True):
    order: str


WorkspaceEvent = (
    WorkspaceOpened
    | TreeSaved
    | TreeTested
    | TreeDeployed
    | DeployRolledBack
    | WorkspaceMerged
    | MergeRefused
    | WorkspaceDiscarded
)
