"""The Beta distribution, computed to the last digits that count: what the tables say of a rate must come to this."""

from math import exp, inf, lgamma, log, log1p

STEPS_MAX = 20_000
TINY, CLOSE, CLOSE_ENOUGH = 1e-300, 1e-15, 1e-12
HALVINGS_MAX = 200


def below(x: float, a: float, b: float) -> float:
    """The probability that a rate of Beta(a, b) is at most `x`: the regularised incomplete beta function."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    front = exp(_log_density(x, a, b) + log(x) + log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def quantile(share: float, a: float, b: float) -> float:
    """The rate that this share of Beta(a, b) lies below, by Newton's steps, or by halves where those go astray."""
    low, high = 0.0, 1.0
    x = a / (a + b)
    for _ in range(HALVINGS_MAX):
        over = below(x, a, b) - share
        low, high = (low, x) if over > 0 else (x, high)
        slope = exp(_log_density(x, a, b)) if 0 < x < 1 else 0.0
        step = x - over / slope if slope > TINY else inf
        following = step if low < step < high else (low + high) / 2
        # After a step of Newton's that is as small as this, the next would be smaller than a digit.
        if abs(following - x) <= CLOSE_ENOUGH * x or following in (low, high):
            return following
        x = following
    return x


def _log_density(x: float, a: float, b: float) -> float:
    return lgamma(a + b) - lgamma(a) - lgamma(b) + (a - 1) * log(x) + (b - 1) * log1p(-x)


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, from its front on (Lentz)."""
    c, d = 1.0, 1 / _not_nothing(1 - (a + b) * x / (a + 1))
    found = d
    for step in range(1, STEPS_MAX):
        for numerator in (
            step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step)),
            -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1)),
        ):
            d = 1 / _not_nothing(1 + numerator * d)
            c = _not_nothing(1 + numerator / c)
            found *= d * c
        if abs(d * c - 1) < CLOSE:
            break
    return found


def _not_nothing(number: float) -> float:
    return number if abs(number) > TINY else TINY
