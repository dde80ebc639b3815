"""No secret survives redaction, however it is written; and nothing else is touched."""

import base64
import html
import json
import random
import string
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from actors.redaction import Redactor
from actors.secrets import secrets_of
from actors.shapes import looks_random

KEY = "wNq3-7Zr_Tb9xK2mLp5vYc8H"
SECRETS = {
    "OURS_API_KEY": KEY,
    "DB_PASSWORD": 'p&ss "w0rd"/with\\all+of:it=42é',
    "LINES": "-- first line of a secret 1\n-- and its second line 22\n",
}
OURS = Redactor(SECRETS)


def percented(secret: str) -> str:
    return "".join(f"%{byte:02X}" for byte in secret.encode())


def base64_in(before: int, url: bool) -> Callable[[str], str]:
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    return lambda secret: encode(b"zyx"[:before] + secret.encode() + b"tail").decode()


WAYS: dict[str, Callable[[str], str]] = {
    "raw": str,
    **{f"base64 {before}{url}": base64_in(before, bool(url)) for before in range(3) for url in ("", "url")},
    "base64 in lines": lambda secret: base64.encodebytes(b"ab" * 20 + secret.encode()).decode(),
    "hex": lambda secret: secret.encode().hex(),
    "HEX": lambda secret: secret.encode().hex().upper(),
    "he:x": lambda secret: secret.encode().hex(":"),
    "url": lambda secret: quote(secret, safe=""),
    "url with slashes": quote,
    "form": quote_plus,
    "percent": percented,
    "json": lambda secret: json.dumps(secret)[1:-1],
    "json in json": lambda secret: json.dumps(json.dumps(secret, ensure_ascii=False))[3:-3],
    "json by number": lambda secret: "".join(f"\\u{ord(letter):04x}" for letter in secret),
    "xml": html.escape,
    "xml by number": lambda secret: "".join(f"&#{ord(letter)};" for letter in secret),
    "spaced out": " ".join,
    "a letter a line": "\r\n".join,
    "in two strings": lambda secret: f'{secret[:9]}" + \n          "{secret[9:]}',
    "wrapped": lambda secret: f"{secret[:7]}\n    {secret[7:15]}\\\n{secret[15:]}",
}  # fmt: skip


def left_of(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


def survives(secret: str, text: str, way: str) -> bool:
    """Whether most of the secret can still be read in the way in which it was written."""
    written = WAYS[way](secret)
    middle = left_of(written[len(written) // 4 : -len(written) // 4] if len(written) > 20 else written)
    return middle in left_of(text)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_does_not_survive_however_it_is_written(way: str, name: str) -> None:
    if name == "LINES" and way in ("json in json", "json by number"):
        pytest.skip("line ends that are escaped twice are letters, and each line is looked for on its own")
    written = WAYS[way](SECRETS[name])
    told = OURS.text(f"it says {written} there")
    assert not survives(SECRETS[name], told, way), told
    assert f"[redacted {name}]" in told
    assert told.startswith("it says ") and told.endswith(" there")


NOISE = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text(" \n\\%&;'\"+-_ab0", max_size=40)
VALUES = st.text(string.ascii_letters + string.digits + "+/_-!@#%&\"'\\ .é", min_size=12, max_size=60)


@given(VALUES, st.sampled_from(list(WAYS)), NOISE, NOISE)
@settings(max_examples=300, deadline=None)
def test_planted_secrets_never_survive(secret: str, way: str, before: str, after: str) -> None:
    assume(len(left_of(secret)) >= 8 and secret == secret.strip() and secret.isprintable())
    redactor = Redactor({"PLANTED": secret})
    text = before + " " + WAYS[way](secret) + " " + after
    told = redactor.text(text)
    assert "[redacted PLANTED]" in told
    assert left_of(WAYS[way](secret)) not in left_of(told.replace("[redacted PLANTED]", "|\N{BULLET}é"))
    assert redactor.text(told) == told


@given(st.binary(max_size=300) | NOISE.map(str.encode))
@settings(max_examples=300, deadline=None)
def test_what_holds_no_secret_is_the_very_same(content: bytes) -> None:
    assert OURS.raw(content) is content


@pytest.mark.parametrize("short", ["1234567", "abc", ""])
def test_short_secrets_are_left_alone(short: str) -> None:
    assert Redactor({"S": short}).text(f"it is {short} there") == f"it is {short} there"


@pytest.mark.parametrize("odd", ["!#!#!#!#!#!", "p@ss#w$1", 'a"b\\c d/e'])
def test_a_secret_of_few_letters_is_found_as_it_is_in_json_hex_and_base64(odd: str) -> None:
    redactor = Redactor({"ODD": odd})
    for way in ("raw", "json", "hex", "base64 0", "percent"):
        assert "[redacted ODD]" in redactor.text(f"it is {WAYS[way](odd)} there"), way


def test_letters_that_stand_far_apart_are_no_secret() -> None:
    far = (" " * 101).join(KEY)
    assert OURS.text(far) == far


def test_a_secret_may_be_called_like_what_takes_its_place() -> None:
    redactor = Redactor({"redacted": "redacted redacted", "again": "[redacted redacted]"})
    told = redactor.text("it is redacted redacted, [redacted redacted] and redactedredacted")
    assert redactor.text(told) == told


def test_of_two_secrets_that_overlap_nothing_is_left() -> None:
    redactor = Redactor({"A": "abcdefgh12345678", "B": "12345678ijklmnop"})
    assert redactor.text("x abcdefgh12345678ijklmnop y") == "x [redacted A] y"


BODY = "MIIEpAIBAAKCAQEA7bq3\nZ3h5dGVzdGtleXRlc3Q9\n"
SHAPES = {
    "key": "sk-" + "ant-api03-" + "Ab3" * 12,
    "github-token": "gh" + "p_" + "a1B2" * 9,
    "aws-key": "AK" + "IA" + "IOSFODNN7EXAMPLE",
    "google-key": "AI" + "za" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6q",
    "slack-token": "xo" + "xb-1234567890-abcdefghij",
    "stripe-key": "sk" + "_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "gitlab-token": "gl" + "pat-" + "x1Y2z3A4b5C6d7E8f9",
    "private-key": f"-----BEGIN RSA {'PRIVATE'} KEY-----\n{BODY}-----END RSA PRIVATE KEY-----",
    "jwt": "ey" + "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
}


@pytest.mark.parametrize("name", SHAPES)
def test_keys_are_known_by_their_shape(name: str) -> None:
    told = Redactor({}).text(f"export X={SHAPES[name]} # ours")
    assert told == f"export X=[redacted {name}] # ours"


@pytest.mark.parametrize("name", ["key", "github-token", "aws-key"])
def test_a_key_behind_a_word_that_ends_like_one_begins_is_found(name: str) -> None:
    assert Redactor({}).text(f"ask-{SHAPES[name]} task-{SHAPES[name]}").count("[redacted") == 2


def test_a_private_key_without_its_end_or_on_one_line_of_json_is_one_too() -> None:
    whole = SHAPES["private-key"]
    assert Redactor({}).text(whole[: -len("-----END RSA PRIVATE KEY-----")]) == "[redacted private-key]"
    assert Redactor({}).text(json.dumps({"key": whole})) == '{"key": "[redacted private-key]"}'


@pytest.mark.parametrize(
    "line",
    [
        "password={}",
        "DB_PASSWORD: '{}'",
        '{{"api_key": "{}"}}',
        '"{{\\"token\\": \\"{}\\"}}"',
        "Authorization: Bearer {}",
        "postgres://user:{}@host/db",
        "client_secret => {}",
    ],
)
def test_what_is_given_as_a_password_and_looks_random_is_one(line: str) -> None:
    assert "Tr0ub4dor3" not in Redactor({}).text(line.format("Tr0ub4dor3"))


@pytest.mark.parametrize(
    "code",
    [
        "password = getpass.getpass()",
        "token: Token = field(default=None)",
        'api_key = os.environ["OUR_API_KEY"]',
        "secret = compute_hash_v2",
        "max_tokens=100000000",
        "token_count: 60_000",
        "postgres://postgres:postgres@localhost/test",
        "task-1 asks risk-free; sk-learn; disk-usage-of-everything",
        "passwords are kept as bcrypt hashes, see password_hash_length",
        "eyJ is how a JWT begins",
        "AKIA is how a key begins",
    ],
)
def test_code_and_prose_about_secrets_are_left_alone(code: str) -> None:
    assert Redactor({}).text(code) is code


def test_keys_look_random_and_names_do_not() -> None:
    rng = random.Random(7)
    keys = ["".join(rng.choices(string.ascii_letters + string.digits, k=24)).encode() for _ in range(200)]
    assert sum(map(looks_random, keys)) >= 195
    assert not any(
        map(
            looks_random,
            (b"python3.11", b"test_case_12", b"version_2_of_3", b"utf8", b"changeme", b"getUserAccountByIdVersion2"),
        )
    )


CUTS = st.lists(st.integers(0, 400), max_size=12)


def in_pieces(redactor: Redactor, content: bytes, cuts: list[int]) -> list[bytes]:
    stream, places = redactor.stream(), sorted({0, *(min(cut, len(content)) for cut in cuts), len(content)})
    told = [stream.feed(content[a:b]) for a, b in pairwise(places)]
    return [*told, stream.close()]


@given(st.sampled_from([*WAYS]), st.sampled_from([*SECRETS]), NOISE, NOISE, CUTS)
@settings(max_examples=300, deadline=None)
def test_a_secret_that_comes_in_pieces_does_not_survive(
    way: str, name: str, before: str, after: str, cuts: list[int]
) -> None:
    content = f"{before} {WAYS[way](SECRETS[name])} {after}".encode()
    assert b"".join(in_pieces(OURS, content, cuts)) == OURS.raw(content)


@given(st.sampled_from([*SHAPES]), NOISE, CUTS)
@settings(max_examples=200, deadline=None)
def test_a_key_that_comes_in_pieces_does_not_survive(name: str, before: str, cuts: list[int]) -> None:
    content = f"{before} token: {SHAPES[name]} , then".encode()
    told = b"".join(in_pieces(Redactor({}), content, cuts))
    assert SHAPES[name].encode() not in told and b"[redacted " in told


@given(st.binary(max_size=300), CUTS)
@settings(max_examples=200, deadline=None)
def test_pieces_without_secrets_come_out_as_they_went_in(content: bytes, cuts: list[int]) -> None:
    assert b"".join(in_pieces(OURS, content, cuts)) == content


@given(st.lists(st.text(" \n&%\\-w3éN東", max_size=30), max_size=12))
@settings(max_examples=200, deadline=None)
def test_pieces_that_are_whole_letters_come_out_as_whole_letters(pieces: list[str]) -> None:
    stream = OURS.stream()
    told = [stream.feed(piece.encode()).decode() for piece in pieces]
    assert "".join([*told, stream.close().decode()]) == OURS.text("".join(pieces))


def test_a_line_is_not_kept_back_for_long() -> None:
    stream = OURS.stream()
    assert stream.feed(b"collected 12 items\n") == b"collected 12 items\n"
    assert stream.feed(b"....") == b"...."
    assert stream.feed(b" done in 1 s\n") + stream.close() == b" done in 1 s\n"


def test_endless_escapes_are_not_kept_for_ever() -> None:
    stream = Redactor({"A": "a" * 20 + "b"}).stream()
    assert sum(len(stream.feed(b"\\u0061" * 500)) for _ in range(10)) > 20_000


def test_endless_words_are_not_kept_for_ever() -> None:
    stream = OURS.stream()
    told = sum(len(stream.feed(b"abc123" * 1000)) for _ in range(20))
    assert told > 110_000
    assert told + len(stream.close()) == 120_000


def test_lists_and_dictionaries_are_redacted_throughout() -> None:
    tree = {"a": [KEY, {"b": f"x{KEY}"}], KEY: 3, "c": None}
    hidden = "[redacted OURS_API_KEY]"
    assert OURS.tree(tree) == {"a": [hidden, {"b": f"x{hidden}"}], hidden: 3, "c": None}


def test_the_secrets_of_an_environment_are_known_by_their_names() -> None:
    environ = {
        "ANTHROPIC_API_KEY": "k" * 20,
        "GITHUB_TOKEN": "t" * 20,
        "PGPASSWORD": "correct horse",
        "myPassword": "battery staple",
        "DATABASE_URL": "postgres://u:staple%2Ffour@host/db",
        "AWS_SECRET_ACCESS_KEY": "s" * 40,
        "HOME": "/a/place",
        "PWD": "/a/folder",
        "SSH_KEY_PATH": "/keys/of/ssh/id",
        "PASSWORD_STORE_DIR": "somewhere-else",
        "MAX_TOKENS": "100000000",
        "AWS_ACCESS_KEY_ID": "an id, no secret",
        "TOKENIZERS_PARALLELISM": "false-or-true",
        "SHORT_TOKEN": "1234567",
        "API_KEY_FILE": "key-file.txt",
        "PATH": "/usr/bin:/bin",
    }
    found = secrets_of(environ)
    assert set(found) == {
        "ANTHROPIC_API_KEY", "GITHUB_TOKEN", "PGPASSWORD", "myPassword", "DATABASE_URL", "AWS_SECRET_ACCESS_KEY",
    }  # fmt: skip
    assert found["DATABASE_URL"] == "staple/four"
