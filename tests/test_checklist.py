"""What counts as a step in a task's text, and what a submission makes of it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.orchestrator.checklist import STEP_CHARS, STEPS_BYTES, steps_of
from actors.orchestrator.decide import Orchestrator
from actors.orchestrator.workflow import Phase, Workflow
from bus.messages import task
from bus.messages.agent import AgentJoined, WorkAssigned
from tests.given import Story

FLOW = Workflow("one", "for tests", [Phase("code", "coder")])


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("1. read\n2. write", ["read", "write"]),
        ("Do this:\n\n  1) read\n  2) write  \n\nThanks.", ["read", "write"]),
        ("- [ ] read\n- [x] think\n* [ ] write", ["read", "write"]),
        ("1. read\n   1. the book\n   2. the paper\n2. write", ["read", "write"]),
        ("First:\n1. a\n2. b\nThen:\n1. c\n2. d", ["a", "b", "c", "d"]),
        ("1. read\n\n2. write\n\n7. leap", ["read", "write"]),
        ("1. only one", []),
        ("build a calculator", []),
        ("3.14 is pi\n2.71 is e", []),
        ("```\n1. not\n2. this\n```", []),
        ("2024. was long\n2025. is longer", []),
        ("- plain\n- list", []),
        ("", []),
    ],
)
def test_a_step_is_a_numbered_line_or_an_open_box(text: str, steps: list[str]) -> None:
    assert steps_of(text) == steps


@given(
    st.text(max_size=3000)
    | st.lists(st.sampled_from(["1. é", "2. x", "- [ ] y", " ", "```"]), max_size=300).map("\n".join)
)
def test_a_checklist_is_bounded_whatever_the_text_is(text: str) -> None:
    steps = steps_of(text)
    assert len(steps) != 1 and all(0 < len(step) <= STEP_CHARS for step in steps)
    assert len("".join(steps).encode(errors="replace")) <= STEPS_BYTES


def submitted(**wish: Any) -> task.TaskSubmitted:
    told = story().when(task.SubmitTask(workflow="one", **wish)).told()
    return next(event for _, event in told if isinstance(event, task.TaskSubmitted))


def story() -> Story:
    return Story(lambda: Orchestrator({"one": FLOW}, 60, 2)).given("evt.agent.roster", AgentJoined("coder-1", "coder"))


def test_required_actions_go_before_the_steps_in_the_text() -> None:
    assert submitted(task="1. a\n2. b").checklist == ["a", "b"]
    assert submitted(task="1. a\n2. b", required_actions=["c"]).checklist == ["c"]


def test_the_agent_is_given_the_checklist() -> None:
    told = story().when(task.SubmitTask(task="1. a\n2. b", workflow="one")).told()
    assert [event.checklist for _, event in told if isinstance(event, WorkAssigned)] == [["a", "b"]]


def test_repository_and_branch_are_carried_and_one_repository_has_one_name() -> None:
    told = submitted(task="x", repo="/srv//shop/./", base="main")
    assert (told.repo, told.base) == ("/srv/shop", "main")


def test_a_path_that_is_not_absolute_is_refused() -> None:
    story().when(task.SubmitTask(task="x", workflow="one", repo="shop")).then_refused("absolute")


def test_a_task_of_the_largest_size_fits_into_its_assignment() -> None:
    lines = "\n".join(f"{n % 900 + 1}. {'é' * 17}" for n in range(900))[:20_000]
    told = story().when(task.SubmitTask(task=lines, workflow="one")).told()
    assert len(msgspec.json.encode([event for _, event in told if isinstance(event, WorkAssigned)])) < 56 * 1024
