"""How sure a count of wins and losses makes us: as sure as the Beta distribution."""

from random import Random


def mean(wins: float, losses: float) -> float:
    """The expected rate when nothing was known before."""
    return (wins + 1) / (wins + losses + 2)


def drawn(seed: str, a: float, b: float) -> float:
    """A rate as likely as Beta(a, b) makes it; the same again for the same seed."""
    return Random(seed).betavariate(a, b)
