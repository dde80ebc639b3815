"""A checklist: the steps that a task's text numbers or leaves open."""

import re

STEPS_MAX = 100
STEP_CHARS = 200
STEPS_BYTES = 8 * 1024
"""Every assignment carries the text and the checklist, and must fit into one commit."""

_NUMBERED = re.compile(r"([ \t]{0,20})(\d{1,3})[.)][ \t]+(\S.*)")
_BOX = re.compile(r"([ \t]{0,20})[-*+] \[ \][ \t]+(\S.*)")
_FENCE = ("```", "~~~")


def steps_of(text: str) -> list[str]:
    """Numbered lines that count up from 1, or open boxes; nothing when there are not at least two."""
    lines = list(_outside_fences(text))
    found = _boxes(lines) or _numbered(lines)
    steps: list[str] = []
    room = STEPS_BYTES
    for step in (each.strip()[:STEP_CHARS] for each in found[:STEPS_MAX]):
        room -= len(step.encode(errors="replace"))
        if room < 0:
            break
        steps.append(step)
    return steps if len(steps) > 1 else []


def _outside_fences(text: str) -> list[str]:
    """Code is not a list, whatever it looks like."""
    kept, inside = [], False
    for line in text.splitlines():
        if line.lstrip().startswith(_FENCE):
            inside = not inside
        elif not inside:
            kept.append(line)
    return kept


def _boxes(lines: list[str]) -> list[str]:
    found = [match for line in lines if (match := _BOX.match(line))]
    return [match[2] for match in found] if len(found) > 1 else []


def _numbered(lines: list[str]) -> list[str]:
    """The list and those after it that begin at 1 again; a list inside a step belongs to that step."""
    steps: list[str] = []
    margin, last = None, 0
    for line in lines:
        match = _NUMBERED.match(line)
        if not match:
            continue
        indent, number = len(match[1].expandtabs(4)), int(match[2])
        if margin is None and number == 1:
            margin = indent
        if indent == margin and number in (1, last + 1):
            steps.append(match[3])
            last = number
    return steps
