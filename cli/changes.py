"""What a task has changed in its repository, asked of git; its working tree is not needed for that."""

from typing import Any

from actors.executor.git.running import ask, find, git
from bus.errors import Missing
from cli.reading import Views

PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color")


def workspace_of(views: Views, task: str) -> dict[str, Any]:
    """The newest facts about a task's workspace."""
    rows = views.ask("workspaces", {"task": task}).dicts
    if not rows or not rows[0]["base"]:
        raise Missing(f"task {task} has no workspace yet", f"See how far it is: `witan status {task}`.")
    return rows[0]


def difference(workspace: dict[str, Any], *options: str) -> bytes:
    """The diff from where the branch began to where it ended; a branch that is gone is known by its last commit."""
    place = find(workspace["repo"]).place
    wanted = (f"refs/heads/{workspace['branch']}", workspace["merged_commit"], workspace["commit"])
    for end in filter(None, wanted):
        if ask(place, "rev-parse", "--verify", "--quiet", f"{end}^{{commit}}").exit == 0:
            return git(place, "diff", *PLAIN, *options, workspace["base"], end, "--")
    raise Missing(
        f"{workspace['repo']} has neither the branch {workspace['branch']} nor its last commit",
        f"It was {workspace['status']}. What was done is in `witan trace {workspace['task']}`.",
    )


def changed_files(workspace: dict[str, Any]) -> list[str]:
    """The paths that differ."""
    said = difference(workspace, "--name-only", "-z").decode(errors="backslashreplace")
    return [path for path in said.split("\0") if path]
