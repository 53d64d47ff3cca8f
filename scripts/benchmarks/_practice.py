"""A model of practice in plain Python: the formulas of docs/tutoring.md, written without looking at the SQL.

The benchmark simulates with it, and the tests compare the database with it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

POINTS_PER_LOGIT = 400 / math.log(10)
DRIFT = 0.002  # per answer, and per idle day: what is forgotten or learned unseen


def success(theta: float, b: float, guess: float = 0.0) -> float:
    """The chance of a right answer; ability and difficulty in logits."""
    return guess + (1 - guess) / (1 + math.exp(b - theta))


def elo(rating: int, question: int, score: float) -> tuple[int, int]:
    """Both ratings after an answer: steps of 32 and 8, rounded half away from zero, 100 to 3000."""
    expected = 1 / (1 + 10 ** ((min(max(question, 100), 3000) - rating) / 400))

    def moved(value: int, change: float) -> int:
        return int(min(max(math.floor(value + change + 0.5), 100), 3000))

    return moved(rating, 32 * (score - expected)), moved(question, 8 * (expected - score))


@dataclass
class Estimate:
    """A value in logits and how uncertain it is."""

    mean: float = 0.0
    variance: float = 1.0


def learn(student: Estimate, item: Estimate, score: float, guess: float = 0.0, idle_days: int = 0) -> float:
    """Moves both estimates by one answer; the chance of success that was expected."""
    plain = success(student.mean, item.mean)
    expected = guess + (1 - guess) * plain
    slope = (1 - guess) * plain * (1 - plain)
    spread = expected * (1 - expected)
    information = slope * slope / spread
    error = slope / spread * (score - expected)
    prior = min(1.0, student.variance + DRIFT * idle_days) + DRIFT
    student.variance = prior / (1 + prior * information)
    item.variance = item.variance / (1 + item.variance * information)
    student.mean += student.variance * error
    item.mean -= item.variance * error
    return expected


def seeded(seed: int, key: str) -> float:
    """A number between 0 and 1 that only seed and key decide."""
    return (int(hashlib.md5(f"{seed}:{key}".encode(), usedforsecurity=False).hexdigest()[:13], 16) + 0.5) / 2**52


def wish(seed: int, slot: int, is_placement: bool) -> float:
    """How likely the student should be to solve the next item."""
    if is_placement:
        return 0.6
    normal = math.sqrt(-2 * math.log(seeded(seed, f"{slot}:radius"))) * math.cos(
        2 * math.pi * seeded(seed, f"{slot}:angle")
    )
    return min(0.95, max(0.55, 0.75 + 0.08 * normal))


def pick(
    seed: int, slot: int, student: Estimate, answers: int, items: Mapping[str, tuple[float, float]]
) -> tuple[str, float]:
    """The next item of those never seen, and its chance of success.

    :param items: difficulty in logits and guess floor by id
    """
    chances = {name: success(student.mean, b, guess) for name, (b, guess) in items.items()}
    if seeded(seed, f"{slot}:calibration") < 0.05:
        near = [name for name, (b, _) in items.items() if abs(b - student.mean) * POINTS_PER_LOGIT <= 300]
        if near:
            chosen = min(near, key=lambda name: seeded(seed, name))
            return chosen, chances[chosen]
    wanted = wish(seed, slot, answers < 5 and POINTS_PER_LOGIT * math.sqrt(student.variance) >= 100)
    chosen = min(chances, key=lambda name: (abs(chances[name] - wanted), seeded(seed, name)))
    return chosen, chances[chosen]


class Scored(NamedTuple):
    """An answer as points see it."""

    item: str
    score: float | None
    is_on_time: bool = False


def points(answers: Sequence[Scored]) -> int:
    """XP of answers in their order: 10 for a first pass, 2 for another first answer, 5 for a review on time."""
    total = 0
    seen: set[str] = set()
    passed: set[str] = set()
    for answer in answers:
        if answer.score is not None and answer.score >= 0.6 and answer.item not in passed:
            passed.add(answer.item)
            total += 10
        elif answer.item not in seen:
            total += 2
        elif answer.is_on_time:
            total += 5
        seen.add(answer.item)
    return total


def exists(day: date, zone: str) -> bool:
    """Whether the zone had this date."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone))
    return noon.astimezone(UTC).astimezone(ZoneInfo(zone)).date() == day


class Streak(NamedTuple):
    """Length, state and freezes that are left."""

    length: int
    state: str
    freezes_left: int


def streak(days: Iterable[date], today: date, zone: str) -> Streak:
    """The streak of a set of dates, walked one calendar day after the other."""
    worked = set(days)
    if not worked:
        return Streak(0, "broken", 0)
    length = freezes = kept = 0
    day = min(worked)
    last = max(today, max(worked))
    while day <= last:
        if day in worked:
            length, kept = length + 1, kept + 1
            if kept == 7:
                kept, freezes = 0, min(2, freezes + 1)
        elif exists(day, zone) and day != last:
            # a freeze is used only when the whole gap is bridged: otherwise it is kept
            gap = 0
            following = day
            while following < last and following not in worked:
                gap += exists(following, zone)
                following += timedelta(days=1)
            if gap > freezes:
                length = kept = 0
            else:
                freezes, length = freezes - gap, length + gap
            day = following
            continue
        day += timedelta(days=1)
    state = "active" if last in worked else "at_risk" if length else "broken"
    return Streak(length, state, freezes)
