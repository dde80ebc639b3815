"""Which model takes a call: local first, paid when a rule says so, the next one after a failure, and always why."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import actors
from actors.treasurer.asking import Model, Standing
from actors.treasurer.choosing import INSTALL, NOBODY, Candidate, Chosen, Facts, Mix, Price, Tried, Unable, choose
from actors.treasurer.presets import read_presets
from bus.errors import Invalid

OWN = Path(actors.__file__).parent
PRESETS = read_presets(OWN)
CODING = Facts("coder", work_type="code", prompt_tokens=4000)
OVER = Mix(local=70, paid=30)


def local(name: str = "qwen3-coder:30b", context: int = 32_768, tools: bool = True, rests: bool = False) -> Candidate:
    model = Model("ollama", name, True, context, 8192, tools)
    return Candidate(model, Standing("ollama", True, "it answers"), rests=rests)


def paid(name: str, dollars: float | None = 3, usable: bool = True, context: int = 200_000) -> Candidate:
    provider, _, model = name.partition("/")
    key = f"{provider.upper()}_API_KEY"
    standing = Standing(provider, usable, f"{key} is set" if usable else f"{key} is not set", f"export {key}=…")
    price = None if dollars is None else Price(int(dollars * 1e6), int(dollars * 5e6))
    return Candidate(Model(provider, model, False, context, 64_000), standing, price)


SONNET, HAIKU = paid("anthropic/claude-sonnet-5", 3), paid("anthropic/claude-haiku-5-5", 1)
OPUS, GPT, DEEPSEEK = paid("anthropic/claude-opus-5", 5), paid("openai/gpt-5.4", 2), paid("deepseek/deepseek-chat", 0.3)
PAID = [SONNET, HAIKU, OPUS, GPT, DEEPSEEK]
ALL = [local(), *PAID]


def chosen(candidates: list[Candidate], facts: Facts = CODING, **changes: Any) -> tuple[str, str]:
    found = choose(candidates, facts._replace(**changes), PRESETS)
    assert isinstance(found, Chosen), found
    return f"{found.provider}/{found.model}", found.reason


def refused(candidates: list[Candidate], *standings: Standing, **changes: Any) -> Unable:
    found = choose(candidates, CODING._replace(**changes), PRESETS, standings)
    assert isinstance(found, Unable), found
    return found


def test_a_local_model_is_asked_first_and_that_is_the_reason() -> None:
    name, reason = chosen(ALL)
    assert name == "ollama/qwen3-coder:30b"
    assert reason == "ollama/qwen3-coder:30b: local first; preset medium for code"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"failed_turns": 10}, "10 turns have failed"),
        ({"loops": 1}, "the run goes round in circles"),
        ({"complexity": 7.1}, "the complexity of 7.1 is over 7"),
        ({"priority": 8}, "priority 8 is urgent"),
    ],
)
def test_four_things_make_a_call_one_for_a_paid_model(changes: dict[str, Any], why: str) -> None:
    name, reason = chosen(ALL, **changes)
    assert name == "anthropic/claude-sonnet-5"
    assert reason == f"anthropic/claude-sonnet-5: {why}; preset medium for code"


@pytest.mark.parametrize("changes", [{"failed_turns": 9}, {"complexity": 7.0}, {"priority": 7}])
def test_anything_short_of_that_stays_local(changes: dict[str, Any]) -> None:
    assert chosen(ALL, **changes)[0].startswith("ollama/")


def test_when_a_paid_one_is_called_for_and_none_can_the_local_one_does_it_and_says_so() -> None:
    name, reason = chosen([local(), paid("anthropic/claude-sonnet-5", usable=False)], loops=1)
    assert name == "ollama/qwen3-coder:30b"
    assert "local though the run goes round in circles, because no paid model can" in reason


def test_the_type_of_work_decides_on_effort_and_length() -> None:
    for work, effort, output in (("deploy", "low", 4096), ("code", "medium", 8192), ("review", "high", 16_384)):
        found = choose([OPUS], CODING._replace(work_type=work), PRESETS)
        assert isinstance(found, Chosen) and (found.effort, found.output_max_tokens) == (effort, output)
    assert f"preset {PRESETS.preset}" in chosen(ALL, work_type="knitting")[1]


def test_of_paid_ones_alone_the_cheapest_preferred_one_is_taken() -> None:
    unknown = paid("acme/tiny", 0.1)
    assert chosen([*PAID, unknown])[0] == "deepseek/deepseek-chat"
    assert chosen([SONNET, OPUS, unknown])[0] == "anthropic/claude-sonnet-5"
    assert chosen([unknown])[0] == "acme/tiny"
    assert "no local model can" in chosen(PAID)[1]


def test_a_rule_that_calls_for_a_paid_one_asks_the_most_preferred_and_not_the_cheapest() -> None:
    assert chosen(ALL, loops=1)[0] == "anthropic/claude-sonnet-5"
    assert chosen(ALL, loops=1, work_type="review")[0] == "anthropic/claude-opus-5"
    assert chosen(ALL, loops=1, work_type="deploy")[0] == "anthropic/claude-haiku-5-5"


def test_of_equals_the_newest_is_asked() -> None:
    sonnets = [paid(f"anthropic/claude-sonnet-{version}") for version in ("4-20250514", "4-6", "5-5", "5")]
    assert chosen(sonnets)[0] == "anthropic/claude-sonnet-5-5"
    assert chosen([local("qwen2.5-coder:7b"), local("qwen3-coder:30b")])[0] == "ollama/qwen3-coder:30b"


def test_after_a_failure_the_next_in_order_is_asked_and_at_last_the_first_again() -> None:
    two = [local("qwen3-coder:30b"), local("llama3.1:8b"), SONNET]
    order: list[str] = []
    for _ in range(4):
        tried = tuple(Tried(name, "timeout") for name in order)
        name, reason = chosen(two, tried=tried)
        assert not order or reason.startswith(f"{name}: after {order[-1]} failed (timeout)")
        order.append(name)
    first, second, third, fourth = order
    assert (first, second) == ("ollama/qwen3-coder:30b", "ollama/llama3.1:8b")
    assert (third, fourth) == ("anthropic/claude-sonnet-5", first)
    assert "once more" in reason


def test_a_pin_is_the_only_choice_whatever_stands_beside_it() -> None:
    assert chosen(ALL, pin="anthropic/claude-opus-*") == (
        "anthropic/claude-opus-5",
        "anthropic/claude-opus-5: pinned by anthropic/claude-opus-*; preset medium for code",
    )
    assert chosen(ALL, pin="gpt-5.4")[0] == "openai/gpt-5.4"
    assert chosen(ALL, pin="anthropic/*", tried=(Tried("anthropic/claude-sonnet-5", "timeout"),))[0] != (
        "anthropic/claude-sonnet-5"
    )
    off = refused([local(), paid("anthropic/claude-sonnet-5", usable=False), GPT], pin="anthropic/claude-*")
    assert off.reason.startswith("it is pinned by anthropic/claude-*, and no model can take this call")
    assert off.what_next == "export ANTHROPIC_API_KEY=…"


def test_when_too_much_was_paid_a_call_must_be_harder_by_a_point() -> None:
    name, reason = chosen(ALL, complexity=7.5, mix=OVER)
    assert name.startswith("ollama/")
    assert "30 of the last 100 calls were paid and the goal is 20 %" in reason
    assert chosen(ALL, complexity=8.5, mix=OVER)[0] == "anthropic/claude-sonnet-5"
    for fair in (Mix(80, 20), Mix(0, 19)):
        name, reason = chosen(ALL, complexity=7.5, mix=fair)
        assert name == "anthropic/claude-sonnet-5" and "goal" not in reason


def test_with_nothing_there_it_says_what_to_type() -> None:
    assert refused([]) == Unable("no model can take this call: there is none", INSTALL)
    off = Standing("ollama", False, "nobody answers on port 11434", "Start it with `ollama serve`.")
    nothing = refused([paid("openai/gpt-5.4", usable=False)], off)
    assert nothing.reason.endswith("ollama: nobody answers on port 11434; openai: OPENAI_API_KEY is not set")
    assert nothing.what_next == "Start it with `ollama serve`, or export OPENAI_API_KEY=…"


def test_where_nobody_at_all_can_be_asked_it_says_what_to_install_and_offers_the_demo() -> None:
    nothing = refused([], *(Standing(name, False, "no", f"export {name}") for name in "abcdefg"))
    assert nothing == Unable(f"no model can take this call: {NOBODY}", INSTALL)
    pinned = refused([], *(Standing(name, False, "no", f"export {name}") for name in "abcdefg"), pin="b/*")
    assert pinned.reason.endswith("b: no") and pinned.what_next == "export b"


def test_a_reason_is_one_line_whatever_models_are_called() -> None:
    odd = local("wei\nrd\x1b[31m\u202e")
    assert "\\n" in refused([odd._replace(rests=True)]).reason
    facts = CODING._replace(avoid=("acme/a\nb",), tried=(Tried("acme/c\rd", "timeout"),))
    for candidates in ([odd], [odd._replace(model=odd.model._replace(tools=False))]):
        assert choose(candidates, facts, PRESETS).reason.isprintable()


def test_a_provider_that_can_be_used_but_has_no_model_is_named() -> None:
    pull = "Pull one with `ollama pull qwen3-coder`."
    nothing = refused([], Standing("ollama", True, "it answers", pull))
    assert nothing == Unable("no model can take this call: ollama: it has no model", pull)


@pytest.mark.parametrize(
    ("candidate", "why"),
    [
        (local(tools=False), "has no tools"),
        (local(context=4500), "has no room for a prompt of 4000 tokens and a reply"),
        (paid("acme/tiny", None), "has no known price"),
        (local("nomic-embed-text"), "is never asked"),
    ],
)
def test_a_model_that_cannot_take_the_call_is_passed_over_and_named(candidate: Candidate, why: str) -> None:
    assert refused([candidate]).reason.endswith(f"{candidate.name} {why}")
    assert refused([candidate]).what_next
    assert chosen([candidate, GPT])[0] == "openai/gpt-5.4"


def test_what_rests_is_passed_over_and_waited_for_when_there_is_nothing_else() -> None:
    assert chosen([local(rests=True), local("llama3.1:8b"), GPT])[0] == "ollama/llama3.1:8b"
    assert chosen([local(rests=True), GPT])[0] == "openai/gpt-5.4"
    waiting = refused([local(rests=True), local("b", tools=False)])
    assert waiting.rests and "ollama/qwen3-coder:30b" in waiting.reason
    assert not refused([local("b", tools=False)]).rests


PROVIDERS = ["ollama", "anthropic", "openai", "acme", "vllm"]
NAMES = ["qwen3-coder:30b", "claude-sonnet-5", "claude-haiku-4-5", "gpt-5", "nomic-embed-text", "org/model:1", "x"]
sizes = st.sampled_from([0, 1, 500, 4096, 8192, 200_000])
models = st.builds(
    Model, st.sampled_from(PROVIDERS), st.sampled_from(NAMES), st.booleans(), sizes, sizes, st.booleans()
)
standings = st.builds(Standing, st.just("p"), st.integers(0, 5).map(bool), st.just("why"))
prices = st.none() | st.builds(Price, st.integers(0, 10**8), st.integers(0, 10**8))
rests = st.integers(0, 3).map(lambda number: number == 0)
unique = st.lists(st.builds(Candidate, models, standings, prices, rests), max_size=8, unique_by=lambda each: each.name)
tries = st.builds(
    Tried, st.builds("{}/{}".format, st.sampled_from(PROVIDERS), st.sampled_from(NAMES)), st.just("timeout")
)
few = st.integers(0, 12)
some_facts = st.builds(
    Facts,
    st.sampled_from(["coder", "cto"]),
    work_type=st.sampled_from(["", "knitting", *PRESETS.work_types]),
    complexity=st.sampled_from([1.0, 7.0, 7.5, 8.5, 10.0]),
    priority=st.integers(0, 9),
    failed_turns=few,
    loops=st.integers(0, 1),
    tried=st.lists(tries, max_size=4).map(tuple),
    tools=st.booleans(),
    prompt_tokens=st.sampled_from([0, 100, 4000, 190_000]),
    mix=st.builds(Mix, few, few),
    pin=st.sampled_from(["", "", "", "anthropic/*", "claude-*", "openai/gpt-5"]),
)


@example([SONNET], CODING._replace(avoid=("\n",)))
@given(unique, some_facts)
def test_what_is_chosen_can_always_take_the_call(candidates: list[Candidate], facts: Facts) -> None:
    found = choose(candidates, facts, PRESETS)
    if isinstance(found, Unable):
        assert found.reason and found.what_next
        return
    (one,) = [each for each in candidates if each.name == f"{found.provider}/{found.model}"]
    assert one.standing.usable and not one.rests and "embed" not in one.name
    assert one.model.tools or not facts.tools
    assert one.model.local or one.price is not None
    assert 1 <= found.output_max_tokens <= one.model.output_max_tokens
    assert facts.prompt_tokens + found.output_max_tokens <= one.model.context_max_tokens
    assert found.reason.startswith(f"{one.name}: ") and "\n" not in found.reason


@given(unique, some_facts)
def test_nothing_is_refused_that_one_of_them_alone_could_do(candidates: list[Candidate], facts: Facts) -> None:
    alone = [isinstance(choose([each], facts, PRESETS), Chosen) for each in candidates]
    assert isinstance(choose(candidates, facts, PRESETS), Chosen) == any(alone)


@given(unique, some_facts)
def test_a_local_model_is_chosen_whenever_one_can_and_no_rule_says_paid(
    candidates: list[Candidate], facts: Facts
) -> None:
    calm = facts._replace(complexity=7.0, priority=7, failed_turns=min(facts.failed_turns, 9), loops=0, tried=())
    able = [each for each in candidates if isinstance(choose([each], calm, PRESETS), Chosen)]
    found = choose(candidates, calm, PRESETS)
    if any(each.model.local for each in able):
        assert isinstance(found, Chosen)
        assert f"{found.provider}/{found.model}" in {each.name for each in able if each.model.local}


@given(unique.flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))), some_facts)
def test_the_same_facts_have_one_answer_in_whatever_order_they_come(
    orders: tuple[list[Candidate], list[Candidate]], facts: Facts
) -> None:
    assert choose(orders[0], facts, PRESETS) == choose(orders[1], facts, PRESETS)


def test_a_file_laid_over_moves_a_type_of_work_to_another_preset(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text('[work_types]\ncode = "high"\n[presets.high]\nprefer = ["openai/*"]\n')
    presets = read_presets(OWN, tmp_path)
    found = choose(ALL, CODING._replace(loops=1), presets)
    assert isinstance(found, Chosen) and (found.provider, found.effort) == ("openai", "high")
    assert presets.presets["low"] == PRESETS.presets["low"] and presets.work_types["test"] == "medium"


WRONG = [
    ('[work_types]\ncode = "huge"\n', '$.work_types.code: unknown preset "huge"; the presets are low, medium, high'),
    ('preset = "huge"\n', '$.preset: unknown preset "huge"'),
    ("[presets.low]\noutput_min_tokens = 5000\n", "$.presets.low.output_min_tokens: it is more"),
    ('[presets.low]\nprefer = ["qwen"]\n', '$.presets.low.prefer[0]: "qwen" is not provider/model'),
    ('[presets.low]\neffort = "none"\n', "`$.presets[...].effort`"),
    ("[paid]\nloop = 1\n", "unknown field `loop` - at `$.paid`"),
]


@pytest.mark.parametrize(("text", "complaint"), WRONG, ids=[complaint for _, complaint in WRONG])
def test_a_mistake_is_named_with_its_file_and_its_path(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(text)
    with pytest.raises(Invalid) as wrong:
        read_presets(OWN, tmp_path)
    assert str(wrong.value).startswith(f"{path}: ") and complaint in str(wrong.value)
    assert "actors/models.toml" in wrong.value.what_next
