"""The CTO at work: Claude, as a server on loopback, looks at a phase, assigns another task, escalates a third."""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from actors.shell import Failed
from actors.treasurer.prices import load_list
from bus import commands
from bus.commands import request
from bus.ids import derived_id
from bus.messages import exec, routing, run, task
from bus.messages.agent import WorkAssigned
from cli.app import App
from cli.config import Settings
from tests.fake_anthropic import KEY, Answer, Asked, FakeAnthropic, begin, call, raw, streamed, text
from tests.repositories import commit, repository
from tests.test_models_at_work import MODEL, Worker, submit, until
from tests.test_models_at_work import witan as others

Y, Z = derived_id("submit-y"), derived_id("submit-z")
ADVICE = "total() adds floats: use Decimal in calc.py line 1, the tests compare cents."
CODE = "def total(values):\n    try:\n        return sum(values)\n    except:\n        pass\n"


@pytest.fixture(autouse=True, scope="module")
def _loaded() -> None:
    """A machine that is busy with other tests takes seconds to load these; providers are asked within three."""
    import_module("anthropic")
    load_list()


class Claude(FakeAnthropic):
    """Says what its part says next: the CTO's, or a coder's. The first coder is never answered."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = threading.Event()
        self.first = True
        self.cto: list[dict[str, Any]] = []
        self.coders: list[str] = []

    def _answer(self, asked: Asked) -> Answer:
        if asked.path != "/v1/messages":
            return super()._answer(asked)
        turn = sum(message["role"] == "assistant" for message in asked.body["messages"]) + 1
        if "You are the CTO" in json.dumps(asked.body["system"]):
            assert self.ready.wait(20)
            self.cto.append(asked.body)
            self.usual = _of_cto(turn)
        elif self.first:
            self.first = False
            return raw(begin(), "hold")
        else:
            self.coders.append(json.dumps(asked.body["messages"]))
            self.usual = streamed(call("finish", json.dumps({"summary": "done"})), stop="tool_use")
        return super()._answer(asked)


def _of_cto(turn: int) -> Answer:
    first: list[tuple[str, dict[str, Any]]] = [
        ("review_code", {"path": "calc.py"}),
        ("query_logs", {"errors_only": True}),
        ("get_task_info", {"task_id": Y}),
    ]
    second: list[tuple[str, dict[str, Any]]] = [
        ("assign_task", {"task_id": Y, "agent": "coder-02", "reason": "it knows the parser"}),
        ("escalate_task", {"task_id": Z, "reason": "Which currency?", "urgency": "high"}),
        ("assign_task", {"task_id": Y, "agent": "nobody-9", "reason": "a slip"}),
        ("list_agents", {}),
    ]
    parts = [first, second, [("finish", {"summary": ADVICE})]]
    calls = [call(name, json.dumps(said), id=f"t{turn}{place}") for place, (name, said) in enumerate(parts[turn - 1])]
    return streamed(text("I see."), *calls, stop="tool_use")


@contextmanager
def witan(folder: Path, server: FakeAnthropic, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Iterator[App]:
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    money: dict[str, Any] = {"daily_usd": 1000.0, "monthly_usd": 1000.0, "task_usd": 500.0}
    agents = {"coder": 2, "cto": 1}
    settings = Settings(
        state_dir=folder, log_level="error", workflow="direct", pipelines=1, agents=agents, **money, **more
    )
    app = App(settings, projections=False).open()
    try:
        yield app
    finally:
        app.close()


def tell(app: App, command: str, id: str, **body: Any) -> dict[str, Any]:
    told = request(app.connection, "orchestrator", command, json.dumps(body).encode(), id, 20)
    return app.bridge.run(told, timeout_s=30)


def look_first(app: App, server: Claude, repo: Path) -> str:
    """A task whose coder never answers is taken from it; the CTO is to look at it, and two more tasks wait."""
    x = str(tell(app, "submit_task", "submit-x", task="add money", workflow="direct", repo=str(repo))["task_id"])
    assert server.held.wait(20)
    assert tell(app, "assign_task", "named", task_id=x, role="cto", reason="hard")["review"] is True
    assert tell(app, "escalate_task", "up", task_id=x, reason="wait", urgency="low")["status"] == "waiting"
    assert tell(app, "reset_task", "again", task_id=x)["status"] == "running"
    for name in ("y", "z"):
        assert tell(app, "submit_task", f"submit-{name}", task=name, workflow="direct")["status"] == "pending"
    server.ready.set()
    return x


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    made = repository(tmp_path / "repo")
    (made / "calc.py").write_text(CODE)
    commit(made)
    return made


def kill_the_executor_once(app: App, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """When the orchestrator has decided, and the executor has not heard it."""
    really, killed = commands.request, list[str]()

    async def ask(connection: Any, actor: str, command: str, body: bytes, id: str, timeout_s: float) -> Any:
        answer = await really(connection, actor, command, body, id, timeout_s)
        if command in ("assign_task", "escalate_task") and command not in killed:
            killed.append(command)
            supervisor = app.supervisor
            assert supervisor is not None
            running = await asyncio.to_thread(lambda: supervisor.proxy().running.get())
            running["executor"].tell(Failed(RuntimeError("killed by the test")))
            await asyncio.Event().wait()
        return answer

    monkeypatch.setattr(commands, "request", ask)
    return killed


@pytest.mark.parametrize("kills", [False, True])
def test_the_cto_looks_names_and_escalates_and_each_is_on_the_log_once(
    kills: bool, tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Claude() as server, witan(tmp_path / "state", server, monkeypatch) as app:
        killed = kill_the_executor_once(app, monkeypatch) if kills else []
        x = look_first(app, server, repo)
        events = until(app, task.TaskCompleted, count=2)
    assert killed == (["assign_task", "escalate_task"] if kills else [])
    (named,) = [each for each in events if isinstance(each, routing.TaskRouted) and each.by == "cto-01"]
    assert (named.agent, named.role, named.phase) == ("coder-02", "coder", "implement")
    assert named.reason.startswith("it knows the parser") and named.complexity > 0
    assert [each.agent for each in events if isinstance(each, task.PhaseAssigned) and each.run.startswith(Y)] == [
        "coder-02"
    ]
    (asked,) = [each for each in events if isinstance(each, task.PersonAsked) and each.by == "cto-01"]
    assert (asked.question, asked.urgency, asked.failure) == ("Which currency?", "high", "escalated")
    (looked,) = [each for each in events if isinstance(each, routing.ReviewEnded)]
    assert (looked.ok, looked.advice, looked.agent) == (True, ADVICE, "cto-01")
    (finished,) = [each for each in events if isinstance(each, run.RunFinished) and each.summary == ADVICE]
    assert finished.artifacts == []
    work = [each for each in events if isinstance(each, WorkAssigned) and each.task == x]
    assert [each.role for each in work] == ["coder", "cto", "coder"]
    assert ADVICE in json.dumps(work[-1].context)
    assert any(ADVICE in said for said in server.coders)
    said = [each.output.text for each in events if isinstance(each, exec.ToolEnded)]
    review = next(each for each in said if each.startswith("calc.py: "))
    assert "of 10 (Python, 5 lines, 1 functions)" in review and "line 4: E722" in review
    assert any("refused: there is no agent 'nobody-9'" in each and "cto-01" in each for each in said)
    assert any("cto-01: cto, looks at implement of" in each for each in said)
    assert {body["model"] for body in server.cto} and all("claude" in body["model"] for body in server.cto)


def test_without_claude_the_phase_is_done_as_if_nobody_had_looked(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the log says what to export."""
    with Worker(models=[MODEL]) as server, others(tmp_path / "state", server, monkeypatch, pipelines=1) as app:
        submit(app, "first")
        waits = submit(app, "second")
        named = tell(app, "assign_task", "named", task_id=waits, role="cto", reason="hard")
        assert named["ok"] is True and named["review"] is True
        events = until(app, task.TaskCompleted, count=2)
    looked = [each for each in events if isinstance(each, routing.ReviewEnded)]
    assert [each.ok for each in looked] == [False]
    assert "export ANTHROPIC_API_KEY" in looked[0].reason
