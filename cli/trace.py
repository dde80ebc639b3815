"""A task's runs as a tree: phase, run, turn, thought, action, observation."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from rich.text import Text
from rich.tree import Tree

from cli.output import clean

SHORT = 400
LISTS = (
    "files_created",
    "files_read",
    "files_written",
    "commands_executed",
    "what_was_attempted",
    "what_succeeded",
    "test_results",
)


def tree_of(title: str, runs: Iterable[dict[str, Any]], full: bool) -> Tree:
    """All runs, each with the steps that stand in it under `steps`."""
    tree = Tree(Text(clean(title), "bold"))
    for phase, attempts in groupby(runs, key=lambda run: run["phase"] or "?"):
        branch = tree.add(Text(phase, "bold cyan"))
        for run in attempts:
            _add_run(branch, run, full)
    return tree


def _add_run(branch: Tree, run: dict[str, Any], full: bool) -> None:
    seconds = "" if run["seconds"] is None else f"  {run['seconds']:.2f} s"
    style = {"finished": "green", "failed": "red"}.get(run["outcome"], "yellow")
    head = Text.assemble(f"{run['agent']}  {run['run']}  attempt {run['attempt']}  ", (run["outcome"], style), seconds)
    node = branch.add(head)
    if run["recovery"]:
        node.add(Text(f"after {run['recovery']}", "yellow"))
    for turn, steps in groupby(run["steps"], key=lambda step: step["turn"]):
        several = list(steps)
        said = several[0]["thought"] or ""
        inner = node.add(
            Text.assemble(
                (f"turn {turn}  " if turn else "before the first turn", "bold"), (_shown(said, full), "italic")
            )
        )
        for step in several:
            _add_step(inner, step, full)
    if run["reason"]:
        node.add(Text(f"{run['failure'] or 'stopped'}: {_shown(run['reason'], full)}", "red"))
    for council in run.get("councils", ()):
        _add_council(branch, council, full)


def _add_council(branch: Tree, council: dict[str, Any], full: bool) -> None:
    outcome = council["outcome"] or council["stage"]
    head = Text.assemble("council  ", (council["council"], "bold"), "  ", (outcome, "magenta"))
    for told in (council["by_whom"], council["helped"], f"${council['cost_usd']:.4f}"):
        head.append(f"  {told}" if told else "", "dim")
    node = branch.add(head)
    if council["reason"]:
        node.add(Text(_shown(council["reason"], full), "dim"))


def _add_step(branch: Tree, step: dict[str, Any], full: bool) -> None:
    mark, style = {True: ("✔", "green"), False: ("✘", "red"), None: ("…", "yellow")}[step["ok"]]
    head = Text.assemble((f"{mark} ", style), (f"{step['call']} {step['tool']}", "bold"))
    head.append("" if step["ms"] is None else f"  {step['ms']:.0f} ms", "dim")
    for said, told in (
        (step["loop"], "  loop"),
        (step["failure"], f"  {step['failure']}"),
        (step["exit"], f"  exit {step['exit']}"),
        (step["ended_by"] not in (None, "exit"), f"  ended by {step['ended_by']}"),
        (step["again"], f"  asked {(step['again'] or 0) + 1} times"),
    ):
        head.append(told if said else "", "red")
    node = branch.add(head)
    node.add(Text(_shown(step["input"] or "", full), "blue"))
    if step["observation"]:
        node.add(Text(_shown(step["observation"], full), "dim"))


def _shown(text: str, full: bool) -> str:
    text = clean(text.expandtabs(4)).rstrip("\n")
    return text if full or len(text) <= SHORT else f"{text[: SHORT - 100]} … {text[-90:]}"


def summary_of(runs: Iterable[dict[str, Any]]) -> Iterable[tuple[str, str, str]]:
    """The lists of each run that has some: run, name, entries."""
    for run in runs:
        for name in LISTS:
            if found := run[name]:
                told = found if isinstance(found, list) else [f"{key} {value}" for key, value in found.items()]
                yield run["run"], name, ", ".join(map(str, told))
