"""The programs `claude` and `codex` as providers, against executables that print what the real ones are documented to.

The real ones were never run here: their flags and lines are taken from their documentation and source.
"""

import asyncio
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from actors.treasurer.asking import (
    Answered,
    Asked,
    Prompt,
    Provider,
    ProviderFailed,
    Reply,
    Text,
    ToolSpec,
    Turn,
)
from actors.treasurer.providers.program_kinds import CLAUDE, CODEX
from actors.treasurer.providers.program_words import conversation, rules
from actors.treasurer.providers.programs import OUTPUT_MAX_BYTES, Program
from bus.messages.base import ToolCall
from bus.messages.call import Usage
from tests import fake_program as fake
from tests.fake_program import FakeProgram, Play
from tests.test_provider_anthropic import CANARY, conversations

READ = ToolSpec("read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})
HELLO = (Turn("user", (Text("Say hello."),)),)
USAGE = Usage(4, 25, 2000, 300)
LIMIT_S = 30.0
SECRET = "sk-program-secret-0123456789"


@pytest.fixture
def claude(tmp_path: Path) -> FakeProgram:
    return FakeProgram(tmp_path / "bin", "claude")


@pytest.fixture
def codex(tmp_path: Path) -> FakeProgram:
    return FakeProgram(tmp_path / "elsewhere", "codex")


def provider(program: FakeProgram, **environ: str) -> Program:
    return Program(CLAUDE if program.name == "claude" else CODEX, {**program.environ, **environ})


def prompt(*turns: Turn, tools: tuple[ToolSpec, ...] = (), **more: Any) -> Prompt:
    return Prompt("claude-sonnet-5-5", "You are a coder.", turns or HELLO, tools, 1000, 200_000, **more)


def ask(program: FakeProgram, play: Play, said: Prompt | None = None, heard: list[str] | None = None) -> Reply:
    program.plays(play)
    hear = ([] if heard is None else heard).append
    return asyncio.run(provider(program).ask(said or prompt(), hear, LIMIT_S))


def fail(program: FakeProgram, play: Play, said: Prompt | None = None, limit_s: float = LIMIT_S) -> ProviderFailed:
    program.plays(play)
    with pytest.raises(ProviderFailed) as raised:
        asyncio.run(provider(program).ask(said or prompt(), lambda _: None, limit_s))
    return raised.value


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_claude_is_heard_piece_by_piece_and_tells_its_usage(claude: FakeProgram) -> None:
    heard: list[str] = []
    reply = ask(claude, Play(fake.claude("Hel", "lo ä")), heard=heard)
    assert reply == Reply("Hello ä", (), "end", USAGE, "claude-sonnet-5-5", 2100)
    assert heard == ["Hel", "lo ä"]


def test_codex_tells_its_usage_without_what_the_cache_held(codex: FakeProgram) -> None:
    heard: list[str] = []
    reply = ask(codex, Play(fake.codex("Hello")), prompt()._replace(model="gpt-5.5"), heard)
    assert reply == Reply("Hello", (), "end", Usage(300, 30, 600), "gpt-5.5")
    assert heard == ["Hello"]


def test_calls_are_asked_for_as_json(claude: FakeProgram) -> None:
    heard: list[str] = []
    pieces = ('{"text":"I look.","calls":[{"tool":"read",', '"input":{"path":"a"}},{"tool":"run","input":{}}]}')
    reply = ask(claude, Play(fake.claude(*pieces)), prompt(tools=(READ,)), heard)
    assert reply.calls == (ToolCall("read", {"path": "a"}), ToolCall("run", {}))
    assert (reply.text, reply.stop, heard) == ("I look.", "tools", ["I look."])
    (note,) = claude.notes
    assert '"tool":"read"' in note["rules"] and "Say hello." in note["stdin"]


@pytest.mark.parametrize(
    ("text", "thought", "calls"),
    [
        ('```json\n{"text":"a","calls":[]}\n```', "a", 0),
        ('Here it is: {"text":"a","calls":[{"tool":"read","input":{}}]} Good luck!', "a", 1),
        ("I am done.", "I am done.", 0),
        ("{}", "", 0),
    ],
)
def test_an_answer_in_wrappings_is_an_answer(claude: FakeProgram, text: str, thought: str, calls: int) -> None:
    reply = ask(claude, Play(fake.claude(text)), prompt(tools=(READ,)))
    assert (reply.text, len(reply.calls)) == (thought, calls)


@pytest.mark.parametrize(
    "text", ['{"text":1,"calls":[]}', '{"calls":[{"tool":"read"}]}', '{"calls":[{"tool":', "{}" * 9]
)
def test_an_answer_of_another_form_is_a_failure_that_was_paid_for(claude: FakeProgram, text: str) -> None:
    said = prompt(tools=(READ,)) if "calls" in text else prompt(json_schema={"type": "object"})
    failed = fail(claude, Play(fake.claude(text)), said)
    assert (failed.failure, failed.charged, failed.usage) == ("model_error", "usage", USAGE)


def test_a_shape_is_asked_for_and_looked_at(codex: FakeProgram) -> None:
    schema = {"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}
    assert ask(codex, Play(fake.codex('```\n{"score": 3}\n```')), prompt(json_schema=schema)).text == '{"score":3}'
    assert "score" in fail(codex, Play(fake.codex('{"stars": 3}')), prompt(json_schema=schema)).reason


def test_claude_gets_no_tools_no_settings_and_nothing_of_ours(claude: FakeProgram) -> None:
    claude.plays(Play(fake.claude("x")))
    more = {"OPENAI_API_KEY": "other", "GITHUB_TOKEN": "other", "CLAUDECODE": "1", "LD_PRELOAD": "x"}
    asyncio.run(provider(claude, **more).ask(prompt(effort="low"), lambda _: None, LIMIT_S))
    (note,) = claude.notes
    argv = note["argv"]
    assert argv[argv.index("--tools") + 1] == "" and argv[argv.index("--setting-sources") + 1] == ""
    assert {"-p", "--strict-mcp-config", "--no-session-persistence", "--verbose"} <= set(argv)
    assert argv[argv.index("--effort") + 1] == "low" and argv[argv.index("--max-turns") + 1] == "1"
    assert not [each for each in argv if "coder" in each or "hello" in each], "others can read a command line"
    assert "other" not in note["environ"].values() and not {"CLAUDECODE", "LD_PRELOAD"} & set(note["environ"])
    assert note["environ"]["ANTHROPIC_API_KEY"] == SECRET and note["environ"]["HOME"] == str(claude.home)
    assert note["environ"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "1000"
    assert note["folder"] == ["rules.txt"] and not os.path.exists(note["cwd"])


def test_codex_gets_no_shell_no_web_and_no_configuration(codex: FakeProgram) -> None:
    ask(codex, Play(fake.codex("x")), prompt()._replace(model="gpt-5.5"))
    (note,) = codex.notes
    argv = note["argv"]
    assert argv[:2] == ["exec", "--json"] and argv[-1] == "-"
    assert argv[argv.index("--sandbox") + 1] == "read-only" and argv[argv.index("--disable") + 1] == "shell_tool"
    assert {"--ephemeral", "--ignore-user-config", "--ignore-rules", 'web_search="disabled"'} <= set(argv)
    assert note["stdin"].index("You are a coder.") < note["stdin"].index("Say hello.")


def test_words_that_are_not_ours_stand_between_marks_and_never_in_the_rules(claude: FakeProgram) -> None:
    turns = (
        Turn("user", (Text("Mend it."), Text("CANARY-1", "a file"))),
        Turn("assistant", (Text("CANARY-2"), Asked("1.1", "read", {"path": "CANARY-3"}))),
        Turn("user", (Answered("1.1", "CANARY-4", False),)),
    )
    ask(claude, Play(fake.claude('{"text":"x"}')), prompt(*turns, tools=(READ,)))
    (note,) = claude.notes
    assert "CANARY" not in note["rules"] and "CANARY" not in str(note["argv"])
    for number in (1, 2, 4):
        before, _, after = note["stdin"].partition(f"CANARY-{number}")
        assert before.endswith(">\n") and after.startswith("\n</quoted-")


@settings(max_examples=100, deadline=None)
@given(conversations())
def test_whatever_is_said_its_rules_are_ours_alone(said: Prompt) -> None:
    assert CANARY not in rules(said)
    outside = re.sub(r"<(quoted-[0-9a-f]+) .*?\n</\1>", "", conversation(said), flags=re.DOTALL)
    assert CANARY not in outside


INIT = fake.claude_init()
REJECTED = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": time.time() + 3600}}
RETRY = {"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 10, "retry_delay_ms": 2500}


def refused(text: str, status: int | None = None, **more: Any) -> dict[str, Any]:
    nothing = {"input_tokens": 0, "output_tokens": 0}
    return fake.claude_result(text, is_error=True, api_error_status=status, usage=nothing, **more)


@pytest.mark.parametrize(
    ("play", "failure", "charged"),
    [
        (Play((INIT, refused("Invalid API key · Please run /login"))), "help", "unknown"),
        (Play((INIT, refused("API Error: 401", 401)), code=1), "help", "nothing"),
        (Play((INIT, refused("There's an issue with the selected model", 404))), "help", "nothing"),
        (Play((INIT, refused("Prompt is too long", 400))), "context", "nothing"),
        (Play((INIT, refused("Overloaded", 529))), "rate_limit", "nothing"),
        (Play((INIT, {**RETRY, "error_status": 529, "error": "overloaded"}), hangs=True), "rate_limit", "nothing"),
        (Play((INIT, {**RETRY, "error_status": None, "error": "unknown"}), hangs=True), "model_error", "unknown"),
        (Play((INIT, fake.claude_result("", subtype="error_max_turns", is_error=True))), "model_error", "usage"),
        (Play((fake.claude_init(["Bash", "Read"]),), hangs=True), "model_error", "unknown"),
        (Play((INIT,), code=3), "model_error", "unknown"),
        (Play((INIT, '{"type":"result", nonsense\n'), hangs=True), "model_error", "unknown"),
        (Play((INIT, {"type": "result", "subtype": "success", "usage": 3}), hangs=True), "model_error", "unknown"),
        (Play(complaint="error: unknown option '--tools'\n", code=1), "model_error", "nothing"),
        (Play(deaf=True), "model_error", "nothing"),
    ],
)
def test_how_claude_fails_is_told(claude: FakeProgram, play: Play, failure: str, charged: str) -> None:
    failed = fail(claude, play)
    assert (failed.failure, failed.charged) == (failure, charged)


def test_a_limit_of_claude_says_for_how_long(claude: FakeProgram) -> None:
    failed = fail(claude, Play((INIT, REJECTED, refused("You've hit your limit", 429))))
    assert failed.failure == "rate_limit" and 3000 < failed.wait_s <= 3600
    assert fail(claude, Play((INIT, {**RETRY, "error_status": 429}), hangs=True)).wait_s == 2.5


@pytest.mark.parametrize(
    ("lines", "failure", "charged"),
    [
        (({"type": "turn.failed", "error": {"message": "stream disconnected"}},), "model_error", "unknown"),
        (({"type": "error", "message": "unexpected status 401 Unauthorized"},), "help", "nothing"),
        (({"type": "turn.failed", "error": {"message": "You've hit your usage limit."}},), "rate_limit", "nothing"),
        ((fake.codex_item("command_execution", command="ls"),), "model_error", "unknown"),
        ((fake.codex_item("file_change", changes=[]),), "model_error", "unknown"),
        ((), "model_error", "unknown"),
    ],
)
def test_how_codex_fails_is_told(
    codex: FakeProgram, lines: tuple[dict[str, Any], ...], failure: str, charged: str
) -> None:
    failed = fail(codex, Play(({"type": "thread.started", "thread_id": "x"}, *lines), code=1))
    assert (failed.failure, failed.charged) == (failure, charged)


def test_an_error_that_codex_got_over_is_no_failure(codex: FakeProgram) -> None:
    lines = ({"type": "error", "message": "Reconnecting... 1/5"}, *fake.codex("Hello"))
    assert ask(codex, Play(lines)).text == "Hello"


def test_notices_and_unknown_lines_are_left_aside(claude: FakeProgram) -> None:
    odd = ("A new version is there!\n", "\n", {"type": "a_type_of_next_year", "tools": "none", "model": 7})
    assert ask(claude, Play((*odd, *fake.claude("x")), complaint="warning\n" * 10_000)).text == "x"


def test_output_without_end_is_cut_off(claude: FakeProgram) -> None:
    failed = fail(claude, Play((INIT, "x" * 9_000_000), hangs=True))
    assert "cannot be read" in failed.reason
    line = "x" * 4_000_000 + "\n"
    failed = fail(claude, Play((INIT, *[line] * (OUTPUT_MAX_BYTES // len(line) + 1)), hangs=True))
    assert "more than any reply can hold" in failed.reason


def test_a_large_prompt_goes_in_whole_and_is_not_waited_for_if_nobody_reads_it(claude: FakeProgram) -> None:
    said = prompt(Turn("user", (Text("x" * 3_000_000 + " the end"),)))
    assert ask(claude, Play(fake.claude("ok")), said).text == "ok"
    assert "the end" in claude.notes[-1]["stdin"]
    assert ask(claude, Play(fake.claude("ok"), deaf=True), said).text == "ok"


def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(claude: FakeProgram) -> None:
    failed = fail(claude, Play((INIT,), hangs=True, children=True), limit_s=2)
    assert (failed.failure, failed.charged) == ("timeout", "unknown")
    (note,) = claude.notes
    assert [pid for pid in (note["pid"], *note["children"]) if alive(pid)] == []
    assert not os.path.exists(note["cwd"])


def test_an_ask_that_is_cancelled_leaves_nothing_behind(claude: FakeProgram) -> None:
    async def run() -> None:
        begun = asyncio.Event()
        asking = asyncio.create_task(provider(claude).ask(prompt(), lambda _: begun.set(), LIMIT_S))
        await begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    claude.plays(Play((INIT, fake.claude_delta("He")), hangs=True, children=True))
    asyncio.run(run())
    (note,) = claude.notes
    assert [pid for pid in (note["pid"], *note["children"]) if alive(pid)] == []


def test_what_a_program_leaves_running_is_ended_when_it_ends(claude: FakeProgram) -> None:
    assert ask(claude, Play(fake.claude("x"), children=True)).text == "x"
    (note,) = claude.notes
    assert [pid for pid in note["children"] if alive(pid)] == []


def test_many_are_asked_at_once(claude: FakeProgram) -> None:
    claude.plays(Play(fake.claude("x")))

    async def run() -> list[Reply]:
        mind = provider(claude)
        return await asyncio.gather(*(mind.ask(prompt(), lambda _: None, LIMIT_S) for _ in range(8)))

    assert [reply.text for reply in asyncio.run(run())] == ["x"] * 8
    assert len({note["cwd"] for note in claude.notes}) == 8


def test_the_key_of_a_program_is_in_no_error(claude: FakeProgram, codex: FakeProgram) -> None:
    plays = (Play((INIT, refused(SECRET, 401))), Play(complaint=SECRET, code=1), Play((INIT, f'{{"{SECRET}\n'), code=1))
    failures = [fail(claude, play) for play in plays]
    lines = ({"type": "turn.failed", "error": {"message": SECRET}},)
    failures.append(fail(codex, Play(lines)))
    assert [str(failed) + repr(failed) for failed in failures if SECRET in str(failed) + repr(failed)] == []
    assert SECRET not in repr(provider(claude)) + str(asyncio.run(provider(claude).standing()))


def test_where_a_program_stands_is_told_without_running_it(claude: FakeProgram) -> None:
    async def stand(mind: Provider) -> tuple[bool, str, str]:
        _, usable, why, what_next = await mind.standing()
        return usable, why, what_next

    nowhere = Program(CLAUDE, {"PATH": "/nonexistent", "HOME": str(claude.home)})
    usable, why, what_next = asyncio.run(stand(nowhere))
    assert not usable and "PATH" in why and "install" in what_next
    assert asyncio.run(stand(provider(claude)))[0]
    known = {"PATH": str(claude.folder), "HOME": str(claude.home)}
    usable, why, what_next = asyncio.run(stand(Program(CLAUDE, known)))
    assert not usable and "logged in" in why and "log in" in what_next
    (claude.home / ".claude").mkdir()
    (claude.home / ".claude" / ".credentials.json").write_text("{}")
    assert asyncio.run(stand(Program(CLAUDE, known)))[0]
    assert claude.notes == []
    with pytest.raises(ProviderFailed) as raised:
        asyncio.run(nowhere.ask(prompt(), lambda _: None, LIMIT_S))
    assert (raised.value.failure, raised.value.charged) == ("help", "nothing")


def test_their_models_can_be_named_by_a_person(claude: FakeProgram) -> None:
    assert {model.provider for model in asyncio.run(provider(claude).models())} == {"claude"}
    mine = CODEX.models[0]._replace(name="gpt-9")
    assert asyncio.run(Program(CODEX, {}, [mine]).models()) == [mine]
