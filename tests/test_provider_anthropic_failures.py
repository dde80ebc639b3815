"""What goes wrong with Anthropic's interface, against a server that speaks it: what is told, and what it cost."""

import asyncio

import pytest

from actors.treasurer.asking import (
    ProviderFailed,
    Reply,
)
from bus.messages.call import Usage
from tests import fake_anthropic as fake
from tests.anthropic_asking import LIMIT_S, ask, fail, prompt, provider, put
from tests.fake_anthropic import Answer, FakeAnthropic


@pytest.mark.parametrize(
    ("answer", "failure", "wait_s", "charged"),
    [
        (fake.error(401, "authentication_error", "invalid x-api-key"), "help", 0, "nothing"),
        (fake.error(403, "permission_error", "no"), "help", 0, "nothing"),
        (fake.error(402, "billing_error", "no"), "help", 0, "nothing"),
        (fake.error(404, "not_found_error", "model: claude-x"), "help", 0, "nothing"),
        (fake.error(400, "invalid_request_error", "Your credit balance is too low"), "help", 0, "nothing"),
        (fake.error(400, "invalid_request_error", "prompt is too long: 9 > 8"), "context", 0, "nothing"),
        (fake.error(413, "request_too_large", "no"), "context", 0, "nothing"),
        (fake.error(429, "rate_limit_error", "no", [("retry-after", "17")]), "rate_limit", 17, "nothing"),
        (fake.error(429, "rate_limit_error", "no", [("retry-after", "4233600")]), "rate_limit", 4_233_600, "nothing"),
        (fake.error(429, "rate_limit_error", "no", [("retry-after", "soon")]), "rate_limit", 0, "nothing"),
        (fake.error(429, "rate_limit_error", "no", [("retry-after", "inf")]), "rate_limit", 0, "nothing"),
        (fake.error(429, "rate_limit_error", "no"), "rate_limit", 0, "nothing"),
        (fake.error(500, "api_error", "Internal server error"), "model_error", 0, "nothing"),
        (fake.error(529, "overloaded_error", "Overloaded"), "rate_limit", 15, "nothing"),
        (fake.error(503, "api_error", "no", [("retry-after", "3")]), "rate_limit", 3, "nothing"),
        (fake.error(504, "timeout_error", "no"), "timeout", 0, "unknown"),
        (fake.raw(b"<html>bad gateway</html>", status=502, type="text/html"), "model_error", 0, "unknown"),
        (fake.raw(b"oops", status=500, type="text/plain"), "model_error", 0, "unknown"),
        (fake.raw(status=307, headers=(("location", "http://127.0.0.1:9/"),)), "help", 0, "nothing"),
    ],
    ids=lambda each: str(each.status) if isinstance(each, Answer) else None,
)
def test_a_refusal_is_told_with_its_pause_and_its_price(
    answer: Answer, failure: str, wait_s: float, charged: str
) -> None:
    failed = fail(answer)
    assert (failed.failure, failed.wait_s, failed.charged) == (failure, wait_s, charged)
    assert str(answer.status) in failed.reason


def test_a_pause_until_a_date_is_counted_from_the_servers_own_clock() -> None:
    headers = [("date", "Wed, 21 Oct 2015 07:28:00 GMT"), ("retry-after", "Wed, 21 Oct 2015 07:29:30 GMT")]
    assert fail(fake.error(429, "rate_limit_error", "no", headers)).wait_s == 90


def test_nothing_is_asked_twice() -> None:
    refused = fake.error(529, "overloaded_error", "no", [("x-should-retry", "true"), ("retry-after", "0")])
    with FakeAnthropic(refused) as server:
        with pytest.raises(ProviderFailed):
            put(provider(server), prompt(), LIMIT_S)
        assert len(server.asked) == 1


BEGUN = fake.begin(input=40, read=3, written=2)
PIECE = fake.event("content_block_delta", index=0, delta={"type": "text_delta", "text": "He"})
AT_MOST = Usage(40, 1000, 3, 2)
"""What a broken stream can have cost: its input is known, and its output has a limit."""


@pytest.mark.parametrize(
    ("answer", "charged", "usage"),
    [
        (fake.raw(), "unknown", None),
        (fake.raw(b"\n"), "unknown", None),
        (fake.raw("cut"), "unknown", None),
        (fake.raw("cut", silent=True), "unknown", None),
        (fake.raw(b"event: ping\ndata: {}\n\n"), "unknown", None),
        (fake.raw(b"event: x\ndata: {\n\n"), "unknown", None),
        (fake.raw(b"data: \xff\xfe\n\n"), "unknown", None),
        (fake.raw(b"data: " + b"[" * 100_000 + b"\n\n"), "unknown", None),
        (fake.raw(b'{"type":"message","content":[]}', type="application/json"), "unknown", None),
        (fake.raw(b"<html>", type="text/html"), "unknown", None),
        (fake.raw(fake.event("message_start", message={"model": 3})), "unknown", None),
        (fake.raw(fake.event("error", error={"type": "overloaded_error", "message": "x"})), "unknown", None),
        (fake.raw(BEGUN, PIECE), "usage", AT_MOST),
        (fake.raw(BEGUN, PIECE, "cut"), "usage", AT_MOST),
        (fake.raw(BEGUN, b"data: nonsense\n\n"), "usage", AT_MOST),
        (fake.raw(BEGUN, fake.event("message_delta", delta={}, usage={"output_tokens": -5})), "usage", AT_MOST),
        (fake.raw(BEGUN, fake.event("message_stop")), "usage", AT_MOST),
        (fake.raw(BEGUN, fake.event("error", error={"type": "api_error", "message": "x"})), "usage", AT_MOST),
        (fake.raw(BEGUN, *list(fake.body(fake.text("x"), output=5))[:-1]), "usage", Usage(40, 5, 3, 2)),
    ],
)
def test_a_broken_stream_is_charged_with_what_is_known_of_it(answer: Answer, charged: str, usage: Usage | None) -> None:
    failed = fail(answer)
    assert (failed.charged, failed.usage) == (charged, usage)
    assert failed.failure in ("model_error", "rate_limit")


def test_an_overload_in_the_middle_asks_for_a_pause() -> None:
    failed = fail(fake.raw(BEGUN, fake.event("error", error={"type": "overloaded_error", "message": "Overloaded"})))
    assert (failed.failure, failed.wait_s, failed.charged) == ("rate_limit", 15, "usage")


@pytest.mark.parametrize(
    "huge",
    [(b"data: ", *[b"x" * 1_000_000] * 9), (b": " + b"x" * 1_000_000 + b"\n",) * 68],
    ids=["one event", "many lines"],
)
def test_a_stream_larger_than_any_reply_is_given_up(huge: tuple[bytes, ...]) -> None:
    failed = fail(fake.raw(BEGUN, *huge))
    assert "larger than any reply" in failed.reason and failed.usage == AT_MOST


def test_lines_that_are_not_known_are_left_aside() -> None:
    odd = (
        b": a comment\r\nretry: 3\r\nid: 4\r\n\r\n",
        fake.event("an_event_of_next_year", index=7, content={"x": [1]}),
        fake.event("content_block_start", index=5, content_block={"type": "a_block_of_next_year", "id": "x"}),
        fake.event("content_block_delta", index=5, delta={"type": "a_delta_of_next_year", "value": 3}),
    )
    reply, _ = ask(fake.raw(fake.begin(), *odd, *fake.body(fake.text("hi"))))
    assert reply.text == "hi"


@pytest.mark.parametrize(
    ("steps", "silent", "charged"),
    [(("hold",), True, "unknown"), (("hold",), False, "unknown"), ((BEGUN, PIECE, "hold"), False, "usage")],
    ids=["before the status", "before the first byte", "in the middle"],
)
def test_a_request_has_a_limit_of_time_and_then_its_connection_is_closed(
    steps: tuple[fake.Step, ...], silent: bool, charged: str
) -> None:
    with FakeAnthropic(Answer(steps, silent=silent)) as server:
        with pytest.raises(ProviderFailed) as raised:
            put(provider(server), prompt(), 0.3)
        assert server.gone.wait(10)
    assert (raised.value.failure, raised.value.charged) == ("timeout", charged)


def test_a_complete_reply_is_a_reply_even_if_the_connection_stays_open() -> None:
    answer = fake.streamed(fake.text("done"))
    assert ask(answer._replace(steps=(*answer.steps, "hold")))[0].text == "done"


def test_an_ask_that_is_cancelled_closes_its_connection() -> None:
    async def run(server: FakeAnthropic) -> None:
        begun = asyncio.Event()
        mind = provider(server)
        asking = asyncio.create_task(mind.ask(prompt(), lambda _: begun.set(), LIMIT_S))
        await begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await asyncio.to_thread(server.gone.wait, 10)
        server.answers.append(fake.streamed(fake.text("again")))
        assert (await mind.ask(prompt(), lambda _: None, LIMIT_S)).text == "again"
        await mind.close()

    with FakeAnthropic(fake.raw(BEGUN, PIECE, "hold")) as server:
        asyncio.run(run(server))


def test_a_server_that_is_not_there_costs_nothing() -> None:
    with FakeAnthropic() as server:
        nowhere = provider(server)
    with pytest.raises(ProviderFailed) as raised:
        put(nowhere, prompt())
    assert (raised.value.failure, raised.value.charged) == ("model_error", "nothing")


def test_many_ask_at_once_and_each_hears_its_own() -> None:
    async def run(server: FakeAnthropic) -> list[Reply]:
        mind = provider(server)
        heard: list[list[str]] = [[] for _ in range(20)]
        replies = await asyncio.gather(*(mind.ask(prompt(), each.append, LIMIT_S) for each in heard))
        assert ["".join(each) for each in heard] == [reply.text for reply in replies]
        before = server.connections
        for _ in range(5):
            await mind.ask(prompt(), lambda _: None, LIMIT_S)
        assert server.connections == before, "a connection is used again"
        await mind.close()
        return replies

    with FakeAnthropic() as server:
        server.answers = [fake.streamed(fake.text(f"I am {n}"), fake.call("read", "{}")) for n in range(20)]
        replies = asyncio.run(run(server))
    assert {reply.text for reply in replies} == {f"I am {n}" for n in range(20)}
