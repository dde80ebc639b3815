"""Settings: which source wins, where a value came from, and how a wrong one is refused."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from actors.agent.mind import MODELS, Script, ScriptedReply
from actors.council.rules import Rules
from bus.errors import Invalid
from cli.config import Settings, documented, load
from cli.convened import rules_of
from cli.main import cli

ROOT = Path(__file__).parent.parent


def test_without_any_word_everything_is_its_default(tmp_path: Path) -> None:
    settings, origins = load(cwd=tmp_path, environ={})
    assert settings == msgspec.structs.replace(Settings(), state_dir=tmp_path / ".witan")
    assert set(origins.values()) == {"default"}
    assert settings.agents == {"researcher": 1, "designer": 1, "coder": 1, "tester": 1, "deployer": 1, "cto": 1}


def test_flag_beats_environment_beats_project_beats_user_beats_default(tmp_path: Path) -> None:
    user = tmp_path / "xdg" / "witan" / "config.toml"
    user.parent.mkdir(parents=True)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    sources: list[tuple[int, str]] = [(2, "default")]

    def now() -> tuple[int, str]:
        settings, origins = load({"pipelines": flag}, cwd=tmp_path, environ=environ)
        return settings.pipelines, origins["pipelines"]

    flag = None
    assert now() == sources[-1]
    user.write_text("pipelines = 3")
    assert now() == (3, str(user))
    (tmp_path / "witan.toml").write_text("pipelines = 4")
    assert now() == (4, str(tmp_path / "witan.toml"))
    environ["WITAN_PIPELINES"] = "5"
    assert now() == (5, "environment WITAN_PIPELINES")
    flag = 6
    assert now() == (6, "flag --pipelines")


def test_the_project_file_is_found_from_a_folder_below_and_the_state_stands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "witan.toml").write_text('workflow = "tdd"')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    settings, _ = load(cwd=below, environ={})
    assert (settings.workflow, settings.state_dir) == ("tdd", tmp_path / ".witan")
    settings, _ = load({"state_dir": "mine"}, cwd=below, environ={})
    assert settings.state_dir == below / "mine"


@pytest.mark.parametrize("text", ['{"coder": 3}', "{coder = 3}", "{ coder=3 }"])
def test_a_table_in_the_environment_is_json_or_toml(tmp_path: Path, text: str) -> None:
    settings, origins = load(cwd=tmp_path, environ={"WITAN_AGENTS": text})
    assert settings.agents["coder"] == 3 and settings.agents["tester"] == 1
    assert (origins["agents.coder"], origins["agents.tester"]) == ("environment WITAN_AGENTS", "default")


def test_text_in_the_environment_is_text(tmp_path: Path) -> None:
    assert load(cwd=tmp_path, environ={"WITAN_SCRIPT": "123"}).settings.script == "123"


@pytest.mark.parametrize(
    ("toml", "path", "allowed"),
    [
        ("pipelines = 0", "$.pipelines", "from 1"),
        ('pipelines = "2"', "$.pipelines", "whole number"),
        ("agents = 3", "$.agents", "a table"),
        ("[agents]\ncoder = -1", "$.agents.coder", "0 to 1000"),
        ('[agents]\ncoder = "two"', "$.agents.coder", "0 to 1000"),
        ('[agents]\n"co der" = 1', "$.agents.co der", "a table"),
        ('durability = "maybe"', "$.durability", "one of strict, relaxed"),
        ('log_format = "xml"', "$.log_format", "one of auto, console, json"),
        ('log_level = "loud"', "$.log_level", "one of debug, info, warning, error"),
        ('nats_url = "localhost"', "$.nats_url", "nats://host:port"),
        ("state_dir = 3", "$.state_dir", "folder"),
        ('state_dir = ""', "$.state_dir", "folder"),
        ("lease_s = 0.5", "$.lease_s", "seconds"),
        ("freeze_answer_s = 0", "$.freeze_answer_s", "seconds"),
        ('workflow = "a.b"', "$.workflow", "name"),
        ("pipeline = 1", "$.pipeline", "Known: nats_url"),
        ("[witan]\npipelines = 1", "$.witan", "Known: nats_url"),
    ],
)
def test_a_wrong_value_is_refused_with_its_file_its_path_and_what_is_allowed(
    tmp_path: Path, toml: str, path: str, allowed: str
) -> None:
    (tmp_path / "witan.toml").write_text(toml)
    with pytest.raises(Invalid) as refused:
        load(cwd=tmp_path, environ={})
    assert str(refused.value).startswith(f"{tmp_path / 'witan.toml'}: {path}: ")
    assert allowed in refused.value.what_next


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "witan.toml").write_bytes(b"pipelines = \xff")
    with pytest.raises(Invalid, match=r"witan\.toml"):
        load(cwd=tmp_path, environ={})


def test_a_wrong_value_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"environment WITAN_PIPELINES: \$\.pipelines"):
        load(cwd=tmp_path, environ={"WITAN_PIPELINES": "many"})


def test_a_misspelt_variable_is_refused_and_a_strangers_is_not(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as refused:
        load(cwd=tmp_path, environ={"WITAN_PIPELINE": "3"})
    assert "WITAN_PIPELINES" in refused.value.what_next
    assert load(cwd=tmp_path, environ={"WITAN_DEBUG": "1", "WITAN_SERVICE_HOST": "x"}).settings.pipelines == 2


def test_an_unknown_flag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no such setting"):
        load({"colour": "red"}, cwd=tmp_path, environ={})


@given(text=st.text())
def test_whatever_the_environment_says_is_read_or_refused(text: str) -> None:
    for variable in ("WITAN_PIPELINES", "WITAN_AGENTS", "WITAN_LEASE_S", "WITAN_NATS_URL"):
        try:
            load(cwd=Path("/"), environ={variable: text})
        except Invalid as refused:
            assert refused.what_next


def test_every_setting_is_documented() -> None:
    assert [name for name, words, _ in documented() if not words] == []
    assert len(list(documented())) == len(Settings.__struct_fields__)


def test_it_costs_nothing_to_import() -> None:
    """Modules, not milliseconds: the same on a busy machine."""
    script = "import sys; before = set(sys.modules); import msgspec, cli.config; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    heavy = {"asyncio", "tomllib", "difflib", "nats", "click", "duckdb", "pykka", "rich", "structlog", "logging"}
    assert not heavy & set(loaded.split())


def test_the_council_is_set_by_the_names_that_others_gave_it_too(tmp_path: Path) -> None:
    environ = {
        "COUNCIL_ENABLED": "false",
        "COUNCIL_MODELS": "deepseek,gemini, gpt",
        "COUNCIL_JUDGE": "claude",
        "COUNCIL_TRIGGER_AFTER_RETRIES": "2",
        "COUNCIL_DAILY_BUDGET": "5.00",
        "COUNCIL_TIMEOUT_MS": "45000",
        "WITAN_COUNCIL_TIMEOUT_MS": "20000",
    }
    settings, origins = load(cwd=tmp_path, environ=environ)
    assert (settings.council_enabled, settings.council_models) == (False, ["deepseek", "gemini", "gpt"])
    assert (settings.council_judge, settings.council_after_retries, settings.council_usd) == ("claude", 2, 5.0)
    assert settings.council_timeout_ms == 20_000
    assert origins["council_usd"] == "environment COUNCIL_DAILY_BUDGET"
    assert origins["council_timeout_ms"] == "environment WITAN_COUNCIL_TIMEOUT_MS"


def test_a_mistake_about_the_council_is_told_with_its_place(tmp_path: Path) -> None:
    for environ, place in (
        ({"COUNCIL_MODEL": "gpt"}, "environment COUNCIL_MODEL: there is no such setting"),
        ({"COUNCIL_ENABLED": "maybe"}, "environment COUNCIL_ENABLED: $.council_enabled"),
        ({"COUNCIL_TIMEOUT_MS": "5"}, "environment COUNCIL_TIMEOUT_MS: $.council_timeout_ms"),
        ({"WITAN_COUNCIL_STRATEGY": "luck"}, "environment WITAN_COUNCIL_STRATEGY: $.council_strategy"),
        ({"WITAN_COUNCIL_WEIGHTS": "{looks = 3}"}, "environment WITAN_COUNCIL_WEIGHTS: $.council_weights.looks"),
        ({"WITAN_COUNCIL_WEIGHTS": "{tests = -1}"}, "environment WITAN_COUNCIL_WEIGHTS: $.council_weights.tests"),
    ):
        with pytest.raises(Invalid) as refused:
            load(cwd=tmp_path, environ=environ)
        assert str(refused.value).startswith(place) and refused.value.what_next
    assert load(cwd=tmp_path, environ={"COUNCIL_TAX": "high"}).settings.council_enabled


@pytest.mark.parametrize(("text", "meant"), [("1", True), ("Yes", True), ("off", False), ("false", False)])
def test_true_is_said_in_many_ways_in_the_environment(tmp_path: Path, text: str, meant: bool) -> None:
    assert load(cwd=tmp_path, environ={"COUNCIL_ENABLED": text}).settings.council_enabled is meant


def test_a_weight_that_is_not_named_keeps_its_default_and_all_defaults_are_the_councils_own(tmp_path: Path) -> None:
    (tmp_path / "witan.toml").write_text("[council_weights]\ntests = 50")
    settings, origins = load(cwd=tmp_path, environ={})
    assert settings.council_weights == {"correctness": 40, "reasoning": 25, "tests": 50, "confidence": 15}
    assert origins["council_weights.tests"] == str(tmp_path / "witan.toml")
    assert origins["council_weights.reasoning"] == "default"
    assert rules_of(Settings(council_enabled=True), MODELS) == Rules()


def test_with_a_script_there_is_no_council() -> None:
    demo = Script("demo", "it plays", [ScriptedReply("code", "a.md", "markdown", "done")])
    assert not rules_of(Settings(), demo).enabled


def test_config_show_says_where_each_entry_of_a_table_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COUNCIL_MODELS", "deepseek,gpt")
    (tmp_path / "witan.toml").write_text('[territories]\ncoder-01 = ["src/**"]\n[council_weights]\ntests = 50')
    result = CliRunner().invoke(cli, ["config", "show", "--origin"], prog_name="witan")
    told = {row["setting"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert told["council_models"]["origin"] == "environment COUNCIL_MODELS"
    for name in ("territories.coder-01", "council_weights.tests"):
        assert told[name]["origin"] == str(tmp_path / "witan.toml")
    assert told["council_weights.reasoning"]["origin"] == "default"
