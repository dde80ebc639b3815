"""Programs that speak as `claude` and `codex` do: real executables that say what they are told, and note how asked."""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

_BODY = """
import json, os, signal, subprocess, sys, time
here = os.path.dirname(os.path.abspath(__file__))
play = json.load(open(os.path.join(here, os.path.basename(__file__) + ".play")))
prompt = "" if play["deaf"] else sys.stdin.read()
rules = open("rules.txt").read() if os.path.exists("rules.txt") else ""
note = {"argv": sys.argv[1:], "environ": dict(os.environ), "stdin": prompt, "rules": rules, "cwd": os.getcwd(),
        "pid": os.getpid(), "folder": sorted(os.listdir("."))}
if play["children"]:
    shell = "trap '' TERM HUP INT; setsid sh -c 'trap \\"\\" TERM HUP; echo $$; exec sleep 1000' & wait"
    child = subprocess.Popen(["sh", "-c", shell], stdout=subprocess.PIPE, text=True)
    note["children"] = [child.pid, int(child.stdout.readline())]
with open(os.path.join(here, os.path.basename(__file__) + ".note"), "a") as file:
    file.write(json.dumps(note) + "\\n")
for line in play["lines"]:
    sys.stdout.write(line)
    sys.stdout.flush()
sys.stderr.write(play["complaint"])
sys.stderr.flush()
if play["hangs"]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)
sys.exit(play["code"])
"""


class Play(NamedTuple):
    """What the program does: says its lines, complains, and ends or hangs."""

    lines: tuple[dict[str, Any] | str, ...] = ()
    complaint: str = ""
    code: int = 0
    hangs: bool = False
    children: bool = False
    deaf: bool = False
    """It never reads what it is told."""


class FakeProgram:
    """An executable in a folder of its own, and the environment in which it is found."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        script = folder / name
        script.write_text(f"#!{sys.executable} -IS\n{_BODY}")
        script.chmod(0o755)
        self.plays(Play())

    def plays(self, play: Play) -> None:
        lines = [line if isinstance(line, str) else json.dumps(line) + "\n" for line in play.lines]
        (self.folder / f"{self.name}.play").write_text(json.dumps(play._replace(lines=tuple(lines))._asdict()))

    @property
    def environ(self) -> dict[str, str]:
        key = {"claude": "ANTHROPIC_API_KEY", "codex": "CODEX_API_KEY"}[self.name]
        return {"PATH": f"{self.folder}:/usr/bin:/bin", "HOME": str(self.home), key: "sk-program-secret-0123456789"}

    @property
    def notes(self) -> list[dict[str, Any]]:
        """How it was called, each time."""
        path = self.folder / f"{self.name}.note"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


CLAUDE_USAGE = {
    "input_tokens": 4,
    "cache_creation_input_tokens": 300,
    "cache_read_input_tokens": 2000,
    "output_tokens": 25,
    "server_tool_use": {"web_search_requests": 0},
    "service_tier": "standard",
}


def claude_init(tools: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "system", "subtype": "init", "cwd": "/tmp/x", "session_id": "3f1c", "tools": tools or [],
        "mcp_servers": [], "model": "claude-sonnet-5-5", "permissionMode": "default", "slash_commands": [],
        "apiKeySource": "ANTHROPIC_API_KEY", "claude_code_version": "2.1.303", "output_style": "default", "uuid": "u1",
    }  # fmt: skip


def claude_delta(text: str) -> dict[str, Any]:
    event = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    return {"type": "stream_event", "event": event, "session_id": "3f1c", "parent_tool_use_id": None, "uuid": "u2"}


def claude_result(text: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "result", "subtype": "success", "is_error": False, "duration_ms": 2100, "duration_api_ms": 1900,
        "num_turns": 1, "result": text, "stop_reason": "end_turn", "session_id": "3f1c", "total_cost_usd": 0.0021,
        "usage": CLAUDE_USAGE, "modelUsage": {"claude-sonnet-5-5": {"inputTokens": 4, "costUSD": 0.0021}},
        "permission_denials": [], "uuid": "u3", **more,
    }  # fmt: skip


def claude(*pieces: str, **more: Any) -> tuple[dict[str, Any], ...]:
    """All that a good answer is made of."""
    text = "".join(pieces)
    content = [{"type": "text", "text": text}]
    message = {"model": "claude-sonnet-5-5", "role": "assistant", "content": content, "usage": CLAUDE_USAGE}
    return (
        claude_init(),
        {"type": "stream_event", "event": {"type": "message_start", "message": message}, "session_id": "3f1c"},
        *(claude_delta(piece) for piece in pieces),
        {"type": "stream_event", "event": {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}},
        {"type": "assistant", "message": message, "parent_tool_use_id": None, "session_id": "3f1c"},
        {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed", "resetsAt": 1_792_000_000}},
        claude_result(text, **more),
    )


def codex_item(type: str, **more: Any) -> dict[str, Any]:
    return {"type": "item.completed", "item": {"id": "item_0", "type": type, **more}}


def codex(text: str, input: int = 900, cached: int = 600, output: int = 30) -> tuple[dict[str, Any], ...]:
    usage = {"input_tokens": input, "cached_input_tokens": cached, "output_tokens": output}
    return (
        {"type": "thread.started", "thread_id": "0199a213"},
        {"type": "turn.started"},
        codex_item("reasoning", text="**Thinking**"),
        codex_item("agent_message", text=text),
        {"type": "turn.completed", "usage": usage},
    )
