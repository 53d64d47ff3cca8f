"""What calls of a model used: one call, and the sum over a piece of work."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

PIECE = re.compile(r"([^\W\d_]+)|(\d+)|(\S)")
# longer runs of letters may be cut inside
MAX_WORD_CHARACTERS = 50
# what the database's integers hold
MAX_TOKENS = 2_000_000_000


def estimated_tokens(text: str) -> int:
    """An estimate of a text's tokens without a tokenizer. For most kinds of text it is too high rather than too low."""
    return sum(map(_tokens_of, PIECE.finditer(text)))


def first_tokens(text: str, max_tokens: int) -> str:
    """The beginning of a text that has at most so many tokens, as they are estimated."""
    left = max_tokens
    for match in PIECE.finditer(text):
        tokens = _tokens_of(match)
        if tokens > left:
            # a whole text of a script without spaces is one piece
            part = match[0].encode("utf-8", "replace")[: 3 * left] if len(match[0]) > MAX_WORD_CHARACTERS else b""
            return text[: match.start()] + part.decode("utf-8", "ignore")
        left -= tokens
    return text


def _tokens_of(match: re.Match[str]) -> int:
    word, digits, other = match.groups()
    if word:
        return math.ceil(len(word) / 6) if word.isascii() else math.ceil(len(word.encode()) / 3)
    # half of a surrogate pair has no encoding of its own
    return math.ceil(len(digits) / 3) if digits else math.ceil(len(other.encode("utf-8", "replace")) / 3)


@dataclass(frozen=True)
class Used:
    """What one call used.

    :param prompt_tokens: tokens sent, the cached and newly cached ones included
    :param completion_tokens: tokens written, thoughts included
    :param audio_seconds: None for text
    :param is_estimated: the provider did not report it
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    audio_seconds: Decimal | None = None
    is_estimated: bool = False

    @classmethod
    def reported(cls, usage: Any, audio_seconds: Decimal | None = None) -> Used | None:
        """The ``usage`` of any answer: chat, responses, embeddings or transcription; an object or a dictionary.

        :param audio_seconds: the length of the audio that was sent, which wins over the provider's number
        :return: None when it reports nothing usable
        """
        prompt = _number(usage, "prompt_tokens", "input_tokens")
        completion = _number(usage, "completion_tokens", "output_tokens")
        if prompt is None and completion is None and _number(usage, "seconds") is None:
            return None
        seconds = _field(usage, "seconds")
        if audio_seconds is None and isinstance(seconds, (int, float)) and 0 <= seconds < 1e9:
            audio_seconds = Decimal(str(seconds))
        details = _field(usage, "prompt_tokens_details") or _field(usage, "input_tokens_details")
        cached = min(_number(details, "cached_tokens") or 0, prompt or 0)
        written = min(_number(details, "cache_write_tokens") or 0, (prompt or 0) - cached)
        return cls(prompt or 0, completion or 0, cached, written, audio_seconds)


def _field(source: Any, name: str) -> Any:
    return source.get(name) if isinstance(source, dict) else getattr(source, name, None)


def _number(source: Any, *names: str) -> int | None:
    for name in names:
        value = _field(source, name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return min(max(0, int(value)), MAX_TOKENS)
    return None


@dataclass
class Tally:
    """The sum over the calls of a piece of work."""

    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost: Decimal | None = Decimal(0)
    usage_estimated: bool = False

    def add(self, used: Used, cost: Decimal | None) -> None:
        """Adds what one call used. An unknown cost makes the sum unknown."""
        self.prompt_tokens += used.prompt_tokens
        self.completion_tokens += used.completion_tokens
        self.cached_tokens += used.cached_tokens
        self.cost = None if cost is None or self.cost is None else self.cost + cost
        self.usage_estimated = self.usage_estimated or used.is_estimated

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
