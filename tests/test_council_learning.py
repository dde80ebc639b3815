"""What councils teach, and that who is chosen by it is better than who is chosen without."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.council.learning import LEFT_OUT_MAX, SIZES, WORTH_MICRO, Case, Choice, Offered, Standings, choose
from actors.council.words import PERSONAS
from tests.council_play import FIVE, QUALITY, Score, all_fixed, always, drawn, learned, offered, over

QWEN, DEEPSEEK, GEMINI, GPT, CLAUDE = FIVE
HAIKU = offered("anthropic/claude-haiku", 1, 5)
SEEDS = range(60)
PLAYS = range(3)


def case(number: int, solved: dict[str, bool], kind: str = "exception", **told: Any) -> Case:
    fields = {"fingerprint": "f", "winner_model": "", "solution": "", "outcome": "", **told}
    return Case(f"c{number}", kind, solved=solved, **fields)


def taught(*cases: Case) -> Standings:
    standings = Standings()
    for each in cases:
        standings.learn(each)
    return standings


def chosen(*offers: Offered, seed: int = 0, size: Any = "standard", **told: Any) -> Choice:
    standings = told.pop("standings", Standings())
    return choose(offers, told.pop("kind", "exception"), size, standings, seed=seed, **told)


def models(choice: Choice) -> set[str]:
    return {each.model for each in choice.members}


def why(choice: Choice) -> dict[str, str]:
    return {each.model: each.why for each in choice.left_out}


def rests(each: Offered) -> Offered:
    return Offered(each.model, each.family, each.local, True, each.input_micro, each.output_micro, 128_000, 8000)


# What is known


def test_nothing_known_is_a_half_and_cases_move_it() -> None:
    standings = taught(*(case(number, {"a": True, "b": False}) for number in range(20)))
    assert standings.accuracy("x", "exception") == 0.5
    assert standings.accuracy("a", "exception") > 0.9 and standings.accuracy("b", "exception") < 0.1


def test_a_kind_without_cases_borrows_from_the_others_and_forgets_it_by_its_own() -> None:
    cases = [case(number, {"a": True}, "design") for number in range(40)]
    standings = taught(*cases)
    borrowed = standings.accuracy("a", "exception")
    assert 0.8 < borrowed <= standings.accuracy("a", "design")
    for number in range(10):
        standings.learn(case(100 + number, {"a": False}))
    assert standings.accuracy("a", "exception") < 0.3


def test_the_same_council_again_replaces_what_was_known() -> None:
    once = taught(case(1, {"a": True}))
    again = taught(case(1, {"a": False, "b": True}, "design"), case(1, {"a": True}))
    assert once.accuracy("a", "exception") == again.accuracy("a", "exception")
    assert again.accuracy("b", "design") == again.accuracy("a", "other") - once.accuracy("a", "other") + 0.5


def test_what_it_came_to_counts_more_than_the_trial() -> None:
    thought, known = case(1, {"a": True}), case(1, {"a": True}, winner_model="a", outcome="failure")
    assert taught(known).accuracy("a", "exception") < 0.5 < taught(thought).accuracy("a", "exception")
    helped = case(1, {"a": False}, winner_model="a", outcome="success")
    assert taught(helped).accuracy("a", "exception") > 0.5


cases = st.builds(
    case,
    st.integers(0, 5),
    st.dictionaries(st.sampled_from("abc"), st.booleans()),
    st.sampled_from(["exception", "design"]),
    winner_model=st.sampled_from(["", "a", "b"]),
    outcome=st.sampled_from(["", "success", "failure", "not_applied"]),
)


@given(st.lists(cases, max_size=20))
def test_whatever_was_learned_only_the_last_of_each_council_counts(told: list[Case]) -> None:
    last = {each.council: each for each in told}
    for kind in ("exception", "design", "other"):
        for model in "abc":
            assert taught(*told).accuracy(model, kind) == taught(*last.values()).accuracy(model, kind)


def test_only_an_answer_that_helped_is_kept_and_the_newest_first() -> None:
    helped = {"solution": "s1", "outcome": "success"}
    standings = taught(case(1, {}, **helped), case(2, {}, solution="s2"), case(3, {}, fingerprint="g", **helped))
    assert standings.kept("f") == ("s1", "c1") and standings.kept("none") is None
    standings.learn(case(2, {}, solution="s2", outcome="success"))
    assert standings.kept("f") == ("s2", "c2")
    standings.learn(case(2, {}, solution="s2", outcome="not_applied"))
    assert standings.kept("f") == ("s1", "c1")
    assert taught(case(1, {}, outcome="success"), case(2, {}, solution="s", outcome="failure")).kept("f") is None


def test_an_answer_that_failed_since_is_kept_no_more() -> None:
    standings = taught(case(1, {}, solution="s1", outcome="success"), case(2, {}, solution="s1", outcome="failure"))
    assert standings.kept("f") is None
    standings.learn(case(3, {}, solution="s1", outcome="success"))
    assert standings.kept("f") == ("s1", "c3")


# Who is asked


@pytest.mark.parametrize("size", SIZES)
def test_the_size_is_an_upper_bound(size: Any) -> None:
    counts = {len(chosen(*FIVE, seed=seed, size=size).members) for seed in SEEDS}
    assert max(counts) == SIZES[size]
    for choice in (chosen(*FIVE, seed=seed, size=size) for seed in SEEDS):
        assert models(choice) | set(why(choice)) == set(QUALITY) and all(why(choice).values())
        assert [each.id for each in choice.members] == [f"m{number}" for number in range(1, len(choice.members) + 1)]


def test_the_choice_is_of_the_seed_and_of_no_order() -> None:
    standings = taught(case(1, {QWEN.model: True, GPT.model: False}), case(2, {GEMINI.model: True}))
    choices = {str(chosen(*mixed, seed=4, standings=standings)) for mixed in permutations(FIVE)}
    assert len(choices) == 1
    assert len({str(chosen(*FIVE, seed=seed)) for seed in SEEDS}) > 5


def test_who_solves_what_the_others_solve_is_left_out_and_who_does_not_is_asked() -> None:
    """GPT is right as often as Gemini, but exactly where Qwen is."""
    rows = [
        {QWEN.model: True, GPT.model: True, GEMINI.model: False},
        {QWEN.model: False, GPT.model: False, GEMINI.model: True},
    ]
    standings = taught(*(case(number, rows[number % 2]) for number in range(120)))
    for seed in SEEDS:
        choice = chosen(QWEN, GPT, GEMINI, seed=seed, standings=standings)
        assert GEMINI.model in models(choice) and len(models(choice)) == 2
        assert all("not expected" in each or "too much" in each for each in why(choice).values())


def test_nobody_is_asked_for_more_than_it_adds() -> None:
    dear = offered("x/dear", 100, 100)
    rows = [{QWEN.model: number % 10 < 7, dear.model: number % 10 < 8} for number in range(100)]
    standings = taught(*(case(number, row) for number, row in enumerate(rows)))
    choice = chosen(QWEN, dear, standings=standings)
    assert models(choice) == {QWEN.model} and "it costs about $1.00, too much for" in why(choice)[dear.model]
    assert dear.micro(8000, 2000) == WORTH_MICRO


def test_who_is_not_known_is_tried_now_and_then_and_it_is_said() -> None:
    rows = [{each.model: number % 10 < 6 for each in (QWEN, DEEPSEEK, GEMINI)} for number in range(10)]
    standings = taught(*(case(number, row) for number, row in enumerate(rows)))
    new = offered("new/one", 4, 4)
    asked = [chosen(QWEN, DEEPSEEK, GEMINI, new, seed=seed, size="minimal", standings=standings) for seed in SEEDS]
    explored = [each for choice in asked for each in choice.members if each.explored]
    assert sum(new.model in models(choice) for choice in asked) > 0 and explored
    bad = taught(*(case(number, {new.model: False, QWEN.model: True}) for number in range(60)))
    assert not any(new.model in models(chosen(QWEN, GPT, new, seed=seed, standings=bad)) for seed in SEEDS)


def test_who_rests_or_is_too_small_is_not_asked() -> None:
    small = Offered("x/small", "x", True, False, 0, 0, 4000, 1000)
    choice = chosen(QWEN, rests(GPT), small, GEMINI)
    assert models(choice) == {QWEN.model, GEMINI.model}
    assert why(choice) == {
        GPT.model: "it has to be left alone for now",
        small.model: "the problem does not fit into its 4,000 tokens",
    }
    assert chosen(small, input_tokens=1000).members


def test_a_family_has_a_second_member_only_when_no_other_is_there() -> None:
    for seed in SEEDS:
        assert not {CLAUDE.model, HAIKU.model} <= models(chosen(*FIVE, HAIKU, seed=seed, size="full"))
        assert models(chosen(CLAUDE, HAIKU, GPT, seed=seed)) == {CLAUDE.model, HAIKU.model, GPT.model}


def test_what_is_left_bounds_what_members_and_judge_cost() -> None:
    for left in (0, 5_000, 40_000, 70_000, 10**9):
        for seed in range(10):
            choice = chosen(*FIVE, seed=seed, size="full", left_micro=left)
            judge = next((each.micro(5000, 800) for each in FIVE if each.model == choice.judge), 0)
            assert sum(each.micro for each in choice.members) + judge <= left
    assert models(chosen(*FIVE, left_micro=0)) == {QWEN.model}
    assert "is left" in why(chosen(*FIVE, left_micro=0))[GPT.model]
    assert chosen(GPT, left_micro=5) == Choice(
        [], "", chosen(GPT, left_micro=5).left_out, "there is no money for any member"
    )


def test_only_those_who_are_wanted_are_asked_by_name_glob_provider_or_family() -> None:
    for wanted, found in [
        ([GPT.model], {GPT.model}),
        (["openai/*", "deepseek"], {GPT.model, DEEPSEEK.model}),
        (["gemini-3", "anthropic"], {GEMINI.model, CLAUDE.model}),
    ]:
        choice = chosen(*FIVE, wanted=wanted)
        assert models(choice) == found and choice.judge in found
        assert why(choice)[QWEN.model] == "it is not one of those to be asked"
    assert why(chosen(*FIVE, wanted=["grok"]))["grok"] == "nobody offers it"


def test_who_a_person_insists_on_is_asked_whatever_it_promises() -> None:
    standings = taught(*(case(number, {QWEN.model: True, GPT.model: False}) for number in range(99)))
    told: dict[str, Any] = {"standings": standings, "wanted": [QWEN.model, GPT.model]}
    assert models(chosen(*FIVE, **told)) == {QWEN.model}
    assert models(chosen(*FIVE, **told, insist=True)) == {QWEN.model, GPT.model}


def test_a_name_that_nobody_has_is_said_to_the_person_who_said_it() -> None:
    nobody = chosen(*FIVE, wanted=["grok"], insist=True)
    assert nobody.members == [] and nobody.note.startswith("nobody offers grok: `witan models`")
    some = chosen(*FIVE, wanted=["grok", "openai"], insist=True)
    assert models(some) == {GPT.model} and "nobody offers grok" in some.note


def test_who_names_the_members_has_them_judged_by_somebody_else() -> None:
    choice = chosen(*FIVE, wanted=["openai", "deepseek"], insist=True, may_judge=[])
    assert models(choice) == {GPT.model, DEEPSEEK.model}
    assert choice.judge not in models(choice) and "own family" not in choice.note
    kept_in = chosen(*FIVE, wanted=["openai"], insist=True, may_judge=["openai", "deepseek"])
    assert kept_in.judge == DEEPSEEK.model, "nobody else may see the problem"


def test_one_local_model_alone_plays_several_parts_and_one_that_is_paid_does_not() -> None:
    choice = chosen(QWEN, rests(GPT))
    assert [each.persona for each in choice.members] == list(PERSONAS[:3]) and models(choice) == {QWEN.model}
    assert choice.note.startswith("only ollama/qwen3-coder can be asked, so it plays 3 parts")
    assert [each.persona for each in chosen(GPT).members] == [""] and "only openai/gpt-5.1 is asked" in chosen(GPT).note
    assert [each.persona for each in chosen(QWEN, GPT).members] == ["", ""]


def test_nobody_there_is_said() -> None:
    assert chosen() == Choice([], "", [], "there is no model that can be asked")
    assert chosen(rests(GPT)).note == "no model that may be asked can be asked now"


def test_a_judge_is_of_no_members_family_when_another_is_there() -> None:
    for seed in SEEDS:
        for size in SIZES:
            choice = chosen(*FIVE, HAIKU, seed=seed, size=size)
            families = {each.family for each in choice.members}
            if families != {each.family for each in FIVE}:
                assert choice.judge.partition("/")[0] not in families
            else:
                assert "judges its own family" in choice.note


def test_a_wished_judge_judges_and_is_no_member() -> None:
    for seed in SEEDS:
        choice = chosen(*FIVE, seed=seed, judge="anthropic")
        assert choice.judge == CLAUDE.model not in models(choice)
    assert chosen(*FIVE, judge=CLAUDE.model, wanted=["openai", "gemini"]).judge == CLAUDE.model
    refused = chosen(*FIVE, judge="anthropic", wanted=["anthropic", "openai"], insist=True)
    assert refused.judge == CLAUDE.model and "judges its own family" in refused.note
    other = chosen(CLAUDE, HAIKU, GPT, rests(GEMINI), judge="gemini")
    assert other.judge and other.judge != GEMINI.model


def test_many_offers_are_told_in_short() -> None:
    choice = chosen(*(offered(f"p{number}/m", 1, 1) for number in range(200)))
    assert len(choice.members) == 3 and len(choice.left_out) == LEFT_OUT_MAX and "147 more" in choice.note


# What it is good for


def row(name: str, score: Score) -> str:
    return f"{name:<32}{score.solved:>8.1%}{score.usd:>10.4f}{score.asked:>8.2f}{score.per_dollar:>10.2f}"


def test_a_learned_choice_beats_random_and_fixed_ones() -> None:
    """It solves more than every fixed council of its size, the best in hindsight too, and that for less money."""
    by_learning, by_chance = over(learned, PLAYS), over(drawn, PLAYS)
    fixed = {name: over(way, PLAYS) for name, way in all_fixed()}
    best = max(fixed.values(), key=lambda score: score.solved)
    alone = {model: over(always(model), PLAYS) for model in QUALITY}
    print(f"{'':<32}{'solved':>8}{'usd':>10}{'asked':>8}{'per usd':>10}")
    for name, score in [("learned", by_learning), ("random", by_chance), *fixed.items(), *alone.items()]:
        print(row(name, score))
    assert by_learning.asked <= 3
    assert by_learning.solved > by_chance.solved + 0.04 and by_learning.per_dollar > by_chance.per_dollar * 1.1
    assert by_learning.solved >= best.solved and by_learning.per_dollar > best.per_dollar * 1.3
    assert all(by_learning.solved > score.solved + 0.1 for score in alone.values())
