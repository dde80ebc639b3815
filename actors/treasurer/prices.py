"""What tokens cost, in millionths of a dollar: from the installed price list, and from files that know better."""

import threading
import tomllib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from fnmatch import fnmatchcase
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, field

from bus.errors import Invalid
from bus.messages.call import Usage

KNOWN_MAX = 4096
WHAT_NEXT = 'Mend the file: [[price]] with provider = "custom", model = "qwen*", input_usd = 0.2, output_usd = 0.6.'
LISTED_AS = {"gemini": "google", "claude": "anthropic", "codex": "openai"}
"""Providers that the list calls otherwise."""
AROUND_DAYS = 1
"""What was asked yesterday is settled today, and what is reserved today may be settled tomorrow: the dearest counts."""

Usd = Annotated[float, Meta(ge=0, le=1_000_000)]
Rate = tuple[tuple[int, Decimal], ...]
"""Millionths of a dollar a token, from so many input tokens on; the first from none."""


class Priced(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of a price file: dollars for a million tokens. Without a cache price, what is cached costs as input."""

    provider: str
    model: str
    input_usd: Usd
    output_usd: Usd
    cache_read_usd: Usd | None = None
    cache_write_usd: Usd | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    price: list[Priced] = field(default_factory=list)


class _Rates(NamedTuple):
    input: Rate
    output: Rate
    cache_read: Rate
    cache_write: Rate
    call: Decimal = Decimal(0)
    """For the call itself, whatever it holds."""


class Prices:
    """Pure but for the day: the same question has the same answer, unless a listed price came into force."""

    def __init__(self, priced: Iterable[Priced] = (), now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._priced = tuple(priced)
        self._now = now

    def micro_of(self, provider: str, model: str, usage: Usage) -> int | None:
        """What this cost, rounded up; None: nobody knows."""
        rates = self._rates(provider, model, 0)
        if rates is None:
            return None
        counts = (usage.input, usage.cache_read, usage.cache_write, usage.output)
        plain, read, written, output = (max(0, count) for count in counts)
        whole = plain + read + written
        cached = read * _at(rates.cache_read, whole) + written * _at(rates.cache_write, whole)
        return _up(rates.call + plain * _at(rates.input, whole) + cached + output * _at(rates.output, whole))

    def bound_of(self, provider: str, model: str, input_max_tokens: int, output_max_tokens: int) -> int | None:
        """The most that a call with so many tokens can cost, cached or not."""
        rates = self._rates(provider, model, AROUND_DAYS)
        if rates is None:
            return None
        dearest = max(_at(rate, input_max_tokens) for rate in (rates.input, rates.cache_read, rates.cache_write))
        return _up(rates.call + input_max_tokens * dearest + output_max_tokens * _at(rates.output, input_max_tokens))

    def per_million(self, provider: str, model: str) -> tuple[int, int] | None:
        """What a million tokens cost going in and coming out of a small call, to be shown and compared."""
        rates = self._rates(provider, model, 0)
        return (_up(rates.input[0][1] * 1_000_000), _up(rates.output[0][1] * 1_000_000)) if rates else None

    def version(self) -> str:
        """Which prices these are."""
        listed = f"genai-prices {_version()}"
        return f"{listed} + {sha256(msgspec.json.encode(self._priced)).hexdigest()[:12]}" if self._priced else listed

    def _rates(self, provider: str, model: str, ahead_days: int) -> _Rates | None:
        """A file knows better than the list, and a later entry better than an earlier one."""
        for priced in reversed(self._priced):
            if priced.provider == provider and fnmatchcase(model, priced.model):
                return _rates_of(priced)
        today = self._now().toordinal()
        return _listed_rates(provider, model, today - AROUND_DAYS, today + ahead_days)


def read_prices(paths: Iterable[Path]) -> Prices:
    """Those of these files that exist, a later one before an earlier one; an error names the file and the place."""
    priced: list[Priced] = []
    for path in paths:
        if not path.is_file():
            continue
        try:
            priced += msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File).price
        except (OSError, msgspec.ValidationError, ValueError) as error:
            raise Invalid(f"{path}: {error}", WHAT_NEXT) from error
    return Prices(priced)


_loading = threading.Lock()


def load_list() -> Any:
    """The price list. It takes a third of a second, once: call it in a thread before the first price is asked."""
    with _loading:
        from genai_prices import data_snapshot

        return data_snapshot.get_snapshot()


def contexts_of(provider: str) -> Callable[[str], int | None]:
    """How many tokens each model of a provider can hold, where the list says so."""
    load_list()

    def context_of(model: str) -> int | None:
        found = _found(provider, model)
        return found.context_window if found else None

    return context_of


@lru_cache(1)
def _version() -> str:
    return version_of("genai-prices")


@lru_cache(KNOWN_MAX)
def _found(provider: str, model: str) -> Any:
    """The list's entry for the model; its provider must be named exactly, for the list itself guesses."""
    snapshot, name = load_list(), LISTED_AS.get(provider, provider)
    listed = next((each for each in snapshot.providers if each.id == name), None)
    return listed.find_model(model, all_providers=snapshot.providers) if listed else None


@lru_cache(KNOWN_MAX)
def _listed_rates(provider: str, model: str, first_day: int, last_day: int) -> _Rates | None:
    found = _found(provider, model)
    if found is None:
        return None
    each = [_rates_in(price) for price in _in_force(found.prices, first_day, last_day)]
    known = [rates for rates in each if rates is not None]
    if not known or len(known) < len(each):
        return None
    return _Rates(
        _highest([rates.input for rates in known]),
        _highest([rates.output for rates in known]),
        _highest([rates.cache_read for rates in known]),
        _highest([rates.cache_write for rates in known]),
        max(rates.call for rates in known),
    )


def _in_force(prices: Any, first_day: int, last_day: int) -> list[Any]:
    """Every price that can count on one of these days: the last one that is active does, and some are by the hour."""
    if not isinstance(prices, list):
        return [prices]
    found = []
    for conditional in reversed(prices):
        start = getattr(conditional.constraint, "start_date", None)
        if start is not None and start.toordinal() > last_day:
            continue
        found.append(conditional.prices)
        if conditional.constraint is None or (start is not None and start.toordinal() <= first_day):
            return found
    return [*found, prices[0].prices] if prices else []


def _rates_in(price: Any) -> _Rates | None:
    """None where a model has no price for words that go in or out: it is not known, which is not free."""
    if price.input_mtok is None or price.output_mtok is None:
        return None
    plain, output = _rate_in(price.input_mtok), _rate_in(price.output_mtok)
    reasoning = price.output_reasoning_mtok
    return _Rates(
        plain,
        output if reasoning is None else _highest((output, _rate_in(reasoning))),
        plain if price.cache_read_mtok is None else _rate_in(price.cache_read_mtok),
        plain if price.cache_write_mtok is None else _rate_in(price.cache_write_mtok),
        Decimal(0) if price.requests_kcount is None else _rate_in(price.requests_kcount)[0][1] * 1000,
    )


def _rates_of(priced: Priced) -> _Rates:
    def rate(usd: float | None) -> Rate:
        return ((0, Decimal(str(priced.input_usd if usd is None else usd))),)

    return _Rates(rate(None), rate(priced.output_usd), rate(priced.cache_read_usd), rate(priced.cache_write_usd))


def _rate_in(price: Any) -> Rate:
    """Dollars for a million tokens are millionths of a dollar for one."""
    if isinstance(price, Decimal):
        return ((0, price),)
    return _highest((((0, price.base), *((tier.start, tier.price) for tier in price.tiers)),))


def _highest(rates: Sequence[Rate]) -> Rate:
    """The dearest of them at each step, and never less for more."""
    found: list[tuple[int, Decimal]] = []
    for start in sorted({start for rate in rates for start, _ in rate}):
        dearest = max(_at(rate, start + 1) for rate in rates)
        found.append((start, max(dearest, found[-1][1]) if found else dearest))
    return tuple(found)


def _at(rate: Rate, input_tokens: int) -> Decimal:
    """What one token costs in a call with so many: the last step that they are beyond counts for all of them."""
    return max((price for start, price in rate if input_tokens > start), default=rate[0][1])


def _up(micro: Decimal) -> int:
    return int(micro.to_integral_value(ROUND_CEILING))
