"""How hard a task is and who should have it: the examples of the source, the laws of the score, and the verb."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import actors
from actors.agent.role import read_roles
from actors.orchestrator.routing import Facts, Routed, Score, complexity, route, work_type_of
from actors.orchestrator.rules import read_rules
from actors.treasurer.asking import Model, Standing
from actors.treasurer.choosing import Candidate
from bus.errors import Invalid
from bus.messages import call, run, step, task
from cli.config import Settings
from cli.main import cli
from cli.verbs import route as verb
from projections.store import Store
from tests.projected_histories import History

OWN = Path(actors.__file__).parent
RULES = read_rules(OWN)
WEIGHTS = RULES.weights
TEAM = ("coder", "deployer", "designer", "researcher", "tester")
WITH_CTO = (*TEAM, "cto")
EXAMPLES = [
    ("Create simple function", {}, 2.5, "coder", 0.8),
    ("Refactor multi-file architecture", {}, 8.5, "cto", 0.9),
    ("Run tests on module", {}, 3.5, "tester", 0.9),
    ("Review PR changes", {}, 2.5, "cto", 0.95),
    ("Create simple function", {"failures": 2}, 4.5, "cto", 0.9),
]
WORDS = [word for group in WEIGHTS.keywords.values() for word in group.words]


def routed(text: str, roles: tuple[str, ...] = WITH_CTO, *, required_role: str = "", failures: int = 0) -> Routed:
    kind = work_type_of(text, required_role, RULES.work_types)
    score = complexity(text, WEIGHTS, required_role=required_role, work_type=kind, failures=failures)
    return route(Facts(required_role, kind, failures), score, roles, RULES)


def points(score: Score) -> dict[str, float]:
    return {part.name: part.points for part in score.parts}


def test_the_examples_are_decided_by_the_roles_that_there_are() -> None:
    assert set(WITH_CTO) == set(read_roles(OWN / "roles")) == set(Settings().agents)


@pytest.mark.parametrize(("text", "facts", "total", "role", "confidence"), EXAMPLES)
def test_the_five_examples_of_the_source_give_their_agents(
    text: str, facts: dict[str, Any], total: float, role: str, confidence: float
) -> None:
    found = routed(text, **facts)
    assert (found.score.total, found.role, found.confidence) == (total, role, confidence)
    assert role in found.reason


@pytest.mark.parametrize(("text", "facts", "total", "role", "confidence"), EXAMPLES)
def test_without_a_cto_the_best_there_is_gets_it_less_surely_and_that_is_said(
    text: str, facts: dict[str, Any], total: float, role: str, confidence: float
) -> None:
    found = routed(text, TEAM, **facts)
    if role == "cto":
        assert found.role == ("tester" if "Review" in text else "coder")
        assert found.confidence < confidence
        assert "for the cto, but there is none here" in found.reason
    else:
        assert (found.role, found.confidence) == (role, confidence)


def test_every_part_of_the_formula_counts_what_the_source_says() -> None:
    text = "Design it, then connect it:\n1. write it\n2. verify it\n3. ship it\n"
    score = complexity(text, WEIGHTS, required_role="cto", priority=7, failures=1)
    assert points(score) == {
        "start": 1.0,
        "steps": 1.5,
        "keywords: structure": 2.0,
        "keywords: checking": 1.0,
        "keywords: joining": 1.5,
        "required role": 3.0,
        "work type": 0.0,
        "priority": 2.1,
        "failures": 1.0,
        "limit": -3.1,
    }
    assert score.total == 10


def test_steps_are_counted_as_a_checklist_or_as_the_source_writes_them_but_not_twice() -> None:
    assert points(complexity("Step 1: a\nStep 2: b", WEIGHTS))["steps"] == 1.0
    assert points(complexity("1. Step 1: a\n2. Step 2: b", WEIGHTS))["steps"] == 1.0
    assert points(complexity("- [ ] a\n- [ ] b\n- [ ] c", WEIGHTS))["steps"] == 1.5
    assert points(complexity("no steps in here", WEIGHTS, steps=4))["steps"] == 2.0


def test_a_keyword_begins_a_word_and_counts_once() -> None:
    assert points(complexity("a rapid, capital contest", WEIGHTS))["keywords: joining"] == 0
    assert points(complexity("test_api: API, apis, REST-API", WEIGHTS))["keywords: joining"] == 1.5
    assert points(complexity("Refactoring a refactored refactor", WEIGHTS))["keywords: structure"] == 2


texts = st.lists(st.sampled_from([*WORDS, "paint", "the", "house\n"]), max_size=12).map(" ".join)


@given(st.text(max_size=300) | texts, st.sampled_from(WITH_CTO), st.integers(0, 9), st.integers(0, 50))
def test_the_score_is_within_1_and_10_and_the_sum_of_its_parts(
    text: str, role: str, priority: int, failures: int
) -> None:
    score = complexity(text, WEIGHTS, required_role=role, priority=priority, failures=failures)
    assert 1 <= score.total <= 10
    assert score.total == pytest.approx(sum(part.points for part in score.parts))
    assert all(part.why for part in score.parts)
    assert score == complexity(text, WEIGHTS, required_role=role, priority=priority, failures=failures)


@given(texts, st.integers(0, 8), st.integers(0, 9), st.integers(0, 20), st.sampled_from(WORDS))
def test_more_of_anything_never_makes_a_task_easier(
    text: str, priority: int, failures: int, steps: int, word: str
) -> None:
    facts: dict[str, Any] = {"priority": priority, "failures": failures, "steps": steps}
    less = complexity(text, WEIGHTS, **facts).total
    for name in facts:
        assert complexity(text, WEIGHTS, **{**facts, name: facts[name] + 1}).total >= less
    assert complexity(f"{text} {word}", WEIGHTS, **facts).total >= less
    assert complexity(text, WEIGHTS, required_role="cto", **facts).total >= less


kinds = st.sampled_from(["", *RULES.work_types, "knitting"])
counts = st.integers(0, 100)


@given(
    st.builds(Facts, st.sampled_from(["", "cto", "tester", "painter"]), kinds, st.integers(0, 5), counts, counts),
    st.floats(1, 10).map(lambda total: Score(round(total, 2), ())),
    st.permutations([*WITH_CTO, "painter"]),
    st.integers(0, 7),
)
def test_a_task_is_routed_to_a_role_that_exists_whatever_is_known_of_it(
    facts: Facts, score: Score, roles: list[str], many: int
) -> None:
    there = roles[:many]
    found = route(facts, score, there, RULES)
    assert found.role in there if there else found.role == ""
    assert 0 <= found.confidence <= 1 and bool(found.confidence) == bool(there)
    assert found == route(facts, score, there[::-1], RULES)
    assert found.reason


def test_the_first_rule_that_fits_decides() -> None:
    assert routed("Review PR changes", required_role="designer").role == "designer"
    assert routed("Refactor multi-file architecture", required_role="designer").role == "cto"
    assert routed("Write a parser", required_role="tester", failures=2).role == "cto"
    assert routed("Write a parser", required_role="tester", failures=1).role == "tester"
    assert routed("Write a parser", required_role="cto").role == "cto"
    anybody = routed("Something else")
    assert (anybody.role, anybody.confidence) == ("coder", 0.5)
    assert routed("Something else", ("painter",)).role == "painter"


def test_a_complexity_of_exactly_7_is_not_over_7() -> None:
    for total, role in ((7.0, "coder"), (7.01, "cto")):
        assert route(Facts(work_type="code"), Score(total, ()), WITH_CTO, RULES).role == role


def test_an_architect_with_more_than_its_share_of_the_calls_gets_only_what_is_harder_by_a_point() -> None:
    busy = Facts(work_type="code", worker_calls=80, architect_calls=20)
    assert route(busy, Score(7.5, ()), WITH_CTO, RULES).role == "coder"
    harder = route(busy, Score(8.5, ()), WITH_CTO, RULES)
    assert harder.role == "cto" and "over 8" in harder.reason and "20 of the last 100 calls" in harder.reason
    for fair in (busy._replace(worker_calls=100), busy._replace(worker_calls=10, architect_calls=5)):
        assert route(fair, Score(7.5, ()), WITH_CTO, RULES).role == "cto"


def test_the_type_of_work_is_that_of_the_role_or_of_the_first_words() -> None:
    def kind(text: str, role: str = "") -> str:
        return work_type_of(text, role, RULES.work_types)

    assert kind("Review PR changes") == "review"
    assert kind("  run TESTS, all of them") == "test"
    assert kind("Running late") == kind("") == kind("Reviewers are nice") == ""
    assert kind("Review PR changes", "coder") == "code"


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_laid_over_changes_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    put(
        tmp_path / "a/routing.toml", '[weights]\nstep = 2.0\n[weights.keywords.ours]\npoints = 4\nwords = ["quantum"]\n'
    )
    put(tmp_path / "b/routing.toml", "[weights]\nstep = 3.0\nusual_priority = 0\n")
    rules = read_rules(OWN, tmp_path / "a", tmp_path / "none", tmp_path / "b")
    assert rules.rules == RULES.rules
    score = complexity("Quantum\n1. a\n2. b", rules.weights, priority=1)
    assert points(score) | {"steps": 6.0, "keywords: ours": 4.0, "priority": 0.3} == points(score)


LAST = "[[rules]]\nany = true\nconfidence = 0.5\n"
WRONG = [
    ("[weights]\nstep = -1\n", "`$.weights.step`"),
    ("[weights]\nstop = 1\n", "unknown field `stop`"),
    ("stand_in = ", "at end of document"),
    ("rules = []\n", "$.rules: the last rule must have `any = true`"),
    ("[[rules]]\nany = true\nfailures_over = 1\nconfidence = 0.5\n", "$.rules: the last rule must have no condition"),
    (f"[[rules]]\nconfidence = 0.5\n{LAST}", "$.rules[0].roles: it names nobody"),
    (f'[[rules]]\nconfidence = 0.5\nrequired = true\nroles = ["cto"]\n{LAST}', "$.rules[0].roles: a rule with"),
    (
        f'[[rules]]\nconfidence = 0.5\nwork_type = "x"\nroles = ["cto"]\n{LAST}',
        '$.rules[0].work_type: unknown type "x"',
    ),
    (f'[[rules]]\nconfidence = 7\nroles = ["cto"]\n{LAST}', "`$.rules[0].confidence`"),
]


@pytest.mark.parametrize(("text", "complaint"), WRONG, ids=[complaint for _, complaint in WRONG])
def test_a_mistake_is_named_with_its_file_and_its_path(text: str, complaint: str, tmp_path: Path) -> None:
    path = put(tmp_path / "routing.toml", text)
    with pytest.raises(Invalid) as wrong:
        read_rules(OWN, tmp_path)
    assert str(wrong.value).startswith(f"{path}: ") and complaint in str(wrong.value)
    assert "actors/routing.toml" in wrong.value.what_next


Type = Callable[..., Result]


@pytest.fixture
def type_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Type a line in a folder that adds nothing to Witan's own files, without a Witan that runs."""
    put(tmp_path / "witan.toml", "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(verb, "models_here", None)
    for name in [name for name in os.environ if name.startswith(("WITAN_", "XDG_CONFIG_HOME"))]:
        monkeypatch.delenv(name)
    return lambda *words, **more: CliRunner().invoke(cli, words, prog_name="witan", **more)


def told(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(("text", "facts", "total", "role", "confidence"), EXAMPLES)
def test_the_verb_says_the_same_of_the_five_examples(
    text: str, facts: dict[str, Any], total: float, role: str, confidence: float, type_in: Type
) -> None:
    as_if = [word for name, value in facts.items() for word in (f"--{name}", str(value))]
    found = told(type_in("route", text, *as_if, "--json"))
    assert (found["complexity"], found["role"], found["confidence"]) == (total, role, confidence)
    assert sum(part["points"] for part in found["parts"]) == total
    assert found["model"] is None and found["model_reason"].startswith("unknown")


def test_a_role_without_agents_is_not_there(type_in: Type, tmp_path: Path) -> None:
    put(tmp_path / "witan.toml", "[agents]\ncto = 0\n")
    found = told(type_in("route", "Review PR changes"))
    assert found["role"] == "tester" and "none here" in found["reason"]


def test_a_text_can_come_through_a_pipe_and_a_type_can_be_said(type_in: Type) -> None:
    found = told(type_in("route", "-", "--type", "test", "--priority", "9", input="1. one\n2. two\n"))
    assert (found["role"], found["work_type"], found["complexity"]) == ("tester", "test", 4.7)


@pytest.mark.parametrize(("words", "told"), [("", "what is to be done"), ("-", "no text on stdin")])
def test_no_text_is_asked_for(words: str, told: str, type_in: Type) -> None:
    result = type_in("route", words, input=" \n")
    assert result.exit_code == 2 and told in result.stderr


def test_the_score_is_printed_part_by_part_when_asked_for(
    type_in: Type, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    said = []
    for more in ([], ["--explain"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(["route", "Refactor it now", *more])
        assert ended.value.code == 0
        said.append(capsys.readouterr().out)
    assert all("it is work of the type code, so it is for the coder" in each for each in said)
    assert "refactor: 1 at 2 each" in said[1] and "refactor: 1" not in said[0]
    rows = type_in("route", "Refactor it now", "--csv").stdout.splitlines()
    assert rows[0] == "name,points,why" and "keywords: structure,2.0,refactor: 1 at 2 each" in rows


def logged(folder: Path) -> None:
    """Task `a` failed twice in its first phase and is at it for the third time, where a turn failed."""
    history = History()
    history.task("a", task.TaskSubmitted("Write a parser", "tiered", ["research"], 6, checklist=["x", "y"]))
    history.task("a", task.PipelineStarted())
    for number in (1, 2, 3):
        id = f"a-{number}"
        assigned = task.PhaseAssigned(phase="research", agent="agent-1", run=id, epoch=number)
        history.task("a", task.PhaseRequested(phase="research", role="researcher", attempt=number), assigned)
        of = f"agent-1.{id}"
        started = run.RunStarted("a", "research", "researcher", "scripted", number)
        history.commit(f"evt.run.{of}", started, flow="a", by="agent-1")
        if number < 3:
            history.commit(f"evt.run.{of}", run.RunFailed("no", "timeout"), flow="a", by="agent-1")
            failed = task.PhaseFailed(phase="research", agent="agent-1", run=id, reason="no", failure="timeout")
            history.task("a", failed)
    asked = [step.StepsOpened("a", "research", "researcher"), step.ModelRequested(1)]
    history.commit("evt.step.agent-1.a-3", *asked, flow="a", by="agent-1")
    history.commit("evt.call.agent-1.a-3", call.ModelReplied(1, "scripted", "look"), flow="a", by="agent-1")
    refused = step.StepRefused("1-1", "deploy", {}, "not yours")
    history.commit("evt.step.agent-1.a-3", refused, flow="a", by="agent-1")
    store = Store(folder / ".witan" / "witan.duckdb")
    store.take(history.records)
    store.fold()
    store.close()


def test_a_task_of_the_log_is_scored_with_its_priority_its_steps_and_its_failures(
    type_in: Type, tmp_path: Path
) -> None:
    logged(tmp_path)
    found = told(type_in("route", "a"))
    assert (found["task"], found["role"]) == ("a", "cto")
    assert "has failed 2 times" in found["reason"]
    known = {"phase": "research", "required_role": "researcher", "priority": 6, "failures": 2, "steps": 2}
    assert found["facts"] == {"text": "Write a parser", "failed_turns": 1, "loops": 0, **known}
    assert {part["name"]: part["points"] for part in found["parts"]}["failures"] == 2
    calm = told(type_in("route", "a", "--failures", "0"))
    assert (calm["role"], calm["confidence"]) == ("researcher", 0.95)


def test_one_word_is_an_id(type_in: Type, tmp_path: Path) -> None:
    logged(tmp_path)
    assert type_in("route", "refactor").exit_code == 1


def test_the_model_is_told_when_the_providers_are_asked(type_in: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    ollama = Candidate(Model("ollama", "qwen3-coder:30b", True, 32_768, 8192), Standing("ollama", True, "it answers"))
    monkeypatch.setattr(verb, "models_here", lambda settings: ([ollama], []))
    found = told(type_in("route", "Write a parser"))
    assert found["model"] == "ollama/qwen3-coder:30b" and "local first" in found["model_reason"]
    off = Standing("anthropic", False, "ANTHROPIC_API_KEY is not set", "export ANTHROPIC_API_KEY=…")
    monkeypatch.setattr(verb, "models_here", lambda settings: ([], [off]))
    found = told(type_in("route", "Write a parser"))
    assert found["model"] is None and found["what_next"] == "export ANTHROPIC_API_KEY=…"
