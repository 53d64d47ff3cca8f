"""Clocks for code whose waiting a test does not want to wait for."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from functions.shared.clock import SystemClock


class HeldClock:
    """A :class:`functions.shared.clock.Clock` that moves only when somebody sleeps; ``slept`` holds the pauses."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        """The held time as a date."""
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        """The held time."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Moves it."""
        self.slept.append(seconds)
        self.seconds += seconds


class SkippingClock(SystemClock):
    """The machine's clock, but a sleep is over at once: the monotonic time jumps by as much.

    For code that waits before it asks a stand-in again. Code that waits for something that really takes its time
    needs the machine's own clock.
    """

    def __init__(self) -> None:
        self._skipped = 0.0

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic() + self._skipped

    def sleep(self, seconds: float) -> None:
        """Jumps."""
        self._skipped += seconds
