"""Spares a dead provider the calls of everybody who waits. It counts for one process, server and model.

When the calls of ``MAX_RUNS`` pieces of work failed within ``WINDOW_SECONDS``, and none succeeded in between, further
calls fail at once for a pause that doubles. Then one call probes: when it succeeds, all may call again.
"""

from __future__ import annotations

import threading
import time

from functions.shared.llm.errors import DeadlineExceeded, ModelError, ProviderUnavailable

MAX_RUNS = 8
WINDOW_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 5.0
MAX_PAUSE_SECONDS = 60.0


class ProviderResting(ProviderUnavailable):
    """The model's provider fails, and is asked again in a moment. Try again later."""

    # a repeat within the run would meet the same pause
    is_repeatable = False


class Breaker:
    """The calls of one server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed: dict[int, float] = {}  # when the last call of a piece of work failed
        self._pause = FIRST_PAUSE_SECONDS
        self._rests_until: float | None = None

    def check(self) -> None:
        """Asks whether a call may be made. The first one after a pause is the probe, and ends another pause.

        :raise ProviderResting: it may not; with the seconds until the next probe
        """
        with self._lock:
            if self._rests_until is None:
                return
            left = self._rests_until - time.monotonic()
            if left > 0:
                raise ProviderResting(retry_after=left)
            self._rest()

    def note(self, work: int, error: ModelError | None) -> None:
        """What became of a call; None is a success. Only a server that fails or is silent counts as dead.

        :param work: which piece of work called
        """
        now = time.monotonic()
        with self._lock:
            if not isinstance(error, (ProviderUnavailable, DeadlineExceeded)):
                self._failed.clear()
                self._rests_until, self._pause = None, FIRST_PAUSE_SECONDS
                return
            self._failed[work] = now
            self._failed = {one: at for one, at in self._failed.items() if now - at <= WINDOW_SECONDS}
            if self._rests_until is None and len(self._failed) >= MAX_RUNS:
                self._rest()

    def _rest(self) -> None:
        self._rests_until = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, MAX_PAUSE_SECONDS)


_breakers: dict[tuple[str, str], Breaker] = {}


def of(server: tuple[str, str]) -> Breaker:
    """The breaker of a server and model."""
    return _breakers.setdefault(server, Breaker())


def forget() -> None:
    """Forgets all failures, for tests."""
    _breakers.clear()
