"""The price table against an oracle of its own arithmetic, over 2 000 records of usage."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from functions.shared.llm.ledger import Ledger
from functions.shared.llm.prices import read_prices
from functions.shared.llm.usage import Tally, Used
from tests.support.clocks import SkippingClock

TABLE: dict[str, Any] = {
    "plain": {"input": "1.25", "cached_input": "0.125", "output": 10},
    "no-cache-price": {"input": 3, "output": "0.07"},
    "dated": [
        {"until": "2026-03-01", "input": 2, "output": 8},
        {"from": "2026-03-01", "input": 1, "cached_input": "0.1", "output": 6},
        {"from": "2026-06-01", "until": "2026-07-01", "input": "0.5", "output": 3},
    ],
    "tiered": {
        "input": 5, "cached_input": "0.5", "cache_write": "6.25", "output": 30,
        "tiers": [{"above": 272000, "input": 10, "cached_input": 1, "output": 45}, {"above": 900000, "input": 20}],
    },
    "gap": [{"from": "2026-02-01", "until": "2026-03-01", "input": 1, "output": 1}],
    "listener": {"minute": "0.006"},
    "input-only": {"input": "0.02"},
}  # fmt: skip
START = datetime(2026, 1, 15, tzinfo=UTC)


def oracle(model: str, used: Used, at: datetime) -> Fraction | None:
    """The same rules, written down another way: fractions, one branch a model."""

    def tokens(fresh: str, cached: str, written: str, output: str) -> Fraction:
        first = used.prompt_tokens - used.cached_tokens - used.cache_write_tokens
        parts = ((first, fresh), (used.cached_tokens, cached), (used.cache_write_tokens, written))
        total = sum((Fraction(price) * count for count, price in parts), Fraction(0))
        return (total + Fraction(output) * used.completion_tokens) / 1_000_000

    if model == "plain":
        return tokens("1.25", "0.125", "1.25", "10")
    if model == "no-cache-price":
        return tokens("3", "3", "3", "0.07")
    if model == "dated":
        if at < datetime(2026, 3, 1, tzinfo=UTC):
            return tokens("2", "2", "2", "8")
        june = datetime(2026, 6, 1, tzinfo=UTC) <= at < datetime(2026, 7, 1, tzinfo=UTC)
        return tokens("0.5", "0.5", "0.5", "3") if june else tokens("1", "0.1", "1", "6")
    if model == "tiered":
        if used.prompt_tokens > 900_000:
            return tokens("20", "0.5", "6.25", "30")
        return tokens("10", "1", "6.25", "45") if used.prompt_tokens > 272_000 else tokens("5", "0.5", "6.25", "30")
    if model == "gap":
        inside = datetime(2026, 2, 1, tzinfo=UTC) <= at < datetime(2026, 3, 1, tzinfo=UTC)
        return tokens("1", "1", "1", "1") if inside else None
    if model == "listener":
        if used.prompt_tokens or used.completion_tokens:
            return None
        return Fraction(used.audio_seconds or 0) * Fraction("0.006") / 60
    if model == "input-only":
        if used.completion_tokens or (used.audio_seconds and not used.prompt_tokens):
            return None
        return tokens("0.02", "0.02", "0.02", "0")
    return None


def record(chance: random.Random) -> tuple[str, Used, datetime]:
    """One call of a random model at a random time of the year."""
    model = chance.choice([*TABLE, "unknown"])
    prompt = chance.choice([0, 1, chance.randint(0, 5000), 272_000, 272_001, chance.randint(200_000, 1_200_000)])
    cached = chance.randint(0, prompt)
    written = chance.choice([0, chance.randint(0, prompt - cached)])
    completion = chance.choice([0, chance.randint(0, 40_000)])
    audio = Decimal(chance.randint(0, 90_000)) / 10 if model == "listener" else None
    if model == "listener" and chance.random() < 0.8:
        prompt = cached = written = completion = 0
    at = START + timedelta(seconds=chance.randint(0, 200 * 86_400))
    return model, Used(prompt, completion, cached, written, audio), at


def test_two_thousand_records_cost_what_the_oracle_says() -> None:
    table = read_prices(json.loads(json.dumps(TABLE), parse_float=Decimal))
    chance, priced = random.Random(20261128), 0
    for _ in range(2000):
        model, used, at = record(chance)
        cost, expected = table.cost(model, used, at), oracle(model, used, at)
        if expected is None:
            assert cost is None, (model, used, at)
            continue
        priced += 1
        assert cost is not None, (model, used, at)
        assert Fraction(cost) == expected, (model, used, at)
    assert priced > 1200


def test_a_price_begins_and_ends_at_midnight_in_utc() -> None:
    table, used = read_prices(TABLE), Used(prompt_tokens=1_000_000)
    last = datetime.fromisoformat("2026-02-28T23:59:59.999999+00:00")
    # the same day has begun in the east
    assert table.cost("dated", used, last.astimezone(tz=None)) == 2
    assert table.cost("dated", used, last + timedelta(microseconds=1)) == 1


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 4}, Used(9, 4)),
        ({"input_tokens": 9, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 3}}, Used(9, 4, 3)),
        (SimpleNamespace(prompt_tokens=5, total_tokens=5), Used(5)),
        (
            {"prompt_tokens": 9, "completion_tokens": 4,
             "prompt_tokens_details": {"cached_tokens": 99, "cache_write_tokens": 5}},
            Used(9, 4, 9),
        ),
        ({"type": "duration", "seconds": 2.5}, Used(audio_seconds=Decimal("2.5"))),
        ({"prompt_tokens": -3, "completion_tokens": 10**30}, Used(0, 2_000_000_000)),
        ({"prompt_tokens": True, "completion_tokens": "4"}, None),
        ({"prompt_tokens": float("nan")}, None),
        ({}, None),
        (None, None),
        ("many", None),
    ],
)  # fmt: skip
def test_usage_is_read_in_every_shape(usage: Any, expected: Used | None) -> None:
    assert Used.reported(usage) == expected


def test_a_ledger_sums_reports_and_estimates() -> None:
    ledger = Ledger(SkippingClock(), read_prices(TABLE), "test")
    with ledger.call("plain", Used(prompt_tokens=100)) as call:
        call.used = Used(80, 20, 10)
    assert not ledger.tally.usage_estimated
    with pytest.raises(KeyError), ledger.call("plain", Used(prompt_tokens=100)):
        raise KeyError
    assert ledger.tally.usage_estimated
    with ledger.call("plain", Used(prompt_tokens=100)) as call:
        call.refuse()
    cost = (70 * Decimal("1.25") + 10 * Decimal("0.125") + 20 * 10 + 100 * Decimal("1.25")) / 1_000_000
    assert ledger.tally == Tally(3, 180, 20, 10, cost, True)
    with ledger.call("unknown", Used()):
        pass
    assert ledger.tally.cost is None
