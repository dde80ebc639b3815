"""The briefing: what somebody who takes a task up has to know, in no more than 600 tokens."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from actors.treasurer.measure import estimate, line

BRIEFING_MAX_TOKENS, LINE_MAX_TOKENS, TASK_MAX_TOKENS = 600, 60, 120
LOG_LINES, HOURS = 10, 24.0
_word = re.compile(r"[^\W_]{3,}")
Titled = tuple[str, tuple[str, ...]]


class Requirement(NamedTuple):
    """An item of the task's checklist."""

    item: int
    text: str
    done: bool


class Trouble(NamedTuple):
    """Something that went wrong, and what came of the attempt to make it good."""

    failure: str
    error: str
    strategy: str
    outcome: str
    hours_ago: float
    task: str = ""


class Facts(NamedTuple):
    """What is known about a task. Lists are in the order in which things happened."""

    task: str
    log: Sequence[str] = ()
    requirements: Sequence[Requirement] = ()
    files: Sequence[str] = ()
    questions: Sequence[str] = ()
    troubles: Sequence[Trouble] = ()
    quality: Sequence[str] = ()
    """Tests that fail, and other complaints about what was made."""


class Briefing(NamedTuple):
    """Its parts, each with a title; empty ones are left out."""

    parts: tuple[Titled, ...] = ()

    @property
    def text(self) -> str:
        return "\n".join(
            text for title, lines in self.parts for text in (f"{title}:", *(f"- {each}" for each in lines))
        )

    @property
    def tokens(self) -> int:
        return estimate(self.text)


def brief(facts: Facts) -> Briefing:
    """The task, and of everything else the most relevant, turn by turn, as long as there is room."""
    wanted = [
        ("task", [line(facts.task, TASK_MAX_TOKENS)]),
        ("open questions", _newest(facts.questions)),
        ("requirements", _requirements(facts.requirements)),
        ("quality issues", _short(facts.quality)),
        ("log", _newest(facts.log)[:LOG_LINES]),
        ("relevant files", _short(_by_relevance(facts.task, _once(facts.files)))),
        (f"failures of the last {HOURS:.0f} hours", _troubles(facts)),
    ]
    taken: dict[str, list[str]] = {title: [] for title, _ in wanted}
    left, place = BRIEFING_MAX_TOKENS, 0
    while any(place < len(lines) for _, lines in wanted):
        for title, lines in wanted:
            if place < len(lines) and len(taken[title]) == place:
                cost = estimate(f"- {lines[place]}\n") + (0 if place else estimate(f"{title}:\n"))
                if cost <= left:
                    taken[title].append(lines[place])
                    left -= cost
        place += 1
    for title in ("open questions", "log"):
        taken[title].reverse()
    return Briefing(tuple((title, tuple(lines)) for title, lines in taken.items() if lines))


def relevance(about: str, text: str) -> float:
    """The share of the text's own words that the other text has too."""
    words = words_of(text)
    return len(words & words_of(about)) / len(words) if words else 0.0


def words_of(text: str) -> set[str]:
    """The words of a text, names in code taken apart, without their endings."""
    apart = re.sub(r"([a-z])([A-Z])", r"\1 \2", text[:20_000])
    return {word.lower()[:6] for word in _word.findall(apart)}


def _short(lines: Iterable[str]) -> list[str]:
    return [short for each in lines if (short := line(each, LINE_MAX_TOKENS))]


def _newest(lines: Sequence[str]) -> list[str]:
    return _short(reversed(lines))


def _once(names: Iterable[str]) -> list[str]:
    """Each name once, where it came last."""
    return list(dict.fromkeys(reversed(list(names))))[::-1]


def _by_relevance(task: str, lines: Sequence[str]) -> list[str]:
    """What has more in common with the task before what has less; what is newer first among equals."""
    newest = lines[::-1]
    return sorted(newest, key=lambda each: -relevance(task, each))


def _requirements(requirements: Sequence[Requirement]) -> list[str]:
    """What is still to be done before what is done."""
    ordered = sorted(requirements, key=lambda each: (each.done, each.item))
    return _short(f"{each.item}. [{'x' if each.done else ' '}] {each.text}" for each in ordered)


def _troubles(facts: Facts) -> list[str]:
    recent = [each for each in facts.troubles if each.hours_ago <= HOURS]
    told = {_trouble(each): each for each in recent}
    ordered = sorted(
        told, key=lambda text: -relevance(facts.task, f"{told[text].error} {text}") + told[text].hours_ago / HOURS
    )
    return _short(ordered)


def _trouble(trouble: Trouble) -> str:
    error = f" ({line(trouble.error, LINE_MAX_TOKENS // 3)})" if trouble.error else ""
    where = f" in {trouble.task}" if trouble.task else ""
    return f"{trouble.failure}{where}{error}: {trouble.strategy}, {trouble.outcome}"
