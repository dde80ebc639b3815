"""Workflows: the phases that a task goes through, read from files that a user can add to."""

import tomllib
from pathlib import Path

import msgspec

from bus.errors import Invalid
from bus.subjects import Token


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step: who does it, what it produces, and which phases must have been done before it."""

    name: Token
    role: Token
    produces: Token = "artifact"
    needs: list[Token] = []
    on_failure: str = ""
    """The earlier phase that is done once more when this one fails for its sake."""


class Workflow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Token
    about: str
    phases: list[Phase]

    def phase(self, name: str) -> Phase:
        return next(phase for phase in self.phases if phase.name == name)

    def subset(self, names: list[str] | None) -> list[str]:
        """The names of the phases to go through, in the workflow's order."""
        known = [phase.name for phase in self.phases]
        if names is None:
            return known
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise Invalid(
                f"workflow {self.name!r} has no phase {unknown[0]!r}" if unknown else "`phases` is empty",
                f"Its phases are: {', '.join(known)}.",
            )
        for phase in self.phases:
            lacking = [need for need in phase.needs if phase.name in names and need not in names]
            if lacking:
                raise Invalid(
                    f"phase {phase.name!r} needs phase {lacking[0]!r} before it", f"Add {lacking[0]!r} to `phases`."
                )
        return [name for name in known if name in names]


def read_workflow(path: Path) -> Workflow:
    """One file; an error names the path inside it."""
    try:
        workflow = msgspec.convert(tomllib.loads(path.read_text()), Workflow)
    except (msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"{path}: {error}", "Mend the file; `actors/workflows/tiered.toml` is a good model.") from error
    names = [phase.name for phase in workflow.phases]
    for place, phase in enumerate(workflow.phases):
        if phase.name in names[:place]:
            raise Invalid(f"{path}: $.phases[{place}].name: {phase.name!r} stands twice")
        for need in phase.needs:
            if need not in names[:place]:
                raise Invalid(f"{path}: $.phases[{place}].needs: {need!r} is not a phase before this one")
        if phase.on_failure and phase.on_failure not in names[:place]:
            raise Invalid(f"{path}: $.phases[{place}].on_failure: {phase.on_failure!r} is not a phase before this one")
    return workflow


def read_workflows(*folders: Path) -> dict[str, Workflow]:
    """All of them by name; a later folder's file replaces an earlier one's."""
    found = [read_workflow(path) for folder in folders for path in sorted(folder.glob("*.toml"))]
    return {workflow.name: workflow for workflow in found}
