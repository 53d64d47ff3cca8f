"""How many requests of one access token run at once, and when the next one may begin.

Canvas keeps a leaking bucket for each access token. Each running request holds 50 units of it and gets them back at its
end; a request that meets 600 or more is refused. X-Rate-Limit-Remaining therefore falls by 50 for each of our own
requests, and is corrected by that before it is judged.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

from functions.shared.canvas.errors import CanvasUnavailable

START_IN_FLIGHT = 4
MAX_IN_FLIGHT = 10
# Requests beside two others begin one after another, so that few are on their way when refusals begin. Ten that take
# 150 ms each begin more than 10 ms apart anyway.
UNSPACED_IN_FLIGHT = 2
SPACING_SECONDS = 0.01
UNITS_IN_FLIGHT = 50.0  # that Canvas holds back for a request while it runs
MIN_ROOM_UNITS = 200.0  # that the bucket should have left before more requests run at once
MAX_PAUSE_SECONDS = 5.0
MAX_REFUSED_SECONDS = 60.0  # without a single answer; then the run ends
RETRY_SECONDS = 30.0  # what a caller is told when that was not enough


class TokenPaused(CanvasUnavailable):
    """Canvas limits our requests at the moment. Try again later."""


class Stopped(Exception):
    """The run is over, so no further request begins."""


class Slots:
    """What is known of one access token. ``changed`` guards it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.limit = START_IN_FLIGHT
        self.in_flight = 0
        self.next_at = 0.0  # when the next request may begin beside others
        self.paused_until = 0.0
        self.refused_since: float | None = None
        self.refusals = 0
        self.has_sleeper = False


_shared: WeakValueDictionary[str, Slots] = WeakValueDictionary()
_shared_lock = threading.Lock()


def slots_of(integration_id: str) -> Slots:
    """The slots of an integration's token, the same for all clients of this process. They last while one is in use.

    A refreshed token has a new bucket and keeps the slots, which is the careful side.
    """
    with _shared_lock:
        slots = _shared.get(integration_id)
        if slots is None:
            slots = _shared[integration_id] = Slots()
        return slots


class Throttle:
    """The slots of one access token as one client takes them. Threads may share it.

    ``sleep`` waits out a pause, in one of the waiting threads; it may raise to end the run. ``slots`` are shared with
    the other clients of the token.
    """

    def __init__(self, sleep: Callable[[float], None], clock: Callable[[], float], slots: Slots | None = None) -> None:
        self._sleep = sleep
        self._clock = clock
        self._slots = slots or Slots()
        self._is_stopped = False

    @contextmanager
    def slot(self) -> Iterator[int]:
        """Waits for a slot and holds it. The value belongs into :meth:`answered` and :meth:`refused`.

        :raise TokenPaused: Canvas has refused everything for ``MAX_REFUSED_SECONDS``
        :raise Stopped: see :meth:`stop`
        """
        refusals = self._enter()
        try:
            yield refusals
        finally:
            with self._slots.changed:
                self._slots.in_flight -= 1
                self._slots.changed.notify_all()

    def _enter(self) -> int:
        while True:
            with self._slots.changed:
                spacing = self._slots.next_at - time.monotonic()
                if spacing > 0 and self._slots.in_flight >= UNSPACED_IN_FLIGHT:
                    self._slots.changed.wait(spacing)
                    continue
                pause = self._pause_or_slot()
                if pause is None:
                    self._slots.next_at = time.monotonic() + SPACING_SECONDS
                    return self._slots.refusals
                if pause == 0 or self._slots.has_sleeper:
                    self._slots.changed.wait()
                    continue
                self._slots.has_sleeper = True
            try:
                self._sleep(pause)
            finally:
                with self._slots.changed:
                    self._slots.has_sleeper = False
                    self._slots.changed.notify_all()

    def _pause_or_slot(self) -> float | None:
        """None with a slot taken, 0 when all are taken, else the seconds until the pause is over."""
        if self._is_stopped:
            raise Stopped
        pause = self._slots.paused_until - self._clock()
        if pause > 0:
            if self.is_exhausted:
                raise TokenPaused(retry_after=RETRY_SECONDS)
            return pause
        if self._slots.in_flight >= self.allowed:
            return 0
        self._slots.in_flight += 1
        return None

    def answered(self, slot: int, remaining: float | None) -> None:
        """Notes an answer that was no refusal; call it while the slot is held.

        :param remaining: X-Rate-Limit-Remaining, which some installations do not send
        """
        with self._slots.changed:
            if slot != self._slots.refusals:
                return  # it was sent before the last refusal, so it says nothing about now
            self._slots.refused_since = None
            room, most = MIN_ROOM_UNITS + 1, MAX_IN_FLIGHT
            if remaining is not None:
                room = remaining + UNITS_IN_FLIGHT * (self._slots.in_flight - 1)
                most = min(max(int(room // UNITS_IN_FLIGHT) - 1, 1), MAX_IN_FLIGHT)
            # a limit that nobody uses does not grow
            is_used = 2 * self._slots.in_flight > self._slots.limit
            self._slots.limit = min(self._slots.limit + (is_used and room > MIN_ROOM_UNITS), most)
            self._slots.changed.notify_all()

    def refused(self, slot: int, seconds: float) -> None:
        """Pauses the whole token after a refusal; call it while the slot is held.

        :param seconds: until the bucket should have room. A second refusal in a row takes the longest pause
        """
        with self._slots.changed:
            if slot != self._slots.refusals:
                return  # sent together with one that was refused before
            self._slots.refusals += 1
            now = self._clock()
            if self._slots.refused_since is None:
                self._slots.refused_since = now
            else:
                seconds = MAX_PAUSE_SECONDS
            self._slots.limit = max(self._slots.limit // 2, 1)
            self._slots.paused_until = now + min(seconds, MAX_PAUSE_SECONDS) * random.uniform(0.95, 1.0)  # noqa: S311 (jitter)
            self._slots.changed.notify_all()

    @property
    def allowed(self) -> int:
        """How many requests may run at once. After a refusal, one asks whether Canvas answers again."""
        return self._slots.limit if self._slots.refused_since is None else 1

    @property
    def is_exhausted(self) -> bool:
        """Whether Canvas has refused everything for so long that the run should end."""
        return (
            self._slots.refused_since is not None and self._clock() - self._slots.refused_since >= MAX_REFUSED_SECONDS
        )

    def stop(self) -> None:
        """Ends all waiting of this client; none of its requests begins any more. Other clients go on."""
        with self._slots.changed:
            self._is_stopped = True
            self._slots.changed.notify_all()
