"""Time behind a small interface, so that tests can stop it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


def utc(moment: datetime) -> str:
    """A time as ISO 8601 in UTC, with Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Clock(Protocol):
    """How services read the time and wait."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps, for deadlines and intervals."""
        ...

    def sleep(self, seconds: float) -> None:
        """Waits for so many seconds."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits for so many seconds."""
        time.sleep(seconds)
