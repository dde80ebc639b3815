"""Older rounds in a few words: what was wanted, what came of it, which files, and what the mind said about it."""

from actors.apart import in_short
from actors.treasurer.measure import cut, estimate, line
from actors.treasurer.outcomes import in_words
from actors.treasurer.rounds import Rounds
from bus.messages import exec as done
from bus.messages.step import ToolRequested

THOUGHT_TOKENS, FAILURE_TOKENS, ACTION_TOKENS = 60, 50, 40
STORY_MAX_TOKENS = 4000
FILES_MAX = 60


def story_of(rounds: Rounds, upto: int, tokens: int) -> str:
    """The story of the run up to this turn: what was told before, shortened, and the rounds since."""
    tokens = min(tokens, STORY_MAX_TOKENS)
    before = rounds.condensed
    files = _files(rounds, upto)
    ends = cut(f"Files written so far: {', '.join(files)}" if files else "No file was written so far.", tokens // 5)
    lines = [] if before.turn else [f"Before reply 1: {_call(rounds, id)}" for id in rounds.before_the_first()]
    lines += [each for turn in range(before.turn + 1, upto + 1) for each in _told(rounds, turn)]
    room = tokens - estimate(ends) - 2
    older = cut(before.text.partition("\n\nFiles written so far:")[0], room // 3) if before.text else ""
    newer = cut("\n".join(lines), max(room - estimate(older) - 2, 0))
    return "\n".join(each for each in (older, newer, f"\n{ends}") if each)


def _told(rounds: Rounds, turn: int) -> list[str]:
    reply = rounds.reply(turn)
    thought = line(reply.text, THOUGHT_TOKENS) if reply else ""
    told = [f"Reply {turn}: {thought}" if thought else f"Reply {turn}:"]
    return told + [f"- {_call(rounds, id)}" for id in rounds.round(turn).calls]


def _call(rounds: Rounds, id: str) -> str:
    call = rounds.calls[id]
    if call.refused is not None:
        return f"{id} {call.refused.tool} was refused: {line(call.refused.reason, FAILURE_TOKENS)}"
    action = f"{id} {_action(call.request)}" if call.request else id
    outcome = rounds.outcome(id)
    if outcome is None:
        return f"{action}: {'done' if call.ended and call.ended.ok else 'not ended by then'}"
    words, ok = in_words(outcome)
    if isinstance(outcome, done.ExecEnded):
        first = words.partition("\n")[0]
        failed = ", ".join(outcome.tests.failures[:5]) if outcome.tests and not ok else ""
        said = "" if ok else failed or words.rpartition("\n")[2]
        return f"{action}: {first}{f': {line(said, FAILURE_TOKENS)}' if said else ''}"
    return f"{action}: {'done' if ok else line(words, FAILURE_TOKENS)}"


def _action(request: ToolRequested) -> str:
    """What was wanted, without what is long about it."""
    said = next(
        (request.input[name] for name in ("path", "command", "pattern", "verb", "name") if name in request.input), ""
    )
    return f"{request.tool} {line(in_short(said), ACTION_TOKENS)}".strip()


def _files(rounds: Rounds, upto: int) -> list[str]:
    """Those that were written, the newest last."""
    written: dict[str, None] = {}
    turns = [rounds.before_the_first(), *(rounds.round(turn).calls for turn in range(1, upto + 1))]
    for ids in turns:
        for id in ids:
            outcome = rounds.outcome(id)
            for path in outcome.wrote if isinstance(outcome, done.ToolEnded) else ():
                written.pop(path, None)
                written[path] = None
    return list(written)[-FILES_MAX:]
