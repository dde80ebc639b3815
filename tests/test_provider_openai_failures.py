"""What goes wrong with OpenAI and all who speak its interface, and what is said of it; no key is ever part of that."""

import asyncio
import json
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import traceback
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.treasurer.asking import ProviderFailed, Reply
from actors.treasurer.providers import chat_http
from actors.treasurer.providers.chat_presets import PRESETS
from actors.treasurer.providers.failures import Refusal, failed, wait_of
from actors.treasurer.providers.openai import OpenAI
from bus.messages.call import Usage
from tests.chats import LONG_S, SHORT_S, ask, failure, prompt, run
from tests.fake_http import Answer
from tests.fake_openai import DONE, FakeOpenAI, chunk, counted, event, refused, streamed
from tests.test_provider_openai import KEY, adapter


@pytest.mark.parametrize(
    ("answer", "kind", "charged"),
    [
        (refused(401, "Incorrect API key provided"), "help", "nothing"),
        (refused(403, "Country not supported"), "help", "nothing"),
        (refused(404, "The model `gpt-9` does not exist", "model_not_found"), "help", "nothing"),
        (refused(402, "Insufficient Balance"), "help", "nothing"),
        (refused(429, "You exceeded your current quota", "insufficient_quota"), "help", "nothing"),
        (refused(429, "Rate limit reached"), "rate_limit", "nothing"),
        (refused(400, "API key not valid. Please pass a valid API key."), "help", "nothing"),
        (refused(400, "Invalid schema for function"), "model_error", "nothing"),
        (refused(500, "The server had an error"), "model_error", "nothing"),
        (Answer((b"<html>Bad Gateway</html>",), 502, "text/html"), "model_error", "unknown"),
        (refused(503, "Overloaded"), "rate_limit", "nothing"),
        (refused(504, "Gateway Timeout"), "timeout", "unknown"),
        (refused(529, "Overloaded"), "rate_limit", "nothing"),
        (Answer((), 302, headers=(("Location", "/elsewhere"),)), "help", "nothing"),
        (Answer((b'[{"error": {"code": 429, "message": "Resource exhausted"}}]',), 429), "rate_limit", "nothing"),
    ],
)
def test_what_each_refusal_means(answer: Answer, kind: str, charged: str) -> None:
    with FakeOpenAI() as server:
        server.say(answer)
        error = failure(adapter(server))
    assert (error.failure, error.charged) == (kind, charged)
    assert error.wait_s == (15 if answer.status in (503, 529) else 0)
    assert str(answer.status) in error.reason and len(server.asked) == 1


DATE = ("date", "Sat, 21 Nov 2026 11:00:00 GMT")


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:42 GMT", DATE[0]: DATE[1]}, 42),
        ({"retry-after": "Sat, 21 Nov 2026 10:00:42 GMT", DATE[0]: DATE[1]}, 0),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:42 GMT"}, 0),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, 360),
        ({"x-ratelimit-reset-requests": "20ms", "x-ratelimit-remaining-requests": "0",
          "x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "9"}, 0.02),
        ({"x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-reset": "1795258830000", DATE[0]: DATE[1]}, 30),
        ({"x-ratelimit-reset": "1795258830", DATE[0]: DATE[1]}, 30),
        ({"retry-after": "nan"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "soon"}, 0),
        ({}, 0),
    ],
)  # fmt: skip
def test_how_long_it_wants_to_rest(headers: dict[str, str], wait_s: float) -> None:
    with FakeOpenAI() as server:
        body = json.dumps({"error": {"message": "Rate limit reached"}}).encode()
        server.say(Answer((body,), 429, headers=tuple(headers.items())))
        error = failure(adapter(server))
    assert error.failure == "rate_limit" and error.wait_s == pytest.approx(wait_s)


def test_google_says_in_the_body_how_long_to_rest() -> None:
    assert wait_of({}, '{"error": {"details": [{"retryDelay": "34.5s"}]}}') == 34.5


@given(st.integers(100, 999), st.dictionaries(st.text(max_size=20), st.text(max_size=40)), st.text())
def test_no_refusal_is_too_strange_to_be_told(status: int, headers: dict[str, str], words: str) -> None:
    error = failed("custom", Refusal(status, headers, words), (KEY,))
    assert error.wait_s >= 0 and "\n" not in error.reason


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
        "Input is too long for requested model: the input token count (1048577) exceeds the maximum",
        "the request exceeds the available context size, try increasing it",
    ],
)
def test_a_prompt_that_is_too_long_is_told_as_such_and_costs_nothing(words: str) -> None:
    with FakeOpenAI() as server:
        server.say(refused(400, words, "context_length_exceeded" if "128000" in words else None))
        reply = ask(adapter(server))
    assert (reply.stop, reply.usage, reply.text) == ("context", Usage(), "")


@pytest.mark.parametrize(("before", "said_so"), [((), "said nothing"), ((chunk({"content": "Hel"}),), "after 3")])
def test_silence_ends_with_the_time_limit(before: tuple[bytes, ...], said_so: str) -> None:
    with FakeOpenAI() as server:
        server.say(streamed(*before, "hang") if before else Answer(before=("hang",)))
        error = failure(adapter(server), limit_s=SHORT_S)
        assert server.left.wait(LONG_S)
    assert (error.failure, error.charged) == ("timeout", "unknown") and said_so in error.reason


HELLO = chunk({"content": "Hello"})


@pytest.mark.parametrize(
    ("answer", "charged"),
    [
        (streamed(HELLO, "cut"), "unknown"),
        (Answer(before=("cut",)), "unknown"),
        (streamed(HELLO), "unknown"),
        (streamed(HELLO, DONE), "unknown"),
        (streamed(HELLO, counted({"prompt_tokens": 9}), "cut"), "unknown"),
        (streamed(HELLO, chunk({}, "stop"), counted({"prompt_tokens": 9}), "cut"), "usage"),
        (streamed(HELLO, b'data: {"choices": [\n\n'), "unknown"),
        (streamed(HELLO, b"data: 17\n\n", chunk({}, "stop"), DONE), "unknown"),
        (streamed(HELLO, b"data: " + b"[" * 100_000 + b"\n\n"), "unknown"),
        (streamed(b"data: " + b"x" * (5 * 1024 * 1024)), "unknown"),
        (Answer((b"<html>Sign in to the hotel</html>",), kind="text/html"), "unknown"),
        (streamed(HELLO, event({"error": {"message": "Upstream broke", "code": 502}, "choices": []})), "unknown"),
        (streamed(HELLO, chunk({}, "error")), "unknown"),
    ],
)
def test_a_broken_stream_is_no_reply(answer: Answer, charged: str) -> None:
    with FakeOpenAI() as server:
        server.say(answer)
        error = failure(adapter(server))
    assert (error.failure, error.charged) == ("model_error", charged)
    assert (error.usage is not None) == (charged == "usage") or error.usage == Usage(input=9)


def test_an_end_without_its_last_mark_is_an_end() -> None:
    with FakeOpenAI() as server:
        server.say(streamed(HELLO, chunk({}, "stop"), counted({"prompt_tokens": 9, "completion_tokens": 1})))
        assert ask(adapter(server)) == Reply("Hello", (), "end", Usage(input=9, output=1), "gpt-4o-2024-08-06")


def test_a_rate_limit_in_the_middle_of_a_stream_is_one() -> None:
    with FakeOpenAI() as server:
        server.say(streamed(event({"error": {"message": "Slow down", "code": "429"}})))
        assert failure(adapter(server, "openrouter")).failure == "rate_limit"


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def test_nobody_there() -> None:
    provider = OpenAI(PRESETS["custom"], {"WITAN_OPENAI_BASE_URL": f"http://127.0.0.1:{closed_port()}/v1"})
    with pytest.raises(ProviderFailed) as caught:
        run(lambda p: p.ask(prompt(), lambda _: None, LONG_S), provider)
    assert (caught.value.failure, caught.value.charged) == ("help", "nothing")
    standing = run(lambda p: p.standing(), provider)
    assert not standing.usable and "cannot be reached" in standing.why and "WITAN_OPENAI" in standing.what_next


@pytest.mark.parametrize("name", ["openai", "custom"])
def test_the_key_is_in_no_error_no_repr_and_no_log(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answers = [
        refused(401, f"Incorrect API key provided: {KEY}"),
        refused(500, f"Bearer {KEY} made me fall over"),
        Answer((f"<p>{KEY}</p>".encode(),), 502, "text/html"),
        Answer((b"x",), kind=f"text/{KEY}"),
        streamed(event({"error": {"message": f"bad {KEY}"}})),
        streamed(HELLO, "cut"),
    ]
    with FakeOpenAI() as server:
        for answer in answers:
            server.say(answer)
            provider = adapter(server, name)
            with pytest.raises(ProviderFailed) as caught:
                run(lambda p: p.ask(prompt(), lambda _: None, LONG_S), provider)
            told = "".join(traceback.format_exception(caught.value)) + repr(provider)
            assert KEY not in told
        assert all(request.headers["authorization"] == f"Bearer {KEY}" for request in server.asked)
    assert KEY not in caplog.text


def test_who_stops_waiting_hangs_up() -> None:
    async def cancel(provider: OpenAI) -> None:
        task = asyncio.create_task(provider.ask(prompt(), lambda _: None, LONG_S))
        assert await asyncio.to_thread(server.hanging.wait, LONG_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.left.wait, LONG_S)

    with FakeOpenAI() as server:
        server.say(streamed(HELLO, "hang"))
        run(cancel, adapter(server))


def test_a_server_that_cannot_prove_who_it_is_gets_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when what it would be checked by could not be loaded."""
    certificate, heard = tmp_path / "own.pem", list[bytes]()
    wish = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    made = ["openssl", *wish.split(), "-keyout", str(certificate), "-out", str(tmp_path / "public.pem")]
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here, so no certificate can be made")
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "public.pem", certificate)

    def serve(listening: socket.socket) -> None:
        for _ in range(2):
            with suppress(OSError), context.wrap_socket(listening.accept()[0], server_side=True) as talk:
                heard.append(talk.recv(1000))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        address = f"https://127.0.0.1:{listening.getsockname()[1]}/v1"
        for _ in range(2):
            error = failure(OpenAI(PRESETS["openai"], {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": address}))
            assert error.charged == "nothing" and "ertificate" in error.reason
            monkeypatch.setattr(chat_http, "loaded", lambda _: 1 / 0)
        thread.join(LONG_S)
    assert not any(heard)


def test_a_proxy_of_the_environment_is_asked_and_passwords_of_others_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password else")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with FakeOpenAI() as server:
        monkeypatch.setenv("http_proxy", f"http://me:p%40ss@127.0.0.1:{server.port}")
        monkeypatch.setenv("no_proxy", "elsewhere.example")
        assert chat_http._proxy_for("http://models.elsewhere.example/v1") == ""
        provider = OpenAI(PRESETS["openai"], {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://models.example/v1"})
        assert ask(provider).stop == "end"
    (asked,) = server.asked
    assert asked.path == "http://models.example/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["proxy-authorization"] == f"Basic {b64encode(b'me:p@ss').decode()}"


def test_a_proxy_without_a_scheme_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "127.0.0.1:3128")
    assert chat_http._proxy_for("https://models.example/v1") == "http://127.0.0.1:3128"
    assert chat_http._proxy_for("https://localhost/v1") == ""
