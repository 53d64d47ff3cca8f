"""Repeats calls that failed for a moment: one loop and one way to pause, for database, queue, Canvas and models."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=Exception)

MAX_DOUBLINGS = 30  # without a bound, a long outage would overflow the number


@dataclass(frozen=True)
class Backoff:
    """Pauses that double from ``first_seconds`` up to ``max_seconds``, each shortened at random by up to a half.

    Without the random part, callers that failed together would come back together.
    """

    first_seconds: float
    max_seconds: float

    def seconds(self, failures: int) -> float:
        """The pause after this many failures in a row, counted from 1."""
        longest = min(self.max_seconds, self.first_seconds * 2.0 ** min(failures - 1, MAX_DOUBLINGS))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)


def retried(
    call: Callable[[], T], *, on: type[E], pause: Callable[[E, int], float | None], sleep: Callable[[float], object]
) -> T:
    """Calls until the call succeeds.

    :param on: the kind of error that may go away by itself; every other error is raised at once
    :param pause: gives the seconds until the next attempt, from the error and the number of failures; None raises it
    """
    failures = 0
    while True:
        try:
            return call()
        except on as error:
            failures += 1
            seconds = pause(error, failures)
            if seconds is None:
                raise
        if seconds > 0:
            sleep(seconds)
