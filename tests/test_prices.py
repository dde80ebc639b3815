"""What tokens cost: the laws of the bound, the price list as it is, files that know better, and prices that change."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.treasurer.prices import Priced, Prices, contexts_of, read_prices
from bus.errors import Invalid
from bus.messages.call import Usage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LISTED = [
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-5.6"),
    ("deepseek", "deepseek-v4-pro"),
    ("deepseek", "deepseek-chat"),
    ("gemini", "gemini-2.5-pro"),
    ("custom", "odd-model"),
]
ODD = Priced("custom", "odd-*", 0.3, 0.7, cache_read_usd=0.9, cache_write_usd=0.1)
COUNT = st.integers(0, 400_000)
USAGES = st.builds(Usage, COUNT, COUNT, COUNT, COUNT)
MODELS = st.sampled_from(LISTED)


def at(now: datetime) -> Prices:
    return Prices([ODD], lambda: now)


@given(MODELS, USAGES, COUNT, COUNT, st.integers(0, 86_400 * 2 - 1))
@settings(deadline=None)
def test_nothing_within_its_limits_costs_more_than_the_bound(
    model: tuple[str, str], usage: Usage, more_in: int, more_out: int, later_s: int
) -> None:
    begun = datetime(2026, 9, 9, tzinfo=UTC)
    """A day before DeepSeek's prices change."""
    whole = usage.input + usage.cache_read + usage.cache_write
    bound = at(begun).bound_of(*model, whole + more_in, usage.output + more_out)
    cost = at(begun + timedelta(seconds=later_s)).micro_of(*model, usage)
    assert bound is not None and cost is not None
    assert 0 <= cost <= bound


@given(MODELS, USAGES, USAGES)
@settings(deadline=None)
def test_more_never_costs_less(model: tuple[str, str], some: Usage, more: Usage) -> None:
    both = Usage(
        some.input + more.input,
        some.output + more.output,
        some.cache_read + more.cache_read,
        some.cache_write + more.cache_write,
    )
    less, all_of_it = at(NOON).micro_of(*model, some), at(NOON).micro_of(*model, both)
    assert less is not None and all_of_it is not None and less <= all_of_it
    one, two = at(NOON).bound_of(*model, some.input, some.output), at(NOON).bound_of(*model, both.input, both.output)
    assert one is not None and two is not None and one <= two


@given(MODELS, st.builds(Usage, *[st.integers(-(10**6), 10**6)] * 4))
@settings(deadline=None)
def test_nothing_is_ever_earned(model: tuple[str, str], usage: Usage) -> None:
    cost = at(NOON).micro_of(*model, usage)
    assert cost is not None and cost >= 0


@given(USAGES, st.sampled_from([("ollama", "qwen3:8b"), ("custom", "gpt-4o"), ("openai", "gpt-99"), ("", "gpt-4o")]))
@settings(deadline=None)
def test_what_nobody_knows_stays_unknown(usage: Usage, model: tuple[str, str]) -> None:
    assert at(NOON).micro_of(*model, usage) is None
    assert at(NOON).bound_of(*model, usage.input, usage.output) is None
    assert at(NOON).per_million(*model) is None


def test_a_model_without_a_price_in_the_list_is_unknown_and_not_free() -> None:
    assert at(NOON).bound_of("gemini", "gemma-3", 1000, 1000) is None
    assert at(NOON).bound_of("openai", "text-embedding-3-small", 1000, 1000) is None


def test_the_figures_of_a_known_model() -> None:
    prices = at(NOON)
    model = ("anthropic", "claude-haiku-4-5")
    assert prices.per_million(*model) == (1_000_000, 5_000_000)
    assert prices.micro_of(*model, Usage(input=1000, output=100)) == 1500
    assert prices.micro_of(*model, Usage(cache_read=1000, cache_write=1000)) == 100 + 1250
    assert prices.micro_of(*model, Usage(cache_read=1)) == 1
    assert prices.micro_of(*model, Usage()) == 0
    assert prices.bound_of(*model, 1000, 100) == 1250 + 500


def test_beyond_a_step_every_token_costs_more() -> None:
    prices, model = at(NOON), ("anthropic", "claude-sonnet-4-5")
    assert prices.micro_of(*model, Usage(input=200_000)) == 600_000
    assert prices.micro_of(*model, Usage(input=100_001, cache_read=100_000, output=10)) == 600_006 + 60_000 + 225


def test_a_price_by_the_hour_is_the_dearest_of_the_day() -> None:
    for hour in range(24):
        prices = at(datetime(2026, 11, 21, hour, tzinfo=UTC))
        assert prices.micro_of("deepseek", "deepseek-v4-pro", Usage(input=1_000_000)) == 1_320_000


def test_a_price_that_has_changed_is_the_dearer_for_a_day_and_then_the_new_one() -> None:
    def cost(month: int, day: int) -> int | None:
        return at(datetime(2026, month, day, 12, tzinfo=UTC)).micro_of("openai", "gpt-5.6", Usage(input=1_000))

    assert [cost(8, 20), cost(8, 21), cost(8, 22)] == [5_000, 5_000, 4_000]


def test_a_file_knows_better_than_the_list_and_a_later_entry_than_an_earlier_one(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "prices.toml", tmp_path / "witan" / "prices.toml"
    theirs.parent.mkdir()
    ours.write_text('[[price]]\nprovider = "openai"\nmodel = "gpt-4o*"\ninput_usd = 1\noutput_usd = 2\n')
    theirs.write_text(
        '[[price]]\nprovider = "openai"\nmodel = "gpt-4o-mini"\ninput_usd = 0.1\noutput_usd = 0.2\ncache_read_usd = 0\n'
    )
    prices = read_prices([ours, theirs, tmp_path / "none.toml"])
    assert prices.per_million("openai", "gpt-4o") == (1_000_000, 2_000_000)
    assert prices.per_million("openai", "gpt-4o-mini") == (100_000, 200_000)
    assert prices.micro_of("openai", "gpt-4o-mini", Usage(cache_read=10, cache_write=10)) == 1
    assert prices.version().startswith("genai-prices ") and prices.version() != Prices().version()
    assert prices.version() == read_prices([ours, theirs]).version()
    assert read_prices([]).version() == Prices().version()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[[price]]\nprovider = "x"\nmodel = "y"\ninput_usd = -1\noutput_usd = 1\n', r"\$\.price\[0\]\.input_usd"),
        ('[[price]]\nprovider = "x"\nmodel = "y"\ninput_usd = nan\noutput_usd = 1\n', "input_usd"),
        ('[[price]]\nprovider = "x"\nmodel = "y"\ninput_usd = 1\n', "output_usd"),
        ("[[prices]]\n", "prices"),
        ("price = ", "prices.toml"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(Invalid, match=place) as caught:
        read_prices([path])
    assert str(path) in str(caught.value) and "input_usd" in caught.value.what_next


def test_the_list_knows_how_much_a_model_can_hold() -> None:
    assert contexts_of("openai")("gpt-4o") == 128_000
    assert contexts_of("custom")("gpt-4o") is None


def test_the_list_is_not_read_before_a_price_is_asked() -> None:
    code = (
        "import sys, cli.main, actors.treasurer.prices as prices;"
        "listed = prices.Prices([prices.Priced('a', 'b', 1, 1)]);"
        "listed.version(), listed.bound_of('a', 'b', 1, 1);"
        "assert not {'genai_prices', 'httpx', 'httpx2', 'ollama'} & set(sys.modules);"
        "listed.bound_of('a', 'c', 1, 1);"
        "assert 'genai_prices' in sys.modules and 'genai_prices.data' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
