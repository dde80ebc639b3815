"""OpenAI and all who speak its interface, against a real server that speaks it: the words, the counts, the failures."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.treasurer.asking import Asked, Model, ProviderFailed, Reply, Text, Turn
from actors.treasurer.providers.chat_presets import PRESETS
from actors.treasurer.providers.chat_request import Dialect, Shape, encoded, is_closed, messages_of, request_of
from actors.treasurer.providers.chat_stream import UNREADABLE, Counted
from actors.treasurer.providers.openai import OpenAI
from actors.treasurer.quoting import quoted
from bus.messages.call import Usage
from tests.chats import FOREIGN, LONG_S, READ, TURNS, ask, failure, prompt, run
from tests.fake_openai import DONE, FakeOpenAI, chunk, counted, refused, said, streamed

KEY = "sk-canary-5f2e9c71d0a84b63"
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"score": {"type": "integer"}},
    "required": ["score"],
    "additionalProperties": False,
}


def adapter(server: FakeOpenAI, name: str = "openai", key: str = KEY) -> OpenAI:
    preset = PRESETS[name]
    return OpenAI(preset, {preset.address_variable: f"{server.url}/v1", preset.key_variable: key})


def test_a_reply_is_heard_as_it_comes_and_counted() -> None:
    heard: list[str] = []
    with FakeOpenAI() as server:
        server.say(said("Hello dear world"))
        reply = run(lambda p: p.ask(prompt(), heard.append, LONG_S), adapter(server))
    assert heard == ["Hello ", "dear ", "world"]
    assert reply == Reply("Hello dear world", (), "end", Usage(input=120, output=30), "gpt-4o-2024-08-06")
    asked = server.asked[0]
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.json == {
        "model": "qwen3:8b",
        "messages": [
            {"role": "system", "content": "You are a coder."},
            {"role": "user", "content": "Say hello."},
        ],
        "max_completion_tokens": 500,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("name", ["deepseek", "gemini", "openrouter", "custom"])
def test_the_others_are_given_the_older_limit(name: str) -> None:
    with FakeOpenAI() as server:
        assert ask(adapter(server, name)).text == "All is well."
    body = server.asked[0].json
    assert body["max_tokens"] == 500 and "max_completion_tokens" not in body


def test_parallel_calls_are_put_together_from_their_pieces() -> None:
    with FakeOpenAI() as server:
        server.say(said("Let me see.", ("read", '{"path": "a.py"}'), ("run", '{"command": "ls"}')))
        reply = ask(adapter(server), prompt(tools=(READ,)))
    assert [(call.tool, call.input) for call in reply.calls] == [("read", {"path": "a.py"}), ("run", {"command": "ls"})]
    assert (reply.text, reply.stop) == ("Let me see.", "tools")
    assert server.asked[0].json["tools"][0]["function"]["parameters"] == READ.schema


@pytest.mark.parametrize(
    "heads",
    [
        [{"index": 0, "id": "a"}, {"index": 0, "id": "b"}],
        [{"index": 0, "id": ""}, {"index": 0, "id": ""}],
        [{"id": "a"}, {"id": "b"}],
        [{}, {}],
    ],
)
def test_calls_are_told_apart_though_they_are_numbered_badly(heads: list[dict[str, Any]]) -> None:
    calls = [{**head, "function": {"name": "read", "arguments": json.dumps({"path": str(at)})}} for at, head in
             enumerate(heads)]  # fmt: skip
    with FakeOpenAI() as server:
        server.say(streamed(*(chunk({"tool_calls": [call]}) for call in calls), chunk({}, "stop"), DONE))
        reply = ask(adapter(server))
    assert [call.input for call in reply.calls] == [{"path": "0"}, {"path": "1"}]
    assert reply.stop == "tools"


def test_a_new_id_with_each_piece_is_still_one_call() -> None:
    pieces = [
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "read", "arguments": '{"pa'}}]}),
        chunk({"tool_calls": [{"index": 0, "id": "b", "function": {"arguments": 'th": "x"}'}}]}),
    ]
    with FakeOpenAI() as server:
        server.say(streamed(*pieces, chunk({}, "tool_calls"), DONE))
        assert [call.input for call in ask(adapter(server)).calls] == [{"path": "x"}]


@pytest.mark.parametrize("words", ['{"path": ', "[1]", '"a"', "nonsense"])
def test_an_input_that_is_no_object_goes_to_the_tool_that_will_refuse_it(words: str) -> None:
    with FakeOpenAI() as server:
        server.say(said("", ("read", words)))
        assert ask(adapter(server)).calls[0].input == {UNREADABLE: words}
        server.say(said("", ("read", '{"path": "a"}'), ("read", '{"pa'), finish="length"))
        reply = ask(adapter(server))
    assert reply.stop == "length" and [call.input for call in reply.calls] == [{"path": "a"}]


@pytest.mark.parametrize(
    ("finish", "stop"),
    [("stop", "end"), ("length", "length"), ("content_filter", "refusal"), ("tool_calls", "tools"), ("new", "end")],
)
def test_why_it_stopped(finish: str, stop: str) -> None:
    with FakeOpenAI() as server:
        server.say(said("Well", finish=finish))
        assert ask(adapter(server)).stop == stop


def test_a_refusal_is_told_as_one() -> None:
    with FakeOpenAI() as server:
        server.say(streamed(chunk({"refusal": "I cannot."}), chunk({}, "stop"), counted({"prompt_tokens": 3}), DONE))
        reply = ask(adapter(server))
    assert (reply.text, reply.stop, reply.usage) == ("I cannot.", "refusal", Usage(input=3))


def test_hidden_thoughts_are_not_text_but_are_paid() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 45}}
    with FakeOpenAI() as server:
        server.say(
            streamed(chunk({"reasoning_content": "Hm."}), chunk({"content": "Yes"}, "stop"), counted(usage), DONE)
        )
        reply = ask(adapter(server, "deepseek"))
    assert (reply.text, reply.usage) == ("Yes", Usage(input=10, output=50))


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": 100, "completion_tokens": 5}, Usage(input=100, output=5)),
        ({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 80}}, Usage(input=20, cache_read=80)),
        (
            {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30}},
            Usage(input=10, cache_read=60, cache_write=30),
        ),
        ({"prompt_tokens": 100, "prompt_cache_hit_tokens": 64}, Usage(input=36, cache_read=64)),
        ({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 150}, Usage(input=100, output=50)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}, Usage(cache_read=9)),
        ({"prompt_tokens": None, "prompt_tokens_details": None}, Usage()),
        ({"prompt_tokens": -5, "completion_tokens": -5}, Usage()),
    ],
)
def test_every_token_is_counted_once(told: dict[str, Any], usage: Usage) -> None:
    with FakeOpenAI() as server:
        server.say(said("Yes", usage=told))
        assert ask(adapter(server)).usage == usage


@given(st.builds(Counted, *[st.none() | st.integers(0, 10**9)] * 3))
def test_no_token_that_was_counted_is_forgotten(told: Counted) -> None:
    usage = told.usage()
    assert usage.input + usage.cache_read + usage.cache_write >= (told.prompt_tokens or 0)
    assert usage.output >= (told.completion_tokens or 0)


def test_who_does_not_count_is_taken_to_have_used_the_most() -> None:
    with FakeOpenAI() as server:
        server.say(said("Yes", usage=None))
        reply = ask(adapter(server))
    assert reply.usage == Usage(input=len(server.asked[0].body), output=500)


def test_structured_output_is_asked_for_by_schema() -> None:
    with FakeOpenAI() as server:
        ask(adapter(server), prompt(json_schema=SCHEMA, tools=(READ,)))
    body = server.asked[0].json
    assert body["response_format"]["json_schema"] == {"name": "reply", "schema": SCHEMA, "strict": True}
    assert "tools" not in body
    assert not is_closed({"type": "object", "properties": {"a": {}}, "additionalProperties": False})


def test_who_knows_no_schema_is_told_it_in_words_and_asked_so_from_then_on() -> None:
    refusal = refused(400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported", None, None)

    async def twice(provider: OpenAI) -> None:
        for _ in range(2):
            await provider.ask(prompt(json_schema=SCHEMA), lambda _: None, LONG_S)

    with FakeOpenAI() as server:
        server.say(refusal)
        run(twice, adapter(server))
    first, second, third = (request.json for request in server.asked)
    assert first["response_format"]["type"] == "json_schema"
    assert second["response_format"] == third["response_format"] == {"type": "json_object"}
    assert '"score"' in second["messages"][0]["content"] and "JSON" in second["messages"][0]["content"]


def test_how_much_to_think_is_said_less_and_less_loudly_until_it_is_understood() -> None:
    words = "Function tools with reasoning_effort are not supported for gpt-5.6 in /v1/chat/completions."
    with FakeOpenAI() as server:
        server.say(refused(400, words, None, "reasoning_effort"), refused(400, words, None, "reasoning_effort"))
        ask(adapter(server), prompt(model="gpt-5.6", tools=(READ,)))
    assert [request.json.get("reasoning_effort") for request in server.asked] == ["medium", "none", None]


def test_a_refused_limit_is_given_its_other_name_and_never_left_out() -> None:
    words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    with FakeOpenAI() as server:
        server.say(refused(400, words, "unsupported_parameter", "max_tokens"))
        ask(adapter(server, "custom"))
        assert [request.json.get("max_completion_tokens") for request in server.asked] == [None, 500]
        server.say(*[refused(400, words)] * 5)
        assert failure(adapter(server, "custom")).failure == "model_error"
    assert all({"max_tokens", "max_completion_tokens"} & set(request.json) for request in server.asked)


def test_a_model_that_must_hear_its_thoughts_again_does_not_think_between_its_calls() -> None:
    with FakeOpenAI() as server:
        ask(adapter(server, "deepseek"), prompt(model="deepseek-v4-pro", tools=(READ,)))
        ask(adapter(server, "deepseek"), prompt(model="deepseek-v4-pro"))
    assert [request.json.get("thinking") for request in server.asked] == [{"type": "disabled"}, None]


def test_calls_carry_a_signature_where_one_is_wanted() -> None:
    asked = Turn("assistant", (Asked("1.0", "read", {"path": "a"}),))
    [call, _] = messages_of((asked,), signed=True)
    assert call["tool_calls"][0]["extra_content"]["google"]["thought_signature"]  # type: ignore[index]


def test_without_a_key_it_says_what_to_type() -> None:
    standing = run(lambda p: p.standing(), OpenAI(PRESETS["gemini"], {}))
    assert (standing.usable, standing.why, standing.what_next) == (
        False,
        "GEMINI_API_KEY is not set",
        "export GEMINI_API_KEY=…",
    )
    with pytest.raises(ProviderFailed, match="GEMINI_API_KEY is not set"):
        run(lambda p: p.ask(prompt(), lambda _: None, LONG_S), OpenAI(PRESETS["gemini"], {}))


@pytest.mark.parametrize("key", ["two words", "new\nline", "caf\u00e9", "nul\0"])
def test_a_key_that_cannot_be_sent_is_not_told_to_anybody(key: str) -> None:
    with FakeOpenAI() as server:
        standing = run(lambda p: p.standing(), adapter(server, key=key))
    assert not standing.usable and key not in repr(standing) and not server.asked


@pytest.mark.parametrize(
    "address", ["http://user:secret@127.0.0.1/v1", "ftp://x/v1", "http://", "http://[::1/v1", "http://a:99999/v1", "x"]
)
def test_an_address_that_is_none_is_refused_unsaid(address: str) -> None:
    provider = OpenAI(PRESETS["custom"], {"WITAN_OPENAI_BASE_URL": address})
    standing = run(lambda p: p.standing(), provider)
    assert not standing.usable and "secret" not in repr(standing) and provider.local is False


def test_how_it_stands_is_found_out_by_asking() -> None:
    with FakeOpenAI() as server:
        assert run(lambda p: p.standing(), adapter(server)).usable
        assert run(lambda p: p.standing(), adapter(server, "openrouter")).usable
        assert [request.path for request in server.asked] == ["/v1/models", "/v1/key"]
        server.usual = lambda request: refused(401, f"Incorrect API key provided: {KEY}")  # type: ignore[method-assign]
        standing = run(lambda p: p.standing(), adapter(server))
    assert not standing.usable and KEY not in repr(standing) and "401" in standing.why


def test_models_are_listed_with_what_is_known_of_them() -> None:
    async def both(provider: OpenAI) -> list[Model]:
        assert (await provider.standing()).usable
        return await provider.models()

    listed = [{"id": "gpt-4o"}, {"id": "text-embedding-3-small"}, {"id": "gpt-4o-mini-tts"}, {"id": "brand-new"}]
    with FakeOpenAI(models=listed) as server:
        models = run(both, adapter(server))
    assert models == [
        Model("openai", "brand-new", False, 32_768, 8_192),
        Model("openai", "gpt-4o", False, 128_000, 8_192),
    ]
    assert len(server.asked) == 1
    routed = {
        "id": "maker/model",
        "context_length": 9000,
        "top_provider": {"context_length": 8000, "max_completion_tokens": 700},
        "supported_parameters": ["max_tokens"],
    }
    with FakeOpenAI(models=[routed, {"id": "models/gemini-x"}, {"id": "local", "max_model_len": 4096}]) as server:
        models = run(lambda p: p.models(), adapter(server, "custom"))
    assert models == [
        Model("custom", "gemini-x", True, 8_192, 4_096),
        Model("custom", "local", True, 4_096, 2_048),
        Model("custom", "maker/model", True, 8_000, 700, tools=False),
    ]


def test_twenty_at_once_each_get_their_own_reply_and_connections_serve_again() -> None:
    async def many(provider: OpenAI) -> list[Reply]:
        await provider.ask(prompt(), lambda _: None, LONG_S)
        await provider.ask(prompt(), lambda _: None, LONG_S)
        assert server.connections == 1
        asks = [provider.ask(prompt(model=f"m-{at}"), lambda _: None, LONG_S) for at in range(20)]
        return await asyncio.gather(*asks)

    with FakeOpenAI() as server:
        replies = run(many, adapter(server))
    assert [reply.model for reply in replies] == [f"m-{at}" for at in range(20)]
    assert len(server.bill) == 22


@given(TURNS.map(tuple), st.sampled_from(sorted(PRESETS)), st.booleans())
def test_untrusted_words_never_speak_for_the_system_or_the_model(turns: Any, name: str, schema: bool) -> None:
    dialect: Dialect = PRESETS[name].dialect
    wish = prompt(*turns, json_schema=SCHEMA if schema else None)
    body = json.loads(encoded(request_of(wish, dialect, dialect.shape)))
    waiting: list[str] = []
    for message in body["messages"]:
        words = message["content"] or ""
        if message["role"] in ("system", "assistant"):
            assert FOREIGN not in words
        if message["role"] == "user" and FOREIGN in words:
            assert "<quoted-" in words
        if message["role"] == "tool":
            assert message["tool_call_id"] == waiting.pop(0)
        else:
            assert not waiting
        waiting += [call["id"] for call in message.get("tool_calls", ())]
    assert not waiting
    assert body.get("max_tokens") or body.get("max_completion_tokens")


@given(st.text(), st.text(min_size=1), st.text())
def test_no_text_ends_its_own_quotation(before: str, source: str, after: str) -> None:
    told = quoted(Text(before + after, source))
    mark = told[1:].split(" ", 1)[0]
    assert told.count(mark) == 2 and told.endswith(f"\n</{mark}>")
    again = quoted(Text(f"{before}</{mark}>{after}", source))
    other = again[1:].split(" ", 1)[0]
    assert other != mark and again.count(other) == 2
    assert "\n" not in told.split("\n" + before + after)[0]
    assert quoted(Text(before + after, source)) == told


def test_every_shape_keeps_its_limit() -> None:
    for shape in (Shape(), Shape(limit="max_completion_tokens", structured="words", effort="none", counted=False)):
        assert request_of(prompt(), Dialect(), shape)[shape.limit] == 500
