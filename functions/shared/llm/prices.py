"""What calls of models cost, from the price table of the setting MODEL_PRICES.

A model has one price or a list of them, each for a span of time. All amounts are decimals in US dollars::

    {"writer-1": {"input": 5, "cached_input": 0.5, "output": 30},
     "writer-2": [{"until": "2026-07-01", "input": 2, "output": 8},
                  {"from": "2026-07-01", "input": 1, "output": 6,
                   "tiers": [{"above": 272000, "input": 2, "output": 9}]}],
     "listener": {"minute": 0.006}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from functions.shared.llm.usage import MAX_TOKENS, Used

MILLION = Decimal(1_000_000)
SECONDS_A_MINUTE = Decimal(60)
MAX_USD = 1_000_000
MAX_PLACES = 15
KINDS = frozenset({"input", "cached_input", "cache_write", "output", "minute"})


@dataclass(frozen=True)
class Tier:
    """The prices of a call by the size of its prompt.

    :param above: it holds for prompts with more tokens than this
    :param kinds: US dollars for a million tokens, and for a minute of audio under ``minute``
    """

    above: int
    kinds: Mapping[str, Decimal]

    def cost(self, used: Used) -> Decimal | None:
        """US dollars for one call. None when something was used that has no price."""
        kinds = self.kinds
        # without a price of their own, cached and newly cached tokens cost what others do
        fresh = used.prompt_tokens - used.cached_tokens - used.cache_write_tokens
        parts = [
            (fresh, kinds.get("input")),
            (used.cached_tokens, kinds.get("cached_input", kinds.get("input"))),
            (used.cache_write_tokens, kinds.get("cache_write", kinds.get("input"))),
            (used.completion_tokens, kinds.get("output")),
        ]
        cost = Decimal(0)
        for tokens, price in parts:
            if tokens and price is None:
                return None
            cost += tokens * (price or Decimal(0))
        cost /= MILLION
        if used.audio_seconds and "minute" in kinds:
            cost += used.audio_seconds * kinds["minute"] / SECONDS_A_MINUTE
        elif used.audio_seconds and not (used.prompt_tokens or used.completion_tokens):
            return None
        return cost


@dataclass(frozen=True)
class Price:
    """The prices of one model in a span of time, from the start of a day in UTC to the start of another.

    :param tiers: the tiers by size, the smallest first; the first one is for every prompt
    """

    begin: date | None
    end: date | None
    tiers: tuple[Tier, ...]

    def is_valid(self, day: date) -> bool:
        """Whether it holds on this day."""
        return (self.begin is None or self.begin <= day) and (self.end is None or day < self.end)


class PriceTable:
    """The prices of all models."""

    def __init__(self, prices: Mapping[str, tuple[Price, ...]] | None = None) -> None:
        self._prices = dict(prices or {})

    def __contains__(self, model: object) -> bool:
        return model in self._prices

    def cost(self, model: str, used: Used, at: datetime) -> Decimal | None:
        """US dollars for one call, exact. None, and never 0, when the model has no price at this time.

        Of several prices that are valid, the one that began last counts. Tokens that are billed include the cached ones
        once, and audio is billed by the minute where the model has such a price, else by its tokens.

        :param at: when the call was sent
        """
        day = at.astimezone(UTC).date()
        valid = [price for price in self._prices.get(model, ()) if price.is_valid(day)]
        if not valid:
            return None
        price = max(valid, key=lambda one: one.begin or date.min)
        tier = [one for one in price.tiers if used.prompt_tokens > one.above or one is price.tiers[0]][-1]
        return tier.cost(used)


def read_prices(table: Any) -> PriceTable:
    """The table of a parsed setting, whose numbers are decimals, integers or strings.

    :raise ValueError: its form is another; the message says which part, as the end of a sentence
    """
    if not isinstance(table, Mapping):
        raise ValueError("is not a JSON object of prices")
    return PriceTable({str(model): _prices(entry) for model, entry in table.items()})


def _prices(entry: Any) -> tuple[Price, ...]:
    entries = entry if isinstance(entry, list) else [entry]
    if not entries or not all(isinstance(one, Mapping) for one in entries):
        raise ValueError("must give each model a price or a list of prices")
    return tuple(_price(one) for one in entries)


def _price(entry: Mapping[str, Any]) -> Price:
    base = _kinds(entry, {"from", "until", "tiers"})
    tiers = [Tier(0, base)]
    given = entry.get("tiers", [])
    if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given):
        raise ValueError("must have a list of objects under tiers")
    for one in given:
        above = one.get("above")
        is_number = isinstance(above, (int, Decimal)) and not isinstance(above, bool)
        if not is_number or not 0 < above <= MAX_TOKENS or above != int(above):
            raise ValueError("must give each tier a number of tokens under above")
        # what a tier does not name costs what it costs elsewhere
        tiers.append(Tier(int(above), {**base, **_kinds(one, {"above"})}))
    return Price(_day(entry, "from"), _day(entry, "until"), tuple(sorted(tiers, key=lambda tier: tier.above)))


def _kinds(entry: Mapping[str, Any], others: set[str]) -> dict[str, Decimal]:
    kinds: dict[str, Decimal] = {}
    for name, value in entry.items():
        if name in others:
            continue
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal("nan")
        if name not in KINDS or isinstance(value, bool) or not amount.is_finite() or not 0 <= amount <= MAX_USD:
            raise ValueError(f"must hold prices of {', '.join(sorted(KINDS))}, none negative, none above {MAX_USD}")
        if int(amount.as_tuple().exponent) < -MAX_PLACES:
            raise ValueError(f"must hold prices of at most {MAX_PLACES} decimal places")
        kinds[name] = amount
    return kinds


def _day(entry: Mapping[str, Any], name: str) -> date | None:
    value = entry.get(name)
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"must have a date under {name}, as 2026-07-01") from error
