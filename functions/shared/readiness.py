"""Whether the service can work at the moment."""

from __future__ import annotations

import threading

from functions.shared.clock import Clock
from functions.shared.database import Database

READY_CACHE_SECONDS = 2.0


class Readiness:
    """Whether the database answers, asked at most every two seconds however many ask."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._is_ready = False

    def is_ready(self) -> bool:
        """The answer of now, or of up to two seconds ago."""
        with self._lock:
            now = self._clock.monotonic()
            if self._asked_at is None or now - self._asked_at >= READY_CACHE_SECONDS:
                self._is_ready = self._database.answers()
                self._asked_at = self._clock.monotonic()
            return self._is_ready
