"""What is known about failures: a corpus of real ones, each held to what it is, and the table of strategies."""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.essence import ERROR_CHARS
from actors.recovery import (
    FAILURES,
    HINT_CHARS,
    STRATEGIES,
    TRIES_MAX,
    classified,
    classify,
    known,
    recovery_of,
    wait_s,
)

CORPUS: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "recovery_corpus.toml").read_text())["faults"]
HOSTILE = ["\x1b[", "1", " ", "\n", "a:1:1", "=", "model ", "1, ", "file ", "fatal error: ", "\n= 1, ", "Tests: 1"]


@pytest.mark.parametrize("fault", CORPUS, ids=lambda fault: str(fault["name"]))
def test_a_recorded_fault_is_what_it_is(fault: dict[str, Any]) -> None:
    found = classify(
        fault["text"], exit=fault.get("exit"), ended_by=fault.get("ended_by", ""), tool=fault.get("tool", "")
    )
    assert found.failure == fault["failure"]
    assert found.recoverable == fault.get("recoverable", True)


def test_the_corpus_has_every_type_and_sixty_faults_and_this_is_its_table() -> None:
    wanted, right = Counter[str](), Counter[str]()
    for fault in CORPUS:
        found = classify(
            fault["text"], exit=fault.get("exit"), ended_by=fault.get("ended_by", ""), tool=fault.get("tool", "")
        )
        wanted[fault["failure"]] += 1
        right[fault["failure"]] += found.failure == fault["failure"]
    print(f"\n{'type':<20}{'faults':>8}{'as expected':>14}")
    for failure, count in wanted.most_common():
        print(f"{failure:<20}{count:>8}{right[failure]:>14}")
    assert len(CORPUS) >= 60 and right == wanted
    assert set(wanted) == set(FAILURES) - {"turns", "context"}


def test_a_name_stands_for_one_fault() -> None:
    assert len({fault["name"] for fault in CORPUS}) == len(CORPUS)


@given(st.text(), st.none() | st.integers(-300, 300), st.sampled_from(["", "silence", "cap", "exit"]))
def test_nothing_that_is_said_brings_the_classifier_down(text: str, exit: int | None, ended_by: str) -> None:
    found = classify(text, exit=exit, ended_by=ended_by, tool="run")
    assert found.failure in FAILURES
    assert len(found.error) <= ERROR_CHARS
    found.error.encode()


@given(st.sampled_from(HOSTILE), st.integers(1, 100_000), st.text(max_size=20))
def test_a_long_text_is_read_at_its_ends_only(piece: str, times: int, rest: str) -> None:
    assert classify(piece * times + rest).failure in FAILURES


def test_lone_surrogates_and_colours_do_not_get_through() -> None:
    found = classify("\x1b[31mSyntaxError\x1b[0m: \udc80 bad\x00")
    assert (found.failure, found.error) == ("syntax_error", "SyntaxError: ? bad")


@pytest.mark.parametrize("place", ["beginning", "end"])
def test_what_stands_at_either_end_of_a_long_text_is_found_and_told(place: str) -> None:
    noise, fault = "just noise\n" * 20_000, "PermissionError: no\n"
    found = classify(fault + noise if place == "beginning" else noise + fault)
    assert found.failure == "permission_denied" and "PermissionError: no" in found.error


def test_what_stands_before_the_place_is_told_too_and_of_a_known_type_the_place_is_looked_for() -> None:
    fault = '  File "/workspace/app.py", line 7\n    return total\nIndentationError: unexpected indent\n'
    text = "just noise\n" * 200 + fault + "more of it\n" * 200
    for found in (classify(text), classified("syntax_error", text), classify(text, exit=137)):
        assert len(found.error) <= ERROR_CHARS
        assert found.error.endswith("more of it")
    assert 'app.py", line 7' in classify(text).error and 'app.py", line 7' in known("syntax_error", text).error
    assert "KeyError: 'x'" in classify("just noise\n" * 200 + "KeyError: 'x'\n" + "more of it\n" * 200).error


def test_a_program_cannot_ask_for_a_person() -> None:
    assert classify("asked for help: --help", exit=2, tool="run").failure == "unknown"


def test_a_full_disk_is_for_good_also_where_the_type_is_known() -> None:
    text = "No space left on device\n" + "and so on\n" * 300
    assert not known("unknown", text).recoverable and known("timeout", text).recoverable


def test_a_known_type_is_kept_and_an_unknown_one_is_looked_for() -> None:
    assert classified("timeout", "SyntaxError: x").failure == "timeout"
    assert classified("unknown", "it is what it is").failure == "unknown"
    assert classified("of a later release", "SyntaxError: x").failure == "syntax_error"
    assert not classified("model_error", "invalid x-api-key").recoverable
    assert not classified("help", "which one?").recoverable


def test_a_killed_process_is_read_the_same_in_both_notations() -> None:
    assert classify("", exit=-9) == classify("", exit=137)


def test_a_wrong_key_in_a_program_that_is_tested_says_nothing_about_our_mind() -> None:
    assert classify("invalid api key", exit=1, tool="test").failure == "test_failure"


@pytest.mark.parametrize("failure", FAILURES)
def test_the_pause_grows_and_has_a_cap(failure: str) -> None:
    pauses = [wait_s(failure, tries) for tries in range(1, 50)]
    assert pauses[0] > 0 and pauses == sorted(pauses)
    assert wait_s(failure, 2) == 2 * wait_s(failure, 1)
    assert max(pauses) <= 120


@given(st.sampled_from(FAILURES), st.text(max_size=5000), st.lists(st.text(max_size=300), max_size=40))
def test_a_hint_is_bounded_whatever_was_said(failure: str, error: str, so_far: list[str]) -> None:
    recovery = recovery_of(classified(failure, error), tries=1, tier=2, so_far=so_far)
    assert len(recovery.hint) <= HINT_CHARS and len(recovery.error) <= ERROR_CHARS


def test_a_hint_says_what_to_do_and_what_was_seen_and_what_others_tried() -> None:
    found = classify("FileNotFoundError: 'x.json'", exit=1, tool="run")
    first = recovery_of(found, tries=2, tier=1)
    assert (first.failure, first.strategy, first.tries, first.tier) == ("file_not_found", "look_first", 2, 1)
    assert first.hint.startswith("Something is not where") and "x.json" in first.hint
    second = recovery_of(found, tier=2, so_far=["timeout, tried smaller_scope: slow"])
    assert second.strategy == "fresh_agent" and "tried smaller_scope" in second.hint


def test_every_type_but_a_question_has_a_strategy() -> None:
    assert set(FAILURES) - set(STRATEGIES) == {"help"} and TRIES_MAX == 3
    assert STRATEGIES["loop"] == STRATEGIES["turns"]
