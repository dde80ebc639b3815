"""How sure a count of wins and losses makes us, against values that are known by other ways."""

from math import asin, comb, isclose, sin, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.council.odds import drawn, mean
from tests.beta import below, quantile


def interval(wins: int, losses: int, level: float = 0.9) -> tuple[float, float]:
    """What the tables' SQL must come to: the rate lies outside as likely below as above."""
    outside = (1 - level) / 2
    return quantile(outside, wins + 1, losses + 1), quantile(1 - outside, wins + 1, losses + 1)


counts = st.integers(0, 5000)
shapes = st.floats(0.3, 3000)
counted = st.floats(1, 3000)
"""As counts of wins and losses have them."""


@pytest.mark.parametrize(
    ("wins", "losses", "low", "high"),
    [
        (0, 0, 0.05, 0.95),
        (1, 0, sqrt(0.05), sqrt(0.95)),
        (0, 1, 1 - sqrt(0.95), 1 - sqrt(0.05)),
        (9, 0, 0.05**0.1, 0.95**0.1),
        (0, 999, 1 - 0.95**0.001, 1 - 0.05**0.001),
        (1, 1, 0.5 - sin(asin(0.9) / 3), 0.5 + sin(asin(0.9) / 3)),
    ],
)
def test_intervals_are_those_that_can_be_computed_by_hand(wins: int, losses: int, low: float, high: float) -> None:
    assert interval(wins, losses) == pytest.approx((low, high), abs=1e-8)


@given(st.integers(1, 120), st.integers(1, 120), st.floats(0.001, 0.999))
def test_the_share_below_is_the_sum_of_the_binomial_distribution(a: int, b: int, x: float) -> None:
    n = a + b - 1
    summed = sum(comb(n, k) * x**k * (1 - x) ** (n - k) for k in range(a, n + 1))
    assert isclose(below(x, a, b), summed, rel_tol=1e-9, abs_tol=1e-12)


@given(st.floats(0.001, 0.999), counted, counted)
def test_a_quantile_has_its_share_below_it(share: float, a: float, b: float) -> None:
    x = quantile(share, a, b)
    assert 0 <= x <= 1
    assert below(x, a, b) == pytest.approx(share, abs=1e-8) or below(x - 1e-14, a, b) <= share <= below(x + 1e-14, a, b)


@given(counts, counts, st.floats(0.5, 0.99))
def test_an_interval_holds_the_middle_and_is_the_mirror_of_its_opposite(wins: int, losses: int, level: float) -> None:
    low, high = interval(wins, losses, level)
    assert 0 <= low < quantile(0.5, wins + 1, losses + 1) < high <= 1
    other_low, other_high = interval(losses, wins, level)
    assert (1 - other_high, 1 - other_low) == pytest.approx((low, high), abs=1e-9)


@given(st.integers(0, 500), st.integers(0, 500))
def test_more_of_the_same_makes_us_surer(wins: int, losses: int) -> None:
    low, high = interval(2 * wins, 2 * losses)
    before_low, before_high = interval(wins, losses)
    assert high - low <= before_high - before_low + 1e-12


@given(counts, counts)
def test_a_win_raises_everything(wins: int, losses: int) -> None:
    low, high = interval(wins, losses)
    higher = interval(wins + 1, losses)
    assert (low, high) < higher and high < higher[1] and mean(wins, losses) < mean(wins + 1, losses)


@pytest.mark.parametrize("of", [1_000_000, 10_000_000])
def test_a_million_cases_are_as_the_normal_distribution_has_them(of: int) -> None:
    low, high = interval(of * 3 // 10, of * 7 // 10)
    assert (high - low) / 2 == pytest.approx(1.6448536 * sqrt(0.3 * 0.7 / of), rel=1e-3)
    assert (high + low) / 2 == pytest.approx(0.3, abs=1e-6)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (2, 9), (40, 3), (0.5, 0.5)])
def test_what_is_drawn_lies_where_it_is_likely_and_is_the_same_again(a: float, b: float) -> None:
    many = [drawn(f"{number}/a model", a, b) for number in range(4000)]
    for share in (0.1, 0.5, 0.9):
        assert sum(each <= quantile(share, a, b) for each in many) / len(many) == pytest.approx(share, abs=0.03)
    assert many[:9] == [drawn(f"{number}/a model", a, b) for number in range(9)]


def test_nothing_known_is_a_half() -> None:
    assert mean(0, 0) == 0.5
    assert (below(0, 2, 3), below(1, 2, 3)) == (0, 1)
