"""What is known of a task when a run begins, from the events of the task and of its earlier runs."""

import re
from collections.abc import Iterable

from actors.treasurer.briefing import LOG_LINES, Facts, Requirement, Trouble
from bus.messages import exec as done
from bus.messages import step
from bus.messages import task as said
from bus.messages.base import Event

_capital = re.compile(r"(?<=[a-z])(?=[A-Z])")
TOLD_OF = ("phase", "agent", "failure", "strategy", "reason", "because", "question")


def facts_of(task: str, checklist: Iterable[str], events: Iterable[Event]) -> Facts:
    """The events of the task, and of the steps and execs of its earlier runs, as they stand on the log one by one.

    Nothing else goes in, so whoever reads the same events up to the assignment knows the same.
    """
    log: list[str] = []
    items, ticked, files = list(checklist), set[int](), list[str]()
    questions, quality = list[str](), list[str]()
    troubles: dict[tuple[str, str], Trouble] = {}
    for event in events:
        match event:
            case step.ChecklistExtended():
                items += event.items
            case step.ChecklistItemDone():
                ticked.add(event.item)
            case done.ToolEnded():
                files += event.wrote
            case done.ExecEnded() if event.tests is not None:
                quality = [f"the test {name} fails" for name in event.tests.failures]
            case said.RecoveryStarted():
                troubles[event.phase, event.failure] = Trouble(
                    event.failure, event.error, event.strategy, "going on", 0
                )
            case said.RecoveryEnded() if (event.phase, event.failure) in troubles:
                outcome = "recovered" if event.ok else "failed"
                troubles[event.phase, event.failure] = troubles[event.phase, event.failure]._replace(outcome=outcome)
            case said.PersonAsked():
                questions.append(event.question)
            case said.TaskReset():
                questions = []
        if isinstance(event, said.TaskEvent):
            log.append(in_words(event))
    requirements = [Requirement(number, text, number in ticked) for number, text in enumerate(items, 1)]
    return Facts(task, log[-LOG_LINES:], requirements, files, questions, list(troubles.values()), quality)


def in_words(event: Event) -> str:
    """The event's name as words, and what it is about."""
    about = [str(value) for name in TOLD_OF if (value := getattr(event, name, ""))]
    name = _capital.sub(" ", type(event).__name__).lower()
    return f"{name}: {', '.join(about)}" if about else name
