"""What a person sees of money and models, what they order, and how a task that waits for money is told."""

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result
from nats.aio.msg import Msg

from actors.treasurer.asking import Model, Prompt, Reply, Standing
from bus.days import day_of
from bus.messages import provider, run, task
from bus.messages.call import CallParked, CallStarted, ModelReplied
from cli.main import cli
from cli.money import usd
from cli.output import Form
from cli.survey import survey
from cli.verbs.budget import current, listed
from projections.store import Store
from tests.projected_money import TODAY, Till
from tests.test_cli_runs import OPENED, House, in_a_house, lines, typed

CANARY = "canary-5e1f0c0ffee-not-to-be-seen"
CALLS = "evt.call.ada.a-1"
PARKED = CallParked(turn=1, why="budget", scope="task", until_s=2e9)
STARTED = CallStarted(turn=1, provider="anthropic", model="m", reason="anthropic/m: urgent", reservation="r")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own on a machine where nobody can be asked."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL", "_TOKEN"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{closed_port()}")
    return folder


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def stopped_after(till: Till, folder: Path) -> None:
    """A Witan was here, saw this and was stopped."""
    store = Store(folder / ".witan" / "witan.duckdb")
    store.take(till.history.records)
    store.close()


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a host that takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"


@pytest.fixture
def answering() -> Iterator[str]:
    """A server with one model, which tells everybody the key that it was given when that is wrong."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            key = self.headers.get("Authorization", "")
            right = not key or key.endswith("right-key-1")
            said: dict[str, Any] = {"object": "list", "data": [{"id": "qwen3-coder", "object": "model"}]}
            body = json.dumps(said if right else {"error": {"message": f"wrong API key: {key}"}}).encode()
            self.send_response(200 if right else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def standings(result: Result, exit_code: int = 0) -> dict[str, dict[str, Any]]:
    return {row["provider"]: row for row in lines(result, exit_code)}


def test_auth_status_says_of_each_provider_why_not_and_what_to_type(folder: Path) -> None:
    result = typed("auth", "status", "--json")
    told = standings(result, exit_code=3)
    assert {"ollama", "claude", "codex", "anthropic", "openai", "deepseek", "gemini"} <= set(told)
    assert not any(row["usable"] for row in told.values())
    assert told["anthropic"]["why"] == "ANTHROPIC_API_KEY is not set"
    assert all("_API_KEY" in told[name]["next"] for name in ("anthropic", "openai", "deepseek", "gemini"))
    assert "PATH" in told["claude"]["why"] and "ollama" in told["ollama"]["next"]
    assert "witan demo" in result.stderr


def test_auth_status_answers_while_a_host_does_not(folder: Path, silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WITAN_OPENAI_BASE_URL", silent)
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    result = typed("auth", "status")
    told = standings(result)
    assert "no answer within" in told["custom"]["why"] and told["custom"]["next"]
    assert told["anthropic"]["usable"] and "witan models" in result.stderr


def test_no_key_is_printed_even_if_a_server_says_it(
    folder: Path, answering: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "WITAN_OPENAI_API_KEY"):
        monkeypatch.setenv(name, CANARY)
    for name in ("OPENAI_BASE_URL", "WITAN_OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.setenv(name, answering)
    for words in (("auth", "status"), ("models",)):
        result = typed(*words)
        assert CANARY not in result.output and "Traceback" not in result.output
    assert "401" in standings(typed("auth", "status"))["openai"]["why"]


class Stuck:
    """A provider that waits in a thread for a name that nobody knows."""

    name = "stuck"

    def __init__(self) -> None:
        self.over = Event()

    async def load(self) -> None:
        pass

    async def standing(self) -> Standing:
        await asyncio.get_running_loop().run_in_executor(None, self.over.wait)
        return Standing(self.name, True, "")

    async def models(self) -> list[Model]:
        raise ValueError("broken")

    async def ask(self, prompt: Prompt, heard: Callable[[str], None], limit_s: float) -> Reply:
        raise NotImplementedError

    async def close(self) -> None:
        await asyncio.Event().wait()


class Broken(Stuck):
    name = "broken"

    async def standing(self) -> Standing:
        return Standing(self.name, True, "")


def test_a_provider_that_hangs_or_breaks_holds_nobody_up() -> None:
    stuck = Stuck()
    first, second = survey([stuck, Broken()], 0.05, with_models=True)
    stuck.over.set()
    assert (first.standing.provider, first.standing.usable) == ("stuck", False)
    assert "no answer within 0.05 s" in first.standing.why
    assert (second.standing.usable, second.models) == (False, []) and "ValueError" in second.standing.why


def test_models_have_price_limits_and_how_they_did(
    folder: Path, answering: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    till = Till()
    for failure in ("", "timeout"):
        till.end(till.begin("a", model=("custom", "qwen3-coder")), failure=failure)
    till.rest("custom", "qwen3-coder", provider.BreakerOpened("custom", "qwen3-coder", 4, 4e9, "it fails"))
    stopped_after(till, folder)
    monkeypatch.setenv("WITAN_OPENAI_BASE_URL", answering)
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://127.0.0.1:{closed_port()}")
    told = {row["model"]: row for row in lines(typed("models"))}
    local = told["qwen3-coder"]
    assert (local["provider"], local["local"], local["input_usd"]) == ("custom", True, 0)
    assert (local["calls"], local["rate"], local["breaker"]) == (2, 0.5, "open")
    assert local["context"] > 0 and local["output_max"] > 0
    paid = [row for row in told.values() if row["provider"] == "anthropic"]
    assert paid and all(row["output_usd"] > row["input_usd"] > 0 for row in paid if row["input_usd"] is not None)
    assert paid[0]["calls"] is None
    assert {row["provider"] for row in lines(typed("models", "--provider", "custom"))} == {"custom"}


def test_models_where_nobody_can_be_asked_end_with_3(folder: Path) -> None:
    result = typed("models")
    assert result.exit_code == 3 and "witan auth status" in result.stderr and result.stdout == ""
    assert typed("models", "--provider", "nonsense").exit_code == 2


def a_day_of_spending() -> Till:
    till = Till()
    till.caps(2_000_000)
    till.end(till.begin("a", micro=300_000), 123_457)
    till.begin("b", "tester", micro=450_000)
    till.park("b", "tester", scope="task")
    return till


def test_the_budget_as_one_object_has_caps_spend_and_mix(folder: Path) -> None:
    stopped_after(a_day_of_spending(), folder)
    result = typed("budget", "--json")
    (told,) = lines(result)
    caps = {(row["scope"], row["window"]): row for row in told["budget"]}
    assert {scope for scope, _ in caps} == {"day", "month", "council", "task"}
    assert (caps["task", "a"]["spent_usd"], caps["task", "b"]["reserved_usd"]) == (0.123457, 0.45)
    assert caps["task", "b"]["state"] == "exhausted"
    assert set(told["spend"]) == {"day", "month", "task", "model", "provider", "role"}
    assert told["spend"]["day"][0]["name"] == TODAY and told["mix"][0]["paid"] == 2
    assert "b is blocked: budget" in result.stderr and "witan budget top-up b USD" in result.stderr


def test_the_budget_as_a_table_and_as_csv(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_after(a_day_of_spending(), folder)
    monkeypatch.setenv("COLUMNS", "200")
    assert listed.callback is not None
    listed.callback(limit=10, form=Form.TABLE, state_dir=None, nats_url=None)
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("caps", "0.123457", "exhausted", "spend", "local and paid", "20.00"))
    head, *rows = typed("budget", "--csv").stdout.splitlines()
    assert head.startswith("scope,window,spent_usd") and len(rows) == 5


def test_the_budget_of_a_team_that_never_bought_anything_says_so(folder: Path) -> None:
    stopped_after(Till(), folder)
    result = typed("budget")
    assert lines(result)[0]["budget"] == [] and "nothing has been bought" in result.stderr


def test_a_day_on_which_nothing_happened_has_all_of_its_cap_left() -> None:
    row = {"scope": "day", "window": "2026-11-20", "spent_usd": 2.0, "reserved_usd": 0.0, "cap_usd": 2.0}
    row |= {"cap_micro": 2_000_000, "percent": 100.0, "state": "exhausted", "usd_per_hour": 1.0, "left_usd": 0.0}
    row |= {"hours_to_exhaustion": 0.0}
    noon_s = 1_795_176_000.0
    same = current([row], noon_s, "2026-11-20T11:59:00Z")[0]
    assert (same["state"], same["hours_to_exhaustion"]) == ("exhausted", 0)
    midnight = current([row], noon_s + 43_260, "2026-11-20T23:59:00Z")[0]
    assert (midnight["window"], midnight["state"], midnight["spent_usd"]) == ("2026-11-21", "ok", 0)
    assert (midnight["percent"], midnight["hours_to_exhaustion"]) == (0, 2)
    later = current([row], noon_s + 86_400, "2026-11-20T12:00:00Z")[0]
    assert (later["usd_per_hour"], later["hours_to_exhaustion"]) == (0, None)
    assert current([{**row, "cap_micro": 0}], noon_s + 86_400, None)[0]["state"] == "exhausted"


@pytest.mark.parametrize(
    ("amount", "told"), [(0.5, "0.50"), (2.0, "2.00"), (0.000001, "0.000001"), (0.1235, "0.1235"), (None, None)]
)
def test_amounts_are_shown_with_cents_and_never_as_powers(amount: float | None, told: str | None) -> None:
    assert usd(amount) == told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["set"], "Name a cap"),
        (["set", "--daily", "much"], "is not an amount of dollars"),
        (["set", "--daily", "-1"], "is not between 0 and"),
        (["set", "--task", "nan"], "is not between 0 and"),
        (["set", "--monthly", "inf"], "is not between 0 and"),
        (["set", "--council", "1000001"], "is not between 0 and"),
        (["set", "--daily", "0.0000001"], "is finer than a millionth"),
        (["set", "--daily", "1e-999999"], "is finer than a millionth"),
        (["top-up", "a"], "Missing argument 'USD'"),
        (["top-up", "a", "0"], "Say how many dollars more"),
        (["top-up", "a", "1,5"], "is not an amount of dollars"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_amount_is_refused_before_anything_is_sent(folder: Path, words: list[str], told: str) -> None:
    result = typed("budget", *words)
    assert result.exit_code == 2, result.output
    assert told in result.stderr


def test_caps_and_top_ups_are_sent_as_they_were_typed(folder: Path) -> None:
    async def story(house: House) -> None:
        sent: list[tuple[str, Any]] = []

        async def heard(message: Msg) -> None:
            sent.append((message.subject, json.loads(message.data)))
            await message.respond(b'{"ok":true,"day_usd":2.0}')

        await house.client.subscribe("cmd.treasurer.*", cb=heard)
        await house.client.flush()
        await house.say("evt.task.a1", OPENED, flow="a1")
        await house.asked(folder)
        result = await house.type("budget", "set", "--daily", "$2.00", "--task", ".5", "--reason", "a quiet week")
        assert lines(result) == [{"day_usd": 2.0}]
        assert (await house.type("budget", "top-up", "a", "0.25", "--id", "said-1")).exit_code == 0
        assert sent == [
            ("cmd.treasurer.set_caps", {"daily_usd": 2.0, "task_usd": 0.5, "reason": "a quiet week"}),
            ("cmd.treasurer.top_up", {"task_id": "a1", "usd": 0.25}),
        ]

    in_a_house(folder, story)


def test_status_says_which_tasks_wait_for_money(folder: Path) -> None:
    till = Till()
    for id in ("a", "b"):
        till.history.submit(id)
        till.history.task(id, task.PipelineStarted())
    till.park("a", scope="day")
    stopped_after(till, folder)
    result = typed("status")
    told = {row["id"]: row for row in lines(result)}
    assert (told["a"]["status"], told["a"]["reason"]) == ("blocked: budget", "the cap of the day is used up")
    assert told["b"]["status"] == "running"
    assert "witan budget set --daily USD" in result.stderr
    assert lines(typed("status", "a"))[0]["status"] == "blocked: budget"
    till.history.commit("evt.run.coder-1.a-coder", run.RunStopped("cancelled"), flow="a")
    stopped_after(till, folder)
    assert {row["status"] for row in lines(typed("status"))} == {"running"}


def test_the_board_says_when_80_percent_of_a_cap_are_used_up(folder: Path) -> None:
    till = Till()
    till.history.submit("a")
    till.caps(day=1_000_000)
    stopped_after(till, folder)
    assert "of the cap of the day" not in typed("status").stderr
    till.end(till.begin("a", micro=900_000, day=(today := day_of(time.time()))), 850_000)
    stopped_after(till, folder)
    assert "of the cap of the month" not in typed("status").stderr
    assert f"85 % of the cap of the day {today} are spent or reserved." in typed("status").stderr


AT_WORK = (
    task.PipelineStarted(),
    task.PhaseRequested("implement", "dev"),
    task.PhaseAssigned("implement", "ada", "a-1", 1),
)


def test_watch_ends_with_4_when_the_task_already_waits_for_money(folder: Path) -> None:
    async def story(house: House) -> None:
        await house.say("evt.task.a", OPENED, *AT_WORK)
        await house.say(CALLS, PARKED)
        result = await house.type("watch", "a")
        assert result.exit_code == 4 and "blocked: budget" in result.stderr
        assert "witan budget top-up a USD" in result.stderr
        assert json.loads(result.stdout.splitlines()[-1])["type"] == "CallParked"

    in_a_house(folder, story)


def test_watch_stays_when_the_call_has_gone_on_and_when_another_task_waits(folder: Path) -> None:
    async def story(house: House) -> None:
        await house.say("evt.task.a", OPENED, *AT_WORK)
        await house.say(CALLS, PARKED)
        await house.say(CALLS, STARTED)
        watching = asyncio.create_task(house.type("watch", "a"))
        await house.say("evt.call.ada.b-1", PARKED, flow="b")
        await house.say(CALLS, ModelReplied(turn=1, mind="m"))
        await house.say(CALLS, CallParked(turn=2, why="provider", scope="anthropic/m", until_s=2e9))
        await house.say("evt.task.a", task.PhaseCompleted("implement", "ada", "a-1"), task.TaskCompleted())
        assert (await watching).exit_code == 0

    in_a_house(folder, story)


def test_run_ends_with_4_when_its_call_has_to_wait_for_money(folder: Path) -> None:
    async def story(house: House) -> None:
        async def work() -> None:
            await house.say("evt.task.a", OPENED, *AT_WORK)
            await house.say(CALLS, STARTED)
            await house.say(CALLS, ModelReplied(turn=1, mind="m"))
            await house.say(CALLS, CallParked(turn=2, why="budget", scope="month", until_s=2e9))

        await house.asked(folder)
        await house.answers("cmd.orchestrator.submit_task", {"task_id": "a"}, work)
        result = await house.type("run", "build it", "--fresh")
        *events, made = lines(result, exit_code=4)
        assert [each["type"] for each in events if each["kind"] == "call"] == [
            "CallStarted",
            "ModelReplied",
            "CallParked",
        ]
        assert made["status"] == "blocked: budget" and "witan budget set --monthly USD" in result.stderr

    in_a_house(folder, story)


def test_the_new_verbs_are_groups_that_explain_themselves() -> None:
    for words in (["budget", "--help"], ["auth"], ["auth", "--help"]):
        result = CliRunner().invoke(cli, words, prog_name="witan")
        assert "Usage: witan" in result.output and "Traceback" not in result.output
