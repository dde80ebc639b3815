"""A task's workspace: what its events make of it."""

from typing import Literal, assert_never

from bus.messages import workspace as said


class Workspace:
    """Where a task's work is, which trees passed their tests, which orders were carried out."""

    __slots__ = ("deployed", "green", "opened", "orders", "status", "tree")

    def __init__(self) -> None:
        self.status: Literal["absent", "open", "merged", "discarded"] = "absent"
        self.opened: said.WorkspaceOpened | None = None
        self.tree = ""
        self.green: set[str] = set()
        self.deployed: dict[str, str] = {}
        self.orders: set[str] = set()


def evolve(workspace: Workspace, event: said.WorkspaceEvent) -> Workspace:
    """What the workspace is after the event."""
    match event:
        case said.WorkspaceOpened():
            workspace.status, workspace.opened = "open", event
        case said.TreeSaved():
            workspace.tree = event.tree
        case said.TreeTested():
            if event.passed and not event.failed and not event.errors:
                workspace.green.add(event.tree)
            else:
                workspace.green.discard(event.tree)
        case said.TreeDeployed():
            workspace.deployed[event.environment] = event.tree
        case said.DeployRolledBack():
            workspace.deployed[event.environment] = event.to
        case said.WorkspaceMerged():
            workspace.status = "merged"
            workspace.orders.add(event.order)
        case said.MergeRefused():
            workspace.orders.add(event.order)
        case said.WorkspaceDiscarded():
            workspace.status = "discarded"
            workspace.orders.add(event.order)
        case _:
            assert_never(event)
    return workspace
