"""Where the files of the team stand (roles, workflows, playbooks), and what they say taken together."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import actors
from actors.agent.playbooks import Playbook, playbook_files, read_playbook
from actors.agent.role import Role, read_role
from actors.orchestrator.workflow import Workflow, read_workflow
from bus.errors import Invalid, Missing
from cli.config import PROJECT_FILE, Settings

ORIGINS = ("witan", "project", "state")
T = TypeVar("T", Role, Workflow, Playbook)


class Found(NamedTuple, Generic[T]):
    """What a file says, on which shelf it stands, and where that is."""

    what: T
    origin: str
    path: Path


class Shelf(NamedTuple):
    """All files by the names of what they describe; a later shelf's file has replaced an earlier one's."""

    roles: dict[str, Found[Role]]
    workflows: dict[str, Found[Workflow]]
    playbooks: dict[str, Found[Playbook]]


def shelves(settings: Settings) -> list[Path]:
    """Witan's own folder, the project's `witan/`, the state folder; a later one wins."""
    return [Path(actors.__file__).parent, _project(settings) / "witan", settings.state_dir]


def _project(settings: Settings) -> Path:
    """The folder of witan.toml. The state folder stands in it, unless somebody has moved that."""
    if settings.state_dir.name == Settings().state_dir.name:
        return settings.state_dir.parent
    here = Path.cwd()
    return next((up for up in (here, *here.parents) if (up / PROJECT_FILE).is_file()), here)


def read_shelf(settings: Settings) -> Shelf:
    """Every file, each alone and all together; an error names the file and the path inside it."""
    shelf = Shelf(
        _found(settings, "roles", _tomls, read_role),
        _found(settings, "workflows", _tomls, read_workflow),
        _found(settings, "playbooks", playbook_files, read_playbook),
    )
    for complaint in _complaints(shelf):
        raise Invalid(complaint, "Mend that file, or add the missing one.")
    return shelf


def pick(found: dict[str, Found[T]], name: str, kind: str) -> Found[T]:
    """The one with this name."""
    if name not in found:
        raise Missing(f"there is no {kind} {name!r}", f"There are: {', '.join(sorted(found)) or 'none'}.")
    return found[name]


def _tomls(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.toml"))


def _found(
    settings: Settings, kind: str, files: Callable[[Path], list[Path]], read: Callable[[Path], T]
) -> dict[str, Found[T]]:
    found: dict[str, Found[T]] = {}
    for origin, folder in zip(ORIGINS, shelves(settings), strict=True):
        for path in files(folder / kind):
            what = read(path)
            found[what.name] = Found(what, origin, path)
    return found


def _complaints(shelf: Shelf) -> Iterable[str]:
    """Names in one file that no other file explains."""
    roles, playbooks = ", ".join(shelf.roles), ", ".join(shelf.playbooks)
    for role, _, path in shelf.roles.values():
        for place, name in enumerate(role.playbooks):
            if name not in shelf.playbooks:
                yield f'{path}: $.playbooks[{place}]: unknown playbook "{name}"; the playbooks are {playbooks}'
    for workflow, _, path in shelf.workflows.values():
        for place, phase in enumerate(workflow.phases):
            if phase.role not in shelf.roles:
                yield f'{path}: $.phases[{place}].role: unknown role "{phase.role}"; the roles are {roles}'
    for playbook, _, path in shelf.playbooks.values():
        if playbook.role and playbook.role not in shelf.roles:
            yield f'{path}: role: unknown role "{playbook.role}"; the roles are {roles}'
