"""What becomes of a conversation that grows too long: how it is measured, cut, and told in short."""

import string
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.treasurer.asking import Answered, Prompt
from actors.treasurer.context import KEPT_ROUNDS, Transcript
from actors.treasurer.measure import cut, estimate, line, shares
from bus.messages import call, exec, step
from bus.messages.base import Excerpt, ToolCall
from tests.transcripts import MODEL, PLAYBOOKS, ROLE, UNOPENED, a_round, a_run, asked, breaches, hear, words

SHELL: dict[str, object] = {"command": "make"}
LONG = "word " * 2000


def a_long_run(rounds: int, output: str = LONG) -> tuple[Transcript, list[call.TranscriptCondensed], list[Prompt]]:
    transcript, events, prompts = a_run(), [], []
    for turn in range(1, rounds + 1):
        prompt = transcript.prompt(ROLE, MODEL, PLAYBOOKS, UNOPENED)
        while (event := transcript.condense()) is not None:
            events.append(event)
            prompt = hear(transcript, event).prompt(ROLE, MODEL, PLAYBOOKS, UNOPENED)
        prompts.append(prompt)
        assert transcript.tokens <= 0.75 * ROLE.context_max_tokens
        hear(transcript, *a_round(turn, f"In round {turn} I decided on plan {turn}.", output, f"f{turn}.py"))
    return transcript, events, prompts


def test_a_long_run_is_told_in_short_and_stays_within_its_room() -> None:
    _, events, prompts = a_long_run(100)
    assert 5 <= len(events) <= 40
    assert all(list(breaches(prompt)) == [] for prompt in prompts)
    assert all(b.turn - a.turn >= 2 for a, b in pairwise(events))
    assert sum(len(event.text) for event in events) < 100 * 1000
    assert "I decided on plan" in events[-1].text and ".py" in events[-1].text
    last = prompts[-1]
    assert len(last.turns) >= 3 and "in short" in words(last.turns[0])
    assert "Build a parser." in words(last.turns[0])


def test_what_was_condensed_is_found_again_by_who_was_not_there() -> None:
    events: list[object] = []
    transcript = a_run()
    for turn in range(1, 40):
        prompt = transcript.prompt(ROLE, MODEL, PLAYBOOKS, UNOPENED)
        while (event := transcript.condense()) is not None:
            events.append(event)
            prompt = hear(transcript, event).prompt(ROLE, MODEL, PLAYBOOKS, UNOPENED)
        resumed = hear(a_run(), *events)
        assert asked(resumed) == prompt
        assert resumed.condense() is None
        events += a_round(turn, output=LONG)
        hear(transcript, *a_round(turn, output=LONG))
    assert any(isinstance(event, call.TranscriptCondensed) for event in events)


def test_condensing_breaks_the_cache_once_and_not_at_every_turn() -> None:
    _, events, prompts = a_long_run(60)
    broken = [prompt for prompt in prompts if prompt.cached_turns == 0]
    assert len(broken) == len(events) + 1
    for a, b in pairwise(prompts):
        assert b.turns[: b.cached_turns] == a.turns[: b.cached_turns]


def test_at_most_the_last_rounds_stay_whole_when_they_are_small() -> None:
    transcript = a_run()
    for turn in range(1, 400):
        hear(transcript, *a_round(turn, output="word " * 200))
    transcript.prompt(ROLE, MODEL, PLAYBOOKS, UNOPENED)
    event = transcript.condense()
    assert event is not None and event.turn == 399 - KEPT_ROUNDS
    assert estimate(event.text) <= 4000


def test_a_summary_keeps_what_failed_what_was_written_and_the_playbook_in_force() -> None:
    input: dict[str, object] = {"name": "plan", "inputs": {"it": "the parser"}}
    calls = [
        ToolCall("playbook", input),
        ToolCall("write", {"path": "a.py"}),
        ToolCall("run", SHELL),
        ToolCall("fly", {}),
    ]
    transcript = hear(
        a_run(),
        call.ModelReplied(1, "m", "I follow the plan.", calls),
        step.ToolRequested("1-1", "playbook", input),
        step.PlaybookOpened("1-1", "plan", "v1", 0, {"it": "the parser"}),
        step.ChecklistItemDone(1),
        step.StepEnded("1-1", True),
        step.ToolRequested("1-2", "write", {"path": "a.py", "content": LONG}),
        exec.ToolEnded("1-2", True, Excerpt("written"), 1, wrote=["a.py"]),
        step.StepEnded("1-2", True),
        step.ToolRequested("1-3", "run", SHELL),
        exec.ExecEnded("1-3", "exit", Excerpt("long story\nmake: *** no rule"), 1, 2),
        step.StepEnded("1-3", False),
        step.StepRefused("1-4", "fly", {}, "no such tool"),
        step.ModelRequested(2),
    )  # fmt: skip
    for turn in range(2, 16):
        hear(transcript, *a_round(turn, output=LONG))
    first = words(asked(transcript).turns[0])
    for said in (
        "I follow the plan.",
        "1-2 write a.py: done",
        "1-3 run make: exit 2",
        "make: *** no rule",
        "fly was refused: no such",
        "Files written so far: a.py",
        "Plan the parser well.",
        "1. [x] read",
    ):
        assert said in first, said


def test_a_smaller_model_gets_a_smaller_prompt() -> None:
    transcript, _, _ = a_long_run(8)
    small = MODEL._replace(context_max_tokens=24_000)
    prompt = asked(transcript, model=small)
    assert list(breaches(prompt)) == [] and prompt.cached_turns == 0
    assert transcript.tokens <= 16_000
    assert prompt.context_max_tokens <= 24_000


def test_what_a_round_says_is_cut_to_its_share() -> None:
    transcript = hear(a_run(), *a_round(1, output="x" * 500_000))
    (text,) = [block.text for block in asked(transcript).turns[-1].blocks if isinstance(block, Answered)]
    assert estimate(text) <= 15_000 and "letters left out" in text


TEXTS = st.text(max_size=300) | st.text(string.printable, max_size=300)


@given(TEXTS, TEXTS, st.integers(0, 200))
@settings(max_examples=300, deadline=None)
def test_texts_are_measured_alike_and_cut_to_measure(a: str, b: str, tokens: int) -> None:
    assert estimate(a + b) <= estimate(a) + estimate(b)
    assert estimate(cut(a, tokens)) <= tokens or estimate(a) <= tokens
    assert estimate(line(a, tokens)) <= tokens and "\n" not in line(a, tokens)
    if estimate(a) <= tokens:
        assert cut(a, tokens) is a


@given(st.lists(st.integers(0, 100), max_size=8), st.integers(0, 300))
def test_shares_are_fair(wanted: list[int], tokens: int) -> None:
    given = shares(wanted, tokens)
    assert sum(given) <= tokens and all(a <= b for a, b in zip(given, wanted, strict=True))
    if sum(wanted) <= tokens:
        assert given == wanted
    short = [a for a, b in zip(given, wanted, strict=True) if a < b]
    assert not short or max(given) - min(short) <= len(wanted)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("antidisestablishmentarianism", 6),
        ("お誕生日おめでとう", 9),
        ("tiktoken is great!", 6),
        ("The quick brown fox jumps over the lazy dog.", 10),
        ("550e8400-e29b-41d4-a716-446655440000", 24),
        ("def estimate(text: str) -> int:", 10),
    ],
)
def test_the_measure_is_not_below_what_is_known(text: str, tokens: int) -> None:
    assert tokens <= estimate(text) <= 2 * tokens
