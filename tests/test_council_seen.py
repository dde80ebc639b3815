"""A real council from the command line: convened, stayed with, looked at, and counted as the log has it."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bus.log import replay
from bus.messages import task
from bus.messages.council import OutcomeRecorded
from cli.app import App
from cli.main import cli
from projections.store import Store
from tests import test_models_at_work
from tests.projected_councils import recounted
from tests.projected_stores import new_store
from tests.test_council_at_work import MODELS, Stuck
from tests.test_council_views import counts
from tests.test_models_at_work import submit, until, witan


def typed(app: App, *words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--nats", app.url], prog_name="witan")


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def counted_from_the_log(app: App, store: Store) -> bool:
    async def read() -> list[Any]:
        return [record async for batch in replay(app.log) for record in batch]

    records = app.bridge.run(read(), timeout_s=30)
    store.take(records)
    by_hand = {
        cut: {name: int(many) for name, many in told.items() if many} for cut, told in recounted(records).items()
    }
    return bool(by_hand) and counts(store) == by_hand


def test_a_person_convenes_a_council_and_sees_what_came_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(test_models_at_work, "App", lambda settings, projections: App(settings, projections=True))
    with Stuck(models=MODELS) as server, witan(tmp_path / "state", server, monkeypatch) as app:
        type_ = partial(typed, app)
        id = submit(app, "double numbers")
        until(app, task.PersonAsked)
        names = ",".join(f"openai/{each['id']}" for each in MODELS)
        (ended,) = lines(type_("council", "convene", id, "--members", names, "--strategy", "test_winner", "--wait"))
        assert (ended["outcome"], ended["by"]) == ("answered", "openai/gpt-4o-mini")
        council = str(ended["council"])
        until(app, OutcomeRecorded)
        until(app, task.TaskCompleted)
        (row,) = lines(type_("council", "list", "--task", id))
        while row["helped"] is None:  # the tables follow the log
            (row,) = lines(type_("council", "list", "--task", id))
        assert (row["council"], row["outcome"], row["helped"]) == (council, "answered", "success")
        (told,) = lines(type_("council", "show", id))
        assert told["problem"]["error"] and told["council"]["by_hand"]
        assert sorted(row["tests"] or "" for row in told["candidates"]) == ["", "0/2", "2/2"]
        diff = type_("council", "show", council, "--diff", str(ended["winner"])).stdout
        assert "+    return x * 2" in diff.splitlines()
        wins = {row["name"]: row for row in lines(type_("council", "wins"))}
        assert (wins["openai/gpt-4o-mini"]["wins"], wins["openai/gpt-4o"]["wins"]) == (1, 0)
        assert wins["openai/gpt-4o-mini"]["usd_per_resolution"] > 0
        (trace,) = lines(type_("trace", id))
        assert [each["council"] for run in trace["runs"] for each in run["councils"]] == [council]
        store = new_store(tmp_path / "again.duckdb")
        assert counted_from_the_log(app, store)
        store.close()
        refused = type_("council", "convene", id)
        assert refused.exit_code == 1 and "completed" in refused.stderr
