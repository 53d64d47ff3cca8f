"""Turns scores into chances by what tutors said, and measures how well that goes. It knows no database.

The fit is isotonic regression by pooling adjacent violators: chances rise with scores, and nothing else is assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

BINS = 10
# blocks of fewer answers are joined with a neighbour: three right ones of three do not mean "always"
MIN_BLOCK_ANSWERS = 15

Pair = tuple[float, bool]
Table = Sequence[Sequence[float]]


class Quality(NamedTuple):
    """How good chances are: expected calibration error, Brier score, area under the curve (None for one class)."""

    ece: float
    brier: float
    auroc: float | None


class _Block(NamedTuple):
    first: float
    right: float
    answers: int

    @property
    def rate(self) -> float:
        # one right and one wrong answer more, so that no chance is 0 or 1
        return (self.right + 1) / (self.answers + 2)


def fit(pairs: Sequence[Pair]) -> list[list[float]]:
    """The steps [[score, chance]] for scores with verdicts.

    :raise ValueError: there are none
    """
    if not pairs:
        raise ValueError("there are no verdicts")
    blocks: list[_Block] = []
    for score, group in groupby(sorted(pairs, key=lambda pair: pair[0]), key=lambda pair: pair[0]):
        verdicts = [is_right for _, is_right in group]
        blocks.append(_Block(score, sum(verdicts), len(verdicts)))
        _pool(blocks)
    if len(blocks) > 1 and blocks[-1].answers < MIN_BLOCK_ANSWERS:
        _join(blocks)
        _pool(blocks)
    blocks[0] = blocks[0]._replace(first=0.0)
    return [[round(block.first, 3), round(block.rate, 3)] for block in blocks]


def _pool(blocks: list[_Block]) -> None:
    """Joins the last block with those before it, until each is large enough and higher than the one before."""
    while len(blocks) > 1 and (blocks[-2].answers < MIN_BLOCK_ANSWERS or blocks[-2].rate >= blocks[-1].rate):
        _join(blocks)


def _join(blocks: list[_Block]) -> None:
    last = blocks.pop()
    blocks[-1] = _Block(blocks[-1].first, blocks[-1].right + last.right, blocks[-1].answers + last.answers)


def chance(table: Table, score: float) -> float:
    """What a score is worth by a table: its last step at or below the score."""
    found = table[0][1]
    for step in table:
        if step[0] > score:
            break
        found = step[1]
    return float(found)


def quality(chances: Sequence[Pair]) -> Quality:
    """Measures chances against verdicts.

    :raise ValueError: there are none
    """
    if not chances:
        raise ValueError("there are no verdicts")
    return Quality(ece(chances), brier(chances), auroc(chances))


def ece(chances: Sequence[Pair]) -> float:
    """How far chances are from the share of right answers, over ten bins of equal count."""
    ordered = sorted(chances, key=lambda pair: pair[0])
    total = 0.0
    for number in range(BINS):
        part = ordered[len(ordered) * number // BINS : len(ordered) * (number + 1) // BINS]
        if part:
            total += abs(sum(chance - is_right for chance, is_right in part))
    return total / len(ordered)


def brier(chances: Sequence[Pair]) -> float:
    """The mean squared distance of chances from what happened."""
    return sum((chance - is_right) ** 2 for chance, is_right in chances) / len(chances)


def auroc(chances: Sequence[Pair]) -> float | None:
    """How often a right answer has a higher chance than a wrong one; equal ones count half. None without both."""
    right = sum(is_right for _, is_right in chances)
    wrong = len(chances) - right
    if not right or not wrong:
        return None
    below, wins = 0, 0.0
    for _, group in groupby(sorted(chances, key=lambda pair: pair[0]), key=lambda pair: pair[0]):
        verdicts = [is_right for _, is_right in group]
        good, bad = sum(verdicts), len(verdicts) - sum(verdicts)
        wins += good * (below + bad / 2)
        below += bad
    return wins / (right * wrong)


def crossed(pairs: Sequence[Pair], parts: int = 5) -> list[Pair]:
    """The chance of each verdict by a table that was made of the other parts: an honest picture of a new table."""
    found: list[Pair] = []
    for part in range(parts):
        others = [pair for place, pair in enumerate(pairs) if place % parts != part]
        table = fit(others) if others else [[0.0, 0.5]]
        found += [(chance(table, score), is_right) for score, is_right in pairs[part::parts]]
    return found
