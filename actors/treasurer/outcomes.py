"""How the outcome of a call is told to the mind that wanted it."""

from collections.abc import Callable, Mapping, Sequence

from actors.agent.playbooks import Playbook
from actors.treasurer.rounds import Call, Outcome, Rounds
from bus.errors import Invalid
from bus.messages import exec as done
from bus.messages import step as said
from bus.messages.base import Excerpt

NOTHING = "(it said nothing)"
ENDINGS = {
    "silence": "stopped: it had said nothing for too long",
    "cap": "stopped: it took longer than a command may",
    "cancel": "stopped: the run was over",
    "freeze": "stopped: everything was frozen",
    "lost sandbox": "not run: the sandbox could not be entered",
}
Said = tuple[str, bool]
"""The words, and whether it went well."""
Items = Sequence[tuple[str, bool]]
"""A checklist: each item, and whether it is done."""


def in_short(excerpt: Excerpt) -> str:
    """What of a long output stands in its event."""
    return excerpt.text


def in_words(outcome: Outcome, text_of: Callable[[Excerpt], str] = in_short) -> Said:
    """What the executor told."""
    match outcome:
        case done.ExecLost():
            return f"Nobody knows how it ended: {outcome.reason}", False
        case done.ToolEnded():
            text = text_of(outcome.output).strip("\n") or NOTHING
            return (text, True) if outcome.ok else (f"Failed ({outcome.failure or 'unknown'}): {text}", False)
        case done.ExecEnded():
            how = f"exit {outcome.exit}" if outcome.ended_by == "exit" else ENDINGS[outcome.ended_by]
            tests = outcome.tests
            counted = (
                f"; tests: {tests.passed} passed, {tests.failed} failed, {tests.errors} errors, {tests.skipped} skipped"
                if tests
                else ""
            )
            ok = outcome.ended_by == "exit" and outcome.exit == 0 and (tests is None or tests.green)
            text = text_of(outcome.output).strip("\n") or NOTHING
            return f"{how} after {outcome.ms / 1000:.1f} s{counted}\n{text}", ok


def answer(
    rounds: Rounds,
    id: str,
    playbooks: Mapping[str, Playbook],
    checklist: Items,
    text_of: Callable[[Excerpt], str] = in_short,
) -> Said:
    """What is said to the mind about its call before its next turn."""
    call = rounds.calls.get(id)
    turn = int(id.partition("-")[0])
    if call is None or (call.request is None and call.refused is None):
        return "It was not begun.", False
    if call.refused is not None:
        return f"Refused: {call.refused.reason}", False
    assert call.request is not None
    if call.ended_in != turn:
        return f"It goes on in the background as {id}. You are told when it ends; `wait` for it when you need it.", True
    if call.opened is not None:
        return playbook_in_words(call.opened, playbooks)
    if call.request.tool == "checklist":
        return checklist_in_words(at_the_time(call.checklist, rounds, checklist)), True
    if call.request.tool == "wait":
        return _waited(rounds, str(call.request.input.get("call", "")), text_of)
    return _ended(rounds, id, call, text_of)


def _ended(rounds: Rounds, id: str, call: Call, text_of: Callable[[Excerpt], str]) -> Said:
    outcome = rounds.outcome(id)
    if outcome is None:
        return ("Done.", True) if call.ended and call.ended.ok else ("It came to no end that is known.", False)
    words, ok = in_words(outcome, text_of)
    if call.request and call.request.again:
        tries = call.request.again + 1
        words = f"(It was begun {tries} times: what came of the tries before is not known.)\n{words}"
    return words, ok


def _waited(rounds: Rounds, id: str, text_of: Callable[[Excerpt], str]) -> Said:
    outcome = rounds.outcome(id)
    if outcome is None:
        return f"{id} has ended.", True
    words, ok = in_words(outcome, text_of)
    return f"{id} has ended: {words}", ok


def playbook_in_words(opened: said.PlaybookOpened, playbooks: Mapping[str, Playbook]) -> Said:
    """The text that was opened; not another version of it."""
    playbook = playbooks.get(opened.playbook)
    if playbook is not None and playbook.version == opened.version:
        try:
            return playbook.text(opened.inputs), True
        except Invalid:
            pass
    return f"The playbook {opened.playbook} was changed since you opened it. Open it again if you need it.", False


def at_the_time(state: tuple[int, frozenset[int]], rounds: Rounds, checklist: Items) -> Items:
    """The checklist as it was when so many items had been added and these were ticked off."""
    added, ticked = state
    items = [*checklist, *((item, False) for item in rounds.added[:added])]
    return [(text, was or place in ticked) for place, (text, was) in enumerate(items, 1)]


def checklist_in_words(items: Items) -> str:
    return "\n".join(
        f"{place}. [{'x' if ticked else ' '}] {text}" for place, (text, ticked) in enumerate(items, 1)
    ) or ("The checklist is empty.")
