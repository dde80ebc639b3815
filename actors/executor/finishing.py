"""What a run leaves behind: its artifacts, its tree as a commit, and what becomes of the whole workspace."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from actors import tools
from actors.executor import reports
from actors.executor.files.looking import listing
from actors.executor.files.room import Room
from actors.executor.files.tools import content_of
from actors.executor.git import merging, opening, workspaces
from actors.executor.git.opened import Opened
from actors.executor.jobs import Job, Order
from actors.territory import Territory
from bus.blobs import sha256
from bus.errors import Invalid
from bus.messages import workspace as told
from bus.messages.base import Artifact, Event


class Collected(NamedTuple):
    """The artifacts, their contents for the blob store, and the tree."""

    artifacts: list[Artifact]
    blobs: list[bytes]
    saved: workspaces.Saved
    text: str


def collect(job: Job, place: Opened) -> Collected:
    """Save the tree, and take every artifact that the mind named, or the changes where it named none."""
    assert isinstance(job.tool, tools.Finish)
    saved = workspaces.save(
        place, f"{job.phase}: {job.tool.summary.splitlines()[0] if job.tool.summary else job.run}", job.now_s
    )
    contents = [(made.name, made.type, _content(job, place, made, saved)) for made in job.tool.artifacts]
    if not contents and job.territory:
        contents = [("changes.diff", job.produces, workspaces.changes(place, saved))]
    artifacts = [Artifact(name, type, sha256(content), len(content)) for name, type, content in contents]
    names = ", ".join(f"{artifact.name} ({artifact.type}, {artifact.bytes} bytes)" for artifact in artifacts)
    return Collected(
        artifacts, [content for *_, content in contents], saved, f"finished with {names}; tree {saved.tree[:12]}"
    )


def _content(job: Job, place: Opened, made: tools.Made, saved: workspaces.Saved) -> bytes:
    if made.content is not None:
        return made.content.encode()
    if made.path:
        with Room(Path(place.path), Territory(())) as room:
            return content_of(room, made.path)
    if made.type == "test_results" and job.tests is not None:
        return msgspec.json.encode({**msgspec.to_builtins(job.tests), "tree": saved.tree})
    if made.type == "deployment_manifest":
        return msgspec.json.encode({"tree": saved.tree, "commit": saved.commit, "branch": place.branch})
    raise Invalid(f"the artifact {made.name!r} has neither a path nor a content", "Say one of them.")


def use_git(job: Job, place: Opened) -> str:
    """Look at the changes, or commit them on the task's branch."""
    assert isinstance(job.tool, tools.Git)
    match job.tool.verb:
        case "status":
            return workspaces.status(place)
        case "diff":
            return workspaces.diff(place)
        case "log":
            return workspaces.log(place)
        case "commit":
            saved = workspaces.save(place, job.tool.message or f"{job.phase}: {job.call}", job.now_s)
            return f"committed {saved.commit[:12]}, tree {saved.tree[:12]}"


def test_command(place: Opened) -> str:
    """The command that the project's own files suggest."""
    found = listing(Path(place.path))
    return reports.command_for(found)


def carry_out(order: Order) -> Event:
    """Merge, or discard; both end with the working tree gone."""
    known = order.opened
    place = Opened(known.repo, known.branch, known.base, known.target, known.path)
    if order.what == "merge":
        commit = merging.merge(place, order.order, order.now_s)
        opening.remove(place)
        return told.WorkspaceMerged(order=order.order, into=known.target, commit=commit)
    opening.remove(place, branch=True)
    return told.WorkspaceDiscarded(order=order.order)
