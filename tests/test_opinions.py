"""How opinions are sold, as sentences: one end for each that is asked for, in time, of that model, within the caps."""

from typing import Any

import msgspec
import pytest

from actors.apart import TEXT_MAX_BYTES
from actors.council.problem import Words
from actors.decider import Done, Hold
from actors.treasurer.asking import Model, Standing, Surveyed, Text
from actors.treasurer.budget import SUBJECT, Caps
from actors.treasurer.decide import GUARDIAN
from actors.treasurer.prices import read_prices
from actors.treasurer.thinking import SURVEY
from bus.messages import budget, call
from bus.messages.council import CouncilEnded
from bus.messages.guardian import FreezeOrdered, ThawOrdered
from bus.messages.provider import BreakerOpened, RateLimited
from tests.buying_ground import LOCAL, OTHER, PAID
from tests.given import NOW
from tests.opinion_ground import CLAUDE, GPT, LIMIT_S, PLENTY, QWEN, SCHEMA, SECRET, WORDS, Counter
from tests.test_treasurer import door

TINY = Model("ollama", "tiny", True, 1000, 500)
UNPRICED = Model("openai", "gpt-nobody-knows", False, 128_000, 8000)
EMBEDS = Model("ollama", "nomic-embed-text", True, 8000, 8000)


def test_exactly_the_named_model_is_asked_though_a_free_one_is_there() -> None:
    counter = Counter()
    opinion = counter.asks(GPT)
    asking = counter.asking()
    assert (asking.provider, asking.prompt.model) == ("openai", "gpt-4o")
    (started,) = counter.events(call.CallStarted)
    assert (started.turn, started.again, started.reservation) == (1, 0, "council/t-c1-m1/1/0")
    (reserved,) = counter.events(budget.FundsReserved)
    assert (reserved.purpose, reserved.task, reserved.role, reserved.model) == ("council", "t", "member", GPT)
    assert [subject for subject, _ in counter.told()] == [SUBJECT, opinion.subject], "money first"
    (replied,) = counter.says(opinion, "a reply").events(call.ModelReplied)
    assert (replied.text, replied.provider, replied.model, replied.turn) == ("a reply", "openai", "gpt-4o", 1)
    (settled,) = counter.settles().events(budget.FundsSettled)
    assert 0 < settled.micro == replied.micro < reserved.micro
    assert counter.buyer.under_way == {} and counter.budget.open == {}


def test_an_opinion_is_read_again_after_a_crash_until_it_has_its_end_and_then_forgotten() -> None:
    counter = Counter()
    opinion = counter.asks(GPT)
    assert counter.outcome is not None and counter.outcome.opened == [opinion.key]
    counter.says(opinion)
    assert counter.outcome.closed == [opinion.key]
    assert opinion.subject not in counter.desk._entities


def test_a_local_opinion_costs_nothing() -> None:
    counter = Counter()
    assert counter.says(counter.asks(QWEN)).events(call.ModelReplied)[0].micro == 0
    assert counter.budget.council == {}


def test_the_words_become_a_prompt_without_secrets_whose_material_is_quoted() -> None:
    counter = Counter()
    counter.asks(GPT)
    prompt = counter.asking().prompt
    (turn,) = prompt.turns
    assert (turn.role, prompt.tools, prompt.system) == ("user", (), "You help.")
    assert turn.blocks == (Text("It fails."), Text("boom [redacted KEY]", "the error"))
    assert prompt.json_schema == SCHEMA
    assert prompt.output_max_tokens == WORDS.output_max_tokens
    assert prompt.context_max_tokens == PAID.context_max_tokens


def test_a_reply_is_no_longer_than_the_model_and_its_room_allow() -> None:
    counter = Counter(TINY, PAID)
    many = counter.given_blob(msgspec.json.encode(Words("s", WORDS.parts, 100_000)))
    counter.asks(GPT, words=many)
    assert counter.asking().prompt.output_max_tokens == PAID.output_max_tokens
    counter.asks("ollama/tiny", member="m2", words=many)
    assert counter.asking().prompt.output_max_tokens == TINY.output_max_tokens
    assert counter.asking().prompt.json_schema is None


def test_what_is_reserved_is_enough_for_a_token_for_every_byte_also_of_the_schema() -> None:
    counter = Counter()
    schema = {**SCHEMA, "description": "very " * 1000}
    content = msgspec.json.encode(msgspec.structs.replace(WORDS, schema=schema))
    counter.asks(GPT, words=counter.given_blob(content), bytes=len(content))
    (reserved,) = counter.events(budget.FundsReserved)
    most = read_prices(()).bound_of("openai", "gpt-4o", len(content), WORDS.output_max_tokens)
    assert most is not None and reserved.micro > most


def test_nothing_of_an_opinion_is_said_aloud_and_it_has_the_time_that_is_left() -> None:
    counter = Counter()
    counter.asks(GPT, until_s=NOW + 12.5)
    assert (counter.asking().topic, counter.asking().limit_s) == ("", 12.5)


def test_a_reply_is_kept_without_secrets_and_a_long_one_apart() -> None:
    counter = Counter()
    text = f"{SECRET} " + "word " * TEXT_MAX_BYTES
    (replied,) = counter.says(counter.asks(GPT), text).events(call.ModelReplied)
    assert counter.outcome is not None
    assert counter.blob(replied.whole).decode() == text.replace(SECRET, "[redacted KEY]")
    assert not any(SECRET.encode() in record.body for record in counter.records)


@pytest.mark.parametrize(
    ("caps", "scope"),
    [
        (PLENTY._replace(day=100), "1970-"),
        (PLENTY._replace(month=100), "1970-"),
        (PLENTY._replace(task=100), "the task t"),
        (PLENTY._replace(council=100), "councils on"),
    ],
    ids=["day", "month", "task", "council"],
)
def test_without_money_there_is_no_opinion_and_nobody_waits(caps: Caps, scope: str) -> None:
    counter = Counter(caps=caps)
    opinion = counter.asks(GPT)
    assert counter.failed().failure == "budget" and f"under the cap of {scope}" in counter.failed().reason
    assert len(counter.events(budget.BudgetExhausted)) == 1
    assert counter.buyer.parked == {} and counter.buyer.short == {}
    assert counter.outcome is not None and counter.outcome.opened == [] and counter.outcome.timers == []
    assert counter.reads(opinion, again=True).told() == []


def test_the_councils_cap_is_no_cap_for_a_local_model() -> None:
    counter = Counter(caps=Caps(0, 0, 0, 0))
    counter.asks(QWEN)
    assert counter.asking().provider == "ollama"


def test_a_model_that_rests_is_not_waited_for() -> None:
    counter = Counter()
    counter.given("evt.provider.openai.gpt-4o", RateLimited("openai", "gpt-4o", NOW + 60))
    counter.asks(GPT)
    assert (counter.failed().failure, counter.failed().mind) == ("rate_limit", "nobody")
    counter.asks(CLAUDE, member="m2")
    assert counter.asking().provider == "anthropic", "and another is not kept from answering"


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("openai/gpt-5", "no model can take this call"),
        ("openai/*", "no model can take this call"),
        ("ollama/nomic-embed-text", "is never asked"),
        ("openai/gpt-nobody-knows", "has no known price"),
        ("ollama/tiny", "has no room"),
    ],
)
def test_who_cannot_be_asked_gives_no_opinion_and_nobody_else_is_asked_instead(model: str, why: str) -> None:
    counter = Counter(LOCAL, PAID, TINY, UNPRICED, EMBEDS)
    long = msgspec.structs.replace(WORDS, system="word " * 2000)
    counter.asks(model, words=counter.given_blob(msgspec.json.encode(long)))
    assert counter.failed().failure == "help"
    assert model in counter.failed().reason and why in counter.failed().reason


def test_after_its_time_an_opinion_is_not_bought() -> None:
    counter = Counter()
    counter.asks(GPT, until_s=NOW)
    assert counter.failed().failure == "timeout"
    assert counter.budget.days == {}


def test_what_was_asked_for_in_an_earlier_life_is_not_bought_for_a_council_that_is_over() -> None:
    counter = Counter()
    opinion = counter.opinion(GPT)
    counter.given("evt.council.t-c1", CouncilEnded("called_off", "t", "code", "test_failure", "nobody needs it"))
    assert counter.reads(opinion, again=True).failed().failure == "timeout"


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b'{"system": 3}', b"[" * 2000])
def test_words_that_cannot_be_read_are_no_opinion(content: bytes | None) -> None:
    counter = Counter()
    counter.asks(GPT, words="0" * 64 if content is None else counter.given_blob(content))
    assert counter.failed().failure == "help" and "cannot be read" in counter.failed().reason


@pytest.mark.parametrize("failure", ["rate_limit", "model_error", "timeout", "help", "context"])
def test_a_provider_that_fails_ends_the_opinion_without_another_try(failure: str) -> None:
    counter = Counter()
    opinion = counter.asks(GPT)
    failed = counter.fails(opinion, failure, wait_s=3).failed()
    assert (failed.failure, failed.model, failed.micro, failed.reason) == (failure, "gpt-4o", 0, "no: [redacted KEY]")
    assert counter.budget.open == {} and counter.budget.council == {next(iter(counter.budget.days)): 0}
    assert counter.reads(opinion, again=True).told() == []
    assert len(counter.ends_of(opinion)) == 1


def test_a_call_whose_cost_nobody_knows_is_charged_in_full() -> None:
    counter = Counter()
    opinion = counter.asks(GPT)
    (reserved,) = counter.events(budget.FundsReserved)
    counter.fails(opinion, "timeout", "unknown")
    assert list(counter.budget.council.values()) == [reserved.micro]


def test_a_model_is_not_to_blame_for_the_little_time_that_a_council_gave_it() -> None:
    counter = Counter()
    for number in range(6):
        counter.fails(counter.asks(GPT, member=f"m{number}"), "timeout")
        assert not counter.events(BreakerOpened)
    opened: list[Any] = []
    for number in range(6, 10):
        opened = counter.fails(counter.asks(GPT, member=f"m{number}"), "model_error").events(BreakerOpened)
    assert opened, "for what is its own fault it is"


def test_nobody_is_asked_while_frozen_and_what_was_under_way_is_recorded() -> None:
    counter = Counter()
    first, second = counter.asks(GPT), counter.opinion(CLAUDE, member="m2")
    counter.hears(FreezeOrdered(order="f", actors=[]), GUARDIAN)
    with pytest.raises(Hold):
        counter.reads(second)
    assert counter.says(first).events(call.ModelReplied)
    counter.hears(ThawOrdered(order="f"), GUARDIAN)
    assert counter.decider.ready(counter.desk)
    assert counter.reads(second, again=True).asking().provider == "anthropic"


def test_a_freeze_that_outlasts_the_council_leaves_it_without_this_opinion() -> None:
    counter = Counter()
    counter.hears(FreezeOrdered(order="f", actors=[]), GUARDIAN)
    opinion = counter.opinion(GPT)
    with pytest.raises(Hold):
        counter.reads(opinion)
    counter.now_s += LIMIT_S
    counter.hears(ThawOrdered(order="f"), GUARDIAN)
    assert counter.reads(opinion, again=True).failed().failure == "timeout"


def test_before_it_is_known_who_can_be_asked_everybody_waits_to_hear_it() -> None:
    counter = Counter(looked=False)
    opinion = counter.opinion(GPT)
    with pytest.raises(Hold):
        counter.reads(opinion)
    with pytest.raises(Hold):
        counter.hears(call.ListModels())
    assert counter.look().reads(opinion, again=True).asking().provider == "openai"


def test_those_who_can_be_asked_are_listed_with_price_family_and_rest() -> None:
    counter = Counter(LOCAL, PAID, OTHER, UNPRICED, EMBEDS, caps=PLENTY._replace(council=5_000_000))
    counter.given("evt.provider.anthropic.claude-sonnet-5", RateLimited("anthropic", "claude-sonnet-5", NOW + 60))
    counter.hears(call.ListModels())
    assert counter.outcome is not None
    answer = msgspec.json.decode(msgspec.json.encode(counter.outcome.answer))
    told = {each["model"]: each for each in answer["models"]}
    assert list(told) == [QWEN, GPT, CLAUDE]
    assert told[QWEN] == {
        "model": QWEN,
        "family": "qwen",
        "local": True,
        "rests": False,
        "input_micro": 0,
        "output_micro": 0,
        "context_max_tokens": 32_768,
        "output_max_tokens": 8192,
    }
    assert (told[GPT]["family"], told[GPT]["rests"]) == ("gpt", False)
    assert 0 < told[GPT]["input_micro"] < told[GPT]["output_micro"]
    assert (told[CLAUDE]["family"], told[CLAUDE]["rests"]) == ("claude", True)
    assert answer["left_micro"] == 5_000_000


def test_what_is_left_for_councils_is_what_no_cap_of_the_day_forbids() -> None:
    counter = Counter(caps=Caps(2_000_000, 10**9, 10**9, 5_000_000))
    counter.asks(GPT)
    (reserved,) = counter.events(budget.FundsReserved)
    counter.hears(call.ListModels()).then_answered(left_micro=2_000_000 - reserved.micro)


def test_a_provider_that_is_not_there_offers_nothing() -> None:
    counter = Counter(looked=False)
    counter.hears(Done(SURVEY, Surveyed([], [Standing("openai", False, "no key", "Export OPENAI_API_KEY.")])))
    counter.hears(call.ListModels()).then_answered(models=[])
    counter.asks(GPT)
    assert "Export OPENAI_API_KEY." in counter.failed().reason


def test_a_script_has_no_opinions() -> None:
    script = door()
    script.hears(call.ListModels()).then_answered(models=[])
    asked = Counter().opinion(GPT).asked
    (failed,) = script.hears(asked, "evt.council.t-c1").events()
    assert isinstance(failed, call.ModelFailed) and failed.failure == "help"
    assert script.hears(asked, "evt.council.t-c1", again=True).told() == []
    assert script.begin().hears(asked, "evt.council.t-c1", again=True).told() == []


def test_three_members_and_a_judge_are_asked_side_by_side() -> None:
    counter = Counter()
    models = {"m1": GPT, "m2": CLAUDE, "m3": QWEN}
    members = [counter.asks(model, member=member) for member, model in models.items()]
    judge = counter.asks(GPT, member="j1", purpose="judge")
    assert len(counter.buyer.under_way) == 4 and len(counter.budget.open) == 3
    for opinion in (judge, *reversed(members)):
        assert counter.says(opinion, opinion.key).events(call.ModelReplied)[0].text == opinion.key
    assert all(len(counter.ends_of(each)) == 1 for each in (judge, *members))
