"""A mind that says much at once is heard: long texts stand apart, and whoever needs them has them whole."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.agent.loop import CUT_SHORT
from actors.agent.mind import ScriptedTurn
from actors.apart import CALLS_MAX, CALLS_MAX_BYTES, apart, too_large, whole
from actors.treasurer.asking import Answered, Asked, Text
from bus.blobs import sha256
from bus.envelope import COMMIT_MAX_BYTES
from bus.log import replay
from bus.messages import call, exec, step, task
from bus.messages.base import Artifact, Excerpt, Input, ToolCall
from bus.messages.run import RunFinished
from tests.buying_ground import CALL, PAID, STEP, Desk
from tests.fake_openai import said
from tests.test_loop import a_run, asked
from tests.test_models_at_work import MODEL, Worker, submit, until, witan
from tests.test_treasurer import FIRST, door

LONG = "".join(f"line_{number} = {number}\n" for number in range(2500))
"""Some 45 KB."""


def write(content: str = LONG) -> ToolCall:
    return ToolCall("write", {"path": "long.py", "content": content})


def test_a_model_writes_a_file_of_40_kb_in_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And sees the call, and the 15 KB of it that it reads, as they were when it is asked the next time."""
    reply = said("I write it.", ("write", json.dumps({"path": "long.py", "content": LONG})))
    look = said("I look.", ("read", json.dumps({"path": "long.py", "lines": 600})))
    with Worker(models=[MODEL]) as server, witan(tmp_path, server, monkeypatch) as app:
        server.say(reply, look)
        submit(app)
        events = until(app, task.TaskCompleted, task.PersonAsked)
        path = next(event.path for event in events if type(event).__name__ == "WorkspaceOpened")
        assert Path(path, "long.py").read_text() == LONG

        async def sizes() -> list[int]:
            return [len(record.body) async for batch in replay(app.log) for record in batch]

        assert max(app.bridge.run(sizes(), timeout_s=20)) < 20_000
        prompts = [request.json["messages"] for request in server.asked if request.method == "POST"]
    (wrote,) = [json.loads(each["function"]["arguments"]) for each in prompts[1][-2]["tool_calls"]]
    assert wrote == {"path": "long.py", "content": LONG}
    assert "line_599 = 599" in prompts[2][-1]["content"] and "left out" not in prompts[2][-1]["content"]
    assert prompts[2][: len(prompts[1])] == prompts[1], "what was asked before is asked in the same words"
    assert any(isinstance(event, task.TaskCompleted) for event in events)


@pytest.mark.parametrize("letters", ["x", "é", "\x01", "\\", "中"])
def test_what_stands_apart_comes_back_as_it_was(letters: str) -> None:
    calls = [write(letters * 50_000), ToolCall("finish", {"artifacts": [{"name": "a", "content": letters * 9000}]})]
    kept = apart(calls)
    blobs = {sha256(blob): blob for blob in kept.blobs}
    assert len(msgspec.json.encode(kept.calls)) < 1000
    assert [ToolCall(each.tool, whole(each.input, blobs.__getitem__)) for each in kept.calls] == calls


def test_many_calls_fit_and_too_many_do_not() -> None:
    many = [write("y" * 900) for _ in range(CALLS_MAX)]
    kept = apart(many)
    assert too_large("", many, kept) == "" and len(msgspec.json.encode(kept.calls)) <= CALLS_MAX_BYTES
    assert "several turns" in too_large("", [*many, write("")], kept)
    assert "several turns" in too_large("", [write("x" * 1_100_000)], apart([write("x" * 1_100_000)]))
    assert "several turns" in too_large("x" * 1_100_000, [], apart([]))


def test_a_mind_that_writes_the_mark_itself_gets_nobody_elses_text() -> None:
    mine: dict[str, Any] = {"inputs": {"text": {"$blob": sha256(b"secret"), "bytes": 6}}}
    (kept,), blobs = apart([ToolCall("playbook", mine)])
    assert blobs == [] and "$blob" not in msgspec.json.encode(kept.input).decode()


def test_a_script_may_say_as_much() -> None:
    play = door(ScriptedTurn("code", "t" * 20_000, [write()])).hears(FIRST, STEP)
    (reply,) = play.events(call.ModelReplied)
    assert len(msgspec.json.encode(reply)) < 20_000 and len(reply.text) < 20_000
    assert play.blob(reply.whole) == b"t" * 20_000
    assert whole(reply.calls[0].input, play.blob) == write().input


def test_a_reply_over_a_megabyte_is_paid_for_and_has_failed_in_words() -> None:
    desk = Desk(PAID)
    desk.asks()
    (failed,) = desk.says("", write("x" * 1_100_000)).events(call.ModelFailed)
    assert (failed.failure, failed.micro > 0) == ("model_error", True) and "several turns" in failed.reason


def heard(desk: Desk, reply: call.ModelReplied, output: Excerpt, turn: int) -> None:
    """What agent and executor make of a reply of one call."""
    id = f"{turn}-1"
    desk.given(STEP, step.ToolRequested(id, reply.calls[0].tool, reply.calls[0].input))
    desk.given("evt.exec.c.t-1", exec.ToolEnded(id, True, output, 1))
    desk.given(STEP, step.StepEnded(id, True))


def test_the_prompt_holds_long_calls_thoughts_and_outputs_whole_also_after_a_crash() -> None:
    desk = Desk(PAID)
    desk.asks()
    thought = "I think. " * 3000
    (reply,) = desk.says(thought, write()).events(call.ModelReplied)
    output = "seen " * 5000
    kept = desk.given_blob(output.encode())
    heard(desk, reply, Excerpt("seen … seen", len(output), kept), 1)
    asking = desk.asks(2)
    mind, user = asking.prompt.turns[1:3]
    assert mind.blocks == (Text(thought.strip()), Asked("1-1", "write", write().input))
    assert user.blocks == (Answered("1-1", output, True),)
    desk.crash()
    lost = desk.asks(2, 1)
    assert lost.prompt.turns == asking.prompt.turns


def test_what_earlier_phases_made_is_in_the_prompt_whole() -> None:
    """Though its text is not on the log."""
    desk = Desk(PAID, inputs=[Input("design", "d", "t-0")])
    design = "The parser reads one token at a time. " * 800
    artifact = Artifact("design.md", "design", desk.given_blob(design.encode()), len(design))
    binary = Artifact("logo.png", "image", desk.given_blob(b"\x89PNG\xff\x00" * 50), 300)
    desk.given("evt.run.d.t-0", RunFinished([artifact, binary]))
    (first,) = desk.asks().prompt.turns
    told = {block.source: block.text for block in first.blocks if isinstance(block, Text)}
    assert told[f"artifact design.md, design, {len(design)} bytes"] == design
    assert told["artifact logo.png, image, 300 bytes"] == "(not shown)"


def test_no_commit_of_an_agent_is_too_large_for_the_log_whatever_it_refuses() -> None:
    calls = [ToolCall("nothing" * 20, {"a": "b" * 900}) for _ in range(CALLS_MAX)]
    play = a_run()
    reply = call.ModelReplied(1, "m", "", apart(calls).calls)
    outcome = play.hears(reply, CALL).outcome
    assert outcome is not None and max(len(draft.body) for draft in outcome.drafts) < COMMIT_MAX_BYTES
    assert len([draft for draft in outcome.drafts if ".step." in draft.subject]) == 1


def test_a_reply_that_was_cut_off_is_told_so() -> None:
    play = a_run().hears(call.ModelReplied(1, "m", "I write", stop="length"), CALL)
    assert [event.note for event in play.events(step.ModelRequested)] == [CUT_SHORT] and asked(play) == [(2, 0)]
