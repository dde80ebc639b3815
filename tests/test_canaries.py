"""Secrets set out as canaries wherever an agent comes by: none is found again in anything that Witan keeps or says."""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import nats
from nats.js.errors import NotFoundError

from bus.commands import request
from bus.jetstream import JetStreamLog
from bus.messages import task
from bus.messages.kinds import read_commit
from tests.bus_ground import in_force
from tests.fake_http import Answer, Request, in_json
from tests.fake_ollama import FakeOllama, end, line
from tests.fake_ollama import said as local_said
from tests.fake_ollama import streamed as local_streamed
from tests.fake_openai import FakeOpenAI, said
from tests.repositories import commit, repository
from tests.test_faults import ROOT, Daemon

OPENAI = "sk-proj-" + "cAnaRy7Qz0Wm4Xv8Lp2Rt6"
PASSWORD = "cAnArY-p4ss/Zt9+Kw3"
ENVIRONMENT = {
    "OPENAI_API_KEY": OPENAI,
    "ANTHROPIC_AUTH_TOKEN": "cAnArY.5hY2nB8vC1xZ6mQ9",
    "DEPLOY_SECRET": "cAnArY_J3kD7fG0sP5wE",
    "DATABASE_URL": f"postgres://witan:{quote(PASSWORD, safe='')}@db.example/x",
}
KNOWN = {**ENVIRONMENT, "DATABASE_URL": PASSWORD}
FILE_ONLY = "gh" + "p_" + "cAnArY1a2B3c4D5e6F7g8H9i0J1k2L3m4N5o6"
"""Nothing in the environment says so: it is known by its shape, as it is written."""
ENV_FILE = "".join(f"{name}={value}\n" for name, value in KNOWN.items())
COMMANDS = (
    "cat .env token.txt",
    "base64 .env; base64 -w0 .env; printf x | cat - .env | base64 -w0",
    "od -An -tx1 -v .env; od -An -tx1 -v .env | tr -d ' \\n'",
    "python3 -c \"import urllib.parse as u; t = open('.env').read(); print(u.quote(t, safe=''), u.quote(t))\"",
    "cut -c1-30 .env; for part in 1 2 3; do head -c 25 .env; sleep 0.1; tail -c +26 .env; done",
    "while read -r line; do printf '%s' \"$line\" | fold -w 5; done < .env; cp .env copy.txt; cat .env >&2",
)


def ways(secret: str) -> Iterator[str]:
    """How a secret can be written."""
    content = secret.encode()
    yield from (secret, content.hex(), content.hex().upper(), quote(secret, safe=""))
    yield "".join(f"%{byte:02x}" for byte in content)
    for before in range(3):
        yield base64.b64encode(b"abc"[:before] + content + b"de").decode()
        yield base64.urlsafe_b64encode(b"abc"[:before] + content).decode()
    yield f'{secret[:9]}" + \n "{secret[9:]}'


def needles(secret: str) -> set[bytes]:
    """What is left of each of these when only letters and digits count, without what depends on what stood around."""
    content, found = secret.encode(), {secret, secret.encode().hex()}
    for before in range(3):
        first, last = -(-8 * before // 6), 8 * (before + len(content)) // 6
        found.add(base64.b64encode(bytes(before) + content + bytes(2)).decode()[first:last])
        found.add(base64.urlsafe_b64encode(bytes(before) + content + bytes(2)).decode()[first:last])
    found |= {"".join(f"%{byte:02x}" for byte in content), quote(secret, safe="")}
    return {folded(each.encode()) for each in found}


def folded(content: bytes) -> bytes:
    return re.sub(rb"[^a-z0-9]", b"", content.lower())


NEEDLES = {name: needles(value) for name, value in {**KNOWN, "FILE_ONLY": FILE_ONLY}.items()}


def hits(content: bytes | str, where: str, allowed: str = "") -> list[str]:
    left = folded(content.encode() if isinstance(content, str) else content)
    return [
        f"{name} in {where}"
        for name, known in NEEDLES.items()
        if name != allowed and any(needle in left for needle in known)
    ]


class Talker:
    """What both models say, turn by turn: all secrets in all ways, and tools that bring up more of them."""

    def __init__(self) -> None:
        self.confession = " ".join(way for secret in KNOWN.values() for way in ways(secret)) + f" {FILE_ONLY} "

    def turn(self, messages: list[dict[str, Any]]) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
        number = sum(each["role"] == "assistant" for each in messages)
        runs = [("run", {"command": command}) for command in COMMANDS]
        turns: list[tuple[str, list[tuple[str, dict[str, Any]]]]] = [
            (self.confession, [runs[0], runs[1]]),
            ("On.", [("read", {"path": ".env"}), ("read", {"path": "token.txt"}), ("search", {"pattern": "cAnA"})]),
            ("On.", [runs[2], runs[3]]),
            ("On.", [("write", {"path": "leak.txt", "content": self.confession * 3}), (KNOWN["DEPLOY_SECRET"], {})]),
            ("On.", [runs[4]]),
            ("On.", [runs[5], ("checklist", {"add": [FILE_ONLY, PASSWORD]})]),
        ]
        files = [{"name": name, "type": "code", "path": name} for name in (".env", "leak.txt", "copy.txt")]
        done = (self.confession, [("finish", {"summary": self.confession, "artifacts": files})])
        return turns[number] if number < len(turns) else done


class Local(FakeOllama):
    """Streams what is said in pieces of a few letters; each third time it fails, and confesses in the error."""

    def __init__(self) -> None:
        super().__init__()
        self.talker, self.count = Talker(), 0

    def _next(self, asked: Request) -> Answer:
        if asked.path != "/api/chat":
            return self.usual(asked)
        self.count += 1
        text, calls = self.talker.turn(asked.json["messages"])
        if self.count % 3 == 0:
            return in_json({"error": f"cannot: {self.talker.confession}"}, 500)
        pieces = [line(content=text[at : at + 7]) for at in range(0, len(text), 7)]
        whole = local_said("", *calls)
        return local_streamed(*pieces, *[each for each in whole.pieces if isinstance(each, bytes)][:-1], end())


class Remote(FakeOpenAI):
    def __init__(self) -> None:
        super().__init__()
        self.talker = Talker()

    def usual(self, asked: Request) -> Answer:
        if asked.method == "POST":
            text, calls = self.talker.turn(asked.json["messages"])
            return said(text, *((name, json.dumps(given)) for name, given in calls))
        found: Answer = super().usual(asked)
        return found


class Watched(Daemon):
    """A daemon on the real thing, with canaries in its environment."""

    def __init__(self, folder: Path, local: Local, remote: Remote) -> None:
        super().__init__(folder, 2)
        self.local, self.remote = local, remote
        (folder / "witan.toml").write_text(
            'workflow = "direct"\nlog_level = "debug"\ndaily_usd = 100.0\ntask_usd = 50.0\n'
        )

    def _launch(self) -> None:
        (self.folder / ".witan" / "daemon.json").unlink(missing_ok=True)
        kept = {name: value for name, value in os.environ.items() if name in ("LANG", "TMPDIR", "VIRTUAL_ENV")}
        own = {"OPENAI_BASE_URL": f"{self.remote.url}/v1", "OLLAMA_HOST": self.local.url, "PATH": "/usr/bin:/bin"}
        environment = {**kept, **ENVIRONMENT, **own, "PYTHONPATH": str(ROOT), "HOME": str(self.folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "up"], cwd=self.folder, env=environment, stderr=self.said
        )


async def _work(daemon: Watched, repo: Path, live: dict[str, bytes]) -> tuple[list[str], int]:
    """One task to its end; what of it is found on any stream, and how often something was taken out."""
    client = await nats.connect(daemon.card["url"])

    async def heard(message: Any) -> None:
        live[message.subject] = live.get(message.subject, b"") + message.data

    try:
        await client.subscribe("live.>", cb=heard)
        await in_force(client)
        await _done(daemon, repo)
        return await _on_streams(client.jetstream())
    finally:
        await client.close()


async def _done(daemon: Watched, repo: Path) -> None:
    async with daemon.connected() as connection:
        body = json.dumps({"task": "say what is there", "workflow": "direct", "repo": str(repo)}).encode()
        answer = await request(connection, "orchestrator", "submit_task", body, "canary", timeout_s=20)
        log = JetStreamLog(connection)
        for _ in range(600):
            records = await log.read(f"evt.task.{answer['task_id']}")
            told = [event for record in records for event in read_commit(record).events]
            ends = [each for each in told if isinstance(each, task.TaskCompleted | task.PersonAsked | task.TaskFailed)]
            if ends:
                assert [type(each) for each in ends] == [task.TaskCompleted], ends
                return
            await asyncio.sleep(0.1)
        raise AssertionError(told[-5:])


async def _on_streams(streams: Any) -> tuple[list[str], int]:
    """Every message of every stream, read from the server: on its disk they are compressed."""
    found, taken_out = [], 0
    for info in await streams.streams_info():
        name, state = info.config.name, info.state
        for seq in range(max(1, state.first_seq), state.last_seq + 1):
            with suppress(NotFoundError):
                message = await streams.get_msg(name, seq)
                content = message.data or b""
                found += hits(content, f"{name} {message.subject}")
                taken_out += content.count(b"[redacted ")
    return found, taken_out


def test_no_canary_is_found_in_anything_that_is_kept_or_said(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    (repo / ".env").write_text(ENV_FILE)
    (repo / "token.txt").write_text(f"token: {FILE_ONLY}\n")
    commit(repo)
    folder, live = tmp_path / "witan", dict[str, bytes]()
    folder.mkdir()
    with Local() as local, Remote() as remote:
        daemon = Watched(folder, local, remote)
        try:
            asyncio.run(daemon.start())
            found, taken_out = asyncio.run(_work(daemon, repo, live))
        finally:
            daemon.stop()
    for subject, content in live.items():
        found += hits(content, subject)
    for asked in local.asked:
        found += hits(asked.body + str(asked.headers).encode(), f"a prompt to Ollama: {asked.path}")
    for asked in remote.asked:
        found += hits(asked.body, f"a prompt to OpenAI: {asked.path}")
        found += hits(str(asked.headers), "the headers to OpenAI", allowed="OPENAI_API_KEY")
    found += hits((folder / "said").read_bytes(), "the daemon's own words")
    found += [hit for path, content in _files(folder / ".witan") for hit in hits(content, str(path))]
    found += _in_tables(folder / ".witan" / "witan.duckdb")
    assert found == []
    print(f"{taken_out} taken out, {len(live)} live subjects, {len(local.asked)} + {len(remote.asked)} requests")
    assert taken_out > 100 and len(local.chats) > 4 and any(each.method == "POST" for each in remote.asked)
    assert any(subject.startswith("live.thought") for subject in live)


def _files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """All but the working trees: what is in them are the files of the person who owns the repository."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not {"work"} & set(path.relative_to(folder).parts):
            yield path.relative_to(folder), path.read_bytes()


def _in_tables(path: Path) -> list[str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        names = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        rows = [(name, str(row)) for name in names for row in connection.execute(f'SELECT * FROM "{name}"').fetchall()]
    assert rows
    return [hit for name, row in rows for hit in hits(row, f"the table {name}")]


def test_every_way_of_writing_a_canary_is_found() -> None:
    for name, secret in {**KNOWN, "FILE_ONLY": FILE_ONLY}.items():
        for way in ways(secret):
            assert hits(f"before {way} after", "here") == [f"{name} in here"], way
    for before, after in pairwise(ENV_FILE[at : at + 40] for at in range(0, 80, 20)):
        assert hits(before[:4] + after[:4], "here") == []
