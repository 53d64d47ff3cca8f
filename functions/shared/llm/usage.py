"""What calls of a model used and cost, added up over the calls of a run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from functions.shared.clock import Clock
from functions.shared.llm.errors import DeadlineExceeded, ProviderUnavailable

MILLION = Decimal(1_000_000)
PIECE = re.compile(r"([^\W\d_]+)|(\d+)|(\S)")


def estimated_tokens(text: str) -> int:
    """An estimate of a text's tokens without a tokenizer. For most kinds of text it is too high rather than too low."""
    count = 0
    for word, digits, other in PIECE.findall(text):
        if word:
            count += math.ceil(len(word) / 6) if word.isascii() else math.ceil(len(word.encode()) / 3)
        elif digits:
            count += math.ceil(len(digits) / 3)
        else:
            count += math.ceil(len(other.encode()) / 3)
    return count


def cost_usd(
    prices: Mapping[str, Mapping[str, Decimal]], model: str, prompt: int, cached: int, completion: int
) -> Decimal | None:
    """USD for one call. None when the model has no complete price. Cached tokens are part of the prompt's tokens.

    :param prices: USD per million tokens (MODEL_PRICES)
    """
    price = prices.get(model, {})
    if "input" not in price or "output" not in price:
        return None
    fresh = max(0, prompt - cached)
    return (
        fresh * price["input"] + cached * price.get("cached_input", price["input"]) + completion * price["output"]
    ) / MILLION


@dataclass
class Tally:
    """The sum over the calls of one run."""

    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost: Decimal | None = Decimal(0)
    usage_estimated: bool = False

    def add(
        self, prices: Mapping[str, Mapping[str, Decimal]], model: str, prompt: int, cached: int, completion: int
    ) -> None:
        """Adds the usage of one call."""
        self.prompt_tokens += prompt
        self.completion_tokens += completion
        self.cached_tokens += cached
        price = cost_usd(prices, model, prompt, cached, completion)
        self.cost = None if price is None or self.cost is None else self.cost + price

    def metrics(self, latency_ms: int, parse_path: str | None) -> dict[str, Any]:
        """The ``metrics`` of a run. The cost is a decimal string, or null when a price is missing."""
        return {
            "attempts": self.attempts,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cached_tokens": self.cached_tokens,
            "cost_usd": None if self.cost is None else format(self.cost, "f"),
            "latency_ms": latency_ms,
            "usage_estimated": self.usage_estimated,
            "parse_path": parse_path,
        }


def _nothing() -> None:
    """Does nothing."""


@dataclass
class Budget:
    """How much one run may use, over all its calls.

    :param max_calls: HTTP calls, with retries and repairs
    :param deadline: a time of the monotonic clock
    :param on_call: called before each HTTP call; an exception stops the run
    :param check: called several times a second while an answer arrives; an exception stops the run
    """

    clock: Clock
    max_calls: int
    deadline: float
    on_call: Callable[[], None] = _nothing
    check: Callable[[], None] = _nothing
    tally: Tally = field(default_factory=Tally)

    @property
    def calls_left(self) -> int:
        """How many calls may still be made."""
        return max(0, self.max_calls - self.tally.attempts)

    def remaining_seconds(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self.deadline - self.clock.monotonic())

    def begin_call(self) -> None:
        """Counts a call before it is sent.

        :raise DeadlineExceeded: no time is left
        :raise ProviderUnavailable: no call is left
        """
        self.check()
        if not self.remaining_seconds():
            raise DeadlineExceeded()
        if not self.calls_left:
            raise ProviderUnavailable()
        self.on_call()
        self.tally.attempts += 1

    def wait(self, seconds: float) -> None:
        """Waits before a repeat. ``check`` may end the wait by an exception."""
        until = self.clock.monotonic() + seconds
        while (left := until - self.clock.monotonic()) > 0:
            self.check()
            self.clock.sleep(min(left, 0.2))
