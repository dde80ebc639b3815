"""The programs `claude` and `codex` as minds: a prompt goes in, JSON lines come out, and nothing of them stays."""

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from actors.treasurer.asking import Model, Prompt, ProviderFailed, Reply, Standing
from actors.treasurer.providers.anthropic_faults import said
from actors.treasurer.providers.program_kinds import RULES, Kind
from actors.treasurer.providers.program_lines import Lines
from actors.treasurer.providers.program_words import Malformed, rules, understood, wants_json

LINE_MAX_BYTES = 8 * 1024 * 1024
OUTPUT_MAX_BYTES = 64 * 1024 * 1024
COMPLAINT_MAX_BYTES = 2000
END_S = 10.0
"""So long the reaper may take to end a program and all that it started."""

_HOUSE = str(Path(__file__).parents[3])
_START = (
    "import sys; sys.path.append(sys.argv[1]); from actors.treasurer.providers.reaper import main; "
    "main(int(sys.argv[2]), sys.argv[3:])"
)
_ENVIRON = (
    *("HOME", "PATH", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "XDG_CONFIG_HOME"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
)


class Program:
    """One program as a provider. Each question is a process of its own, in an empty folder."""

    def __init__(self, kind: Kind, environ: Mapping[str, str] = os.environ, models: Sequence[Model] = ()) -> None:
        self.kind, self._environ, self._models = kind, environ, list(models or kind.models)
        self.name = kind.name

    async def load(self) -> None:
        """A program brings its own."""

    async def standing(self) -> Standing:
        found, kind = self._found(), self.kind
        if not found:
            return Standing(self.name, False, f"`{self.name}` is not on PATH", kind.install)
        if key := next((key for key in kind.keys if self._environ.get(key)), None):
            return Standing(self.name, True, f"{found}, with {key}")
        if self._logged_in():
            return Standing(self.name, True, f"{found}, with the login that it keeps")
        return Standing(self.name, False, f"{found} is there, but nobody is logged in", kind.login)

    async def models(self) -> list[Model]:
        return list(self._models)

    async def ask(self, prompt: Prompt, heard: Callable[[str], None], limit_s: float) -> Reply:
        standing = await self.standing()
        if not standing.usable:
            raise ProviderFailed("help", f"{standing.why}: {standing.what_next}", charged="nothing")
        lines = self.kind.lines(prompt)
        try:
            async with asyncio.timeout(limit_s):
                await self._run(prompt, lines, (lambda _: None) if wants_json(prompt) else heard)
        except TimeoutError:
            raise lines.failed("timeout", f"no reply within {limit_s:g} s") from None
        except ProviderFailed as failed:
            why = said(failed.reason, *self._secrets())
            raise ProviderFailed(failed.failure, why, failed.wait_s, failed.charged, failed.usage) from None
        answer = lines.heard()
        assert answer is not None
        try:
            text, calls = understood(prompt, answer.text)
        except Malformed as error:
            why = f"its answer has another form than asked for: {error}"
            raise ProviderFailed("model_error", said(why), charged="usage", usage=answer.usage) from None
        if wants_json(prompt) and text:
            heard(text)
        stop = "tools" if calls and answer.stop == "end" else answer.stop
        return Reply(text, calls, stop, answer.usage, answer.model or prompt.model, answer.micro)

    async def close(self) -> None:
        """Nothing stays between two questions."""

    def _found(self) -> str:
        found = shutil.which(self.name, path=self._environ.get("PATH", ""))
        return os.path.abspath(found) if found else ""

    def _logged_in(self) -> bool:
        """On a Mac the login is in the keychain, which nobody asks in vain."""
        variable, folder, file = self.kind.home.split(":")
        home = self._environ.get(variable) or os.path.join(self._environ.get("HOME", ""), folder)
        return os.path.exists(os.path.join(home, file)) or (sys.platform == "darwin" and self.name == "claude")

    async def _run(self, prompt: Prompt, lines: Lines, heard: Callable[[str], None]) -> None:
        with TemporaryDirectory(prefix="witan-mind-", ignore_cleanup_errors=True) as folder:
            Path(folder, RULES).write_text(rules(prompt), "utf-8", "replace")
            complaint: deque[bytes] = deque(maxlen=8)
            async with self._started(prompt, folder) as process:
                feeding = asyncio.create_task(_feed(process, self.kind.asked(prompt)))
                complaining = asyncio.create_task(_listen(process, complaint))
                try:
                    await self._hear(process, lines, heard)
                    code = await process.wait()
                    await complaining
                finally:
                    feeding.cancel()
                    complaining.cancel()
                    await asyncio.gather(feeding, complaining, return_exceptions=True)
        if lines.heard() is None:
            last = b"".join(complaint)[-COMPLAINT_MAX_BYTES:].decode(errors="replace")
            raise lines.failed("model_error", f"{self.name} ended with {code} and no answer: {last}")

    async def _hear(self, process: asyncio.subprocess.Process, lines: Lines, heard: Callable[[str], None]) -> None:
        assert process.stdout is not None
        left = OUTPUT_MAX_BYTES
        try:
            while line := await process.stdout.readline():
                left -= len(line)
                if left < 0:
                    raise lines.failed("model_error", "it says more than any reply can hold")
                # What does not look like JSON is a notice for people.
                if line.startswith(b"{") and (piece := lines.hear(line, time.time())):
                    heard(piece)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
            raise lines.failed("model_error", f"a line that cannot be read: {said(str(error))}") from None

    @contextlib.asynccontextmanager
    async def _started(self, prompt: Prompt, folder: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Whatever comes, when this is left there is no process of it any more."""
        environ = {name: self._environ[name] for name in (*_ENVIRON, *self.kind.environ) if name in self._environ}
        theirs, ours = os.pipe2(os.O_CLOEXEC)
        try:
            words = [self._found(), *self.kind.words(prompt)]
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-c", _START, _HOUSE, str(theirs), *words),
                cwd=folder, env={**environ, **self.kind.extra(prompt)}, start_new_session=True, pass_fds=[theirs],
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                limit=LINE_MAX_BYTES,
            )  # fmt: skip
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        try:
            yield process
        finally:
            os.close(ours)
            await asyncio.shield(_ended(process))

    def _secrets(self) -> list[str]:
        return [self._environ.get(key, "") for key in self.kind.keys]


async def _feed(process: asyncio.subprocess.Process, text: str) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(text.encode(errors="replace"))
        await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()


async def _listen(process: asyncio.subprocess.Process, complaint: deque[bytes]) -> None:
    assert process.stderr is not None
    while chunk := await process.stderr.read(COMPLAINT_MAX_BYTES):
        complaint.append(chunk)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """A reaper that hangs is ended itself, and its program with it. Unread output would keep asyncio waiting."""
    try:
        async with asyncio.timeout(END_S):
            await asyncio.gather(process.wait(), _drain(process.stdout), _drain(process.stderr))
    except TimeoutError:
        process.kill()
        await process.wait()


async def _drain(stream: asyncio.StreamReader | None) -> None:
    while stream is not None and await stream.read(LINE_MAX_BYTES):
        pass
