"""Conversations to fold: those that simulated runs left on the log, and long ones made by hand."""

from collections.abc import Iterator

from actors.agent.playbooks import Playbook
from actors.agent.role import Role
from actors.tools import TOOLS
from actors.treasurer.asking import Answered, Asked, Model, Prompt, Text, Turn
from actors.treasurer.context import Transcript
from actors.treasurer.opening import Opening
from bus.envelope import Record
from bus.messages import call, exec, step
from bus.messages.agent import WorkAssigned
from bus.messages.base import Excerpt, ToolCall
from bus.messages.kinds import read_commit

PLAYBOOKS = {"plan": Playbook("plan", "Plan it.", "Plan {it} well.", "v1", (), ("it",))}
ROLE = Role("coder", "codes", "You code.", list(TOOLS), turns_max=40, playbooks=["plan"])
MODEL = Model("here", "m", True, 200_000, 8_000)
UNOPENED = Opening()
WORK = WorkAssigned("t-1", "t", "code", "coder", "Build a parser.", checklist=["read", "write"])


def a_run(work: WorkAssigned = WORK) -> Transcript:
    """A run whose mind is asked for its first turn."""
    transcript = Transcript(work.run)
    hear(transcript, work, step.StepsOpened(work.task, work.phase, work.role), step.ModelRequested(1))
    return transcript


def hear(transcript: Transcript, *events: object) -> Transcript:
    for event in events:
        transcript.hear(event)
    return transcript


def a_round(turn: int, text: str = "So be it.", output: str = "fine", path: str = "a.py") -> list[object]:
    """A file read, and the next turn."""
    input: dict[str, object] = {"path": path}
    return [
        call.ModelReplied(turn, "m", text, [ToolCall("read", input)]),
        step.ToolRequested(f"{turn}-1", "read", input),
        exec.ToolEnded(f"{turn}-1", True, Excerpt(output), 1, read=[path]),
        step.StepEnded(f"{turn}-1", True),
        step.ModelRequested(turn + 1),
    ]


def asked(transcript: Transcript, role: Role = ROLE, model: Model = MODEL, opening: Opening = UNOPENED) -> Prompt:
    """The prompt for the newest turn, after what is too long was condensed."""
    prompt = transcript.prompt(role, model, PLAYBOOKS, opening)
    while (condensed := transcript.condense()) is not None:
        transcript.hear(condensed)
        prompt = transcript.prompt(role, model, PLAYBOOKS, opening)
    return prompt


def words(turn: Turn) -> str:
    """All that is said in a turn."""
    return "\n".join(block.text for block in turn.blocks if isinstance(block, Text | Answered))


def breaches(prompt: Prompt) -> Iterator[str]:
    """What a provider would refuse."""
    for place, turn in enumerate(prompt.turns):
        if turn.role != ("user", "assistant")[place % 2]:
            yield f"turn {place} is said by the {turn.role}"
        if not turn.blocks:
            yield f"turn {place} is empty"
        if any(isinstance(block, Text) and not block.text.strip() for block in turn.blocks):
            yield f"turn {place} has blank words"
        if any(isinstance(block, Answered if place % 2 else Asked) for block in turn.blocks):
            yield f"turn {place} holds what the other side says"
        if place % 2 == 0:
            before = prompt.turns[place - 1].blocks if place else ()
            wanted = [block.id for block in before if isinstance(block, Asked)]
            given = [block.id for block in turn.blocks if isinstance(block, Answered)]
            if given != wanted:
                yield f"turn {place} answers {given} and not {wanted}"
    if len(prompt.turns) % 2 == 0:
        yield "the last word is not the user's"


def entities(records: list[Record], run: str) -> list[Record]:
    """What a run's transcript is made from, in the order of the log."""
    kinds = ("evt.step.", "evt.call.", "evt.exec.")
    return [
        record
        for record in records
        if (record.subject.startswith(kinds) and record.subject.endswith(f".{run}"))
        or (record.subject.startswith("evt.agent.") and _assigns(record, run))
    ]


def _assigns(record: Record, run: str) -> bool:
    return any(isinstance(event, WorkAssigned) and event.run == run for event in read_commit(record).events)


def requests(record: Record) -> bool:
    return any(isinstance(event, step.ModelRequested) for event in read_commit(record).events)
