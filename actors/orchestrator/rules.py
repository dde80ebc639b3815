"""The reader of `routing.toml`: Witan's own, with the project's and the state folder's laid over it."""

from collections.abc import Iterable
from pathlib import Path

from actors.orchestrator.routing import Rules
from actors.overlay import read_laid_over

FILE = "routing.toml"


def read_rules(*folders: Path) -> Rules:
    """What the files of these folders say together; an error names the file and the path inside it."""
    return read_laid_over((folder / FILE for folder in folders), Rules, f"actors/{FILE}", _complaints)


def _complaints(rules: Rules) -> Iterable[str]:
    for place, rule in enumerate(rules.rules):
        if rule.required and rule.roles:
            yield f"$.rules[{place}].roles: a rule with `required` has the role that the task requires"
        if not (rule.required or rule.roles or rule.any):
            yield f"$.rules[{place}].roles: it names nobody"
        if rule.work_type and rule.work_type not in rules.work_types:
            known = ", ".join(rules.work_types)
            yield f'$.rules[{place}].work_type: unknown type "{rule.work_type}"; the types are {known}'
    last = rules.rules[-1] if rules.rules else None
    if last is None or not last.any or last.required or last.work_type:
        yield "$.rules: the last rule must have `any = true` and take whatever is left"
    elif last.complexity_over is not None or last.failures_over is not None:
        yield "$.rules: the last rule must have no condition"
