"""Follows one stream to its end, whoever ended it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from functions.shared.answers.reading import EventReader
from functions.shared.clock import Clock
from functions.shared.events import Batch, Event

TERMINAL = frozenset({"finish", "error", "abort"})
# how long to wait for events before the row is asked whether the stream has ended without them
LOOK_SECONDS = 2.0
FIRST_LOOK_SECONDS = 0.5

Parts = Sequence[Mapping[str, Any]]


class Follower:
    """Reads the events of one stream. Its owner was checked before.

    :param ended: asks the row for the parts of a stream that has ended: all parts when the argument is False, and only
        the last ones when it is True, because the earlier ones are stored. None while the stream goes on.
    """

    def __init__(self, reader: EventReader, stream_id: str, ended: Callable[[bool], Parts | None]) -> None:
        self._reader = reader
        self._stream_id = stream_id
        self._ended = ended
        self._is_first = True

    def start(self, after: int) -> int:
        """The number after which to begin for a client that says it has that event; 0 when there is no such event.

        :raise AppError: the database did not answer
        """
        if not after:
            return 0
        known = self._reader.events(self._stream_id, after - 1, FIRST_LOOK_SECONDS)
        return after if known and known[0].seq == after else 0

    def look(self, after: int) -> Batch:
        """The events after a number. Waits for some, for a short time.

        :raise AppError: the database did not answer
        """
        # a stream that ended long ago is not waited for
        wait_seconds, self._is_first = (FIRST_LOOK_SECONDS if self._is_first else LOOK_SECONDS), False
        events = self._reader.events(self._stream_id, after, wait_seconds)
        if events:
            return Batch(events, events[-1].data["type"] in TERMINAL)
        if self._ended(True) is None:
            return Batch((), False)
        # it may have ended between the two reads
        kept = self._all()
        if any(event.seq > after for event in kept):
            return Batch((), False)
        if kept and kept[-1].data["type"] in TERMINAL:
            # the client has all events
            return Batch((), True)
        parts = self._ended(bool(kept)) or ()
        return Batch([Event(after + number, part) for number, part in enumerate(parts, 1)], True)

    def wait(self, clock: Clock, seconds: float) -> None:
        """Returns when the stream has ended or the time is over.

        :raise AppError: the database did not answer
        """
        until, after = clock.monotonic() + seconds, 0
        while clock.monotonic() < until:
            batch = self.look(after)
            if batch.ended:
                return
            after = batch.events[-1].seq if batch.events else after

    def _all(self) -> list[Event]:
        found: list[Event] = []
        while events := self._reader.events(self._stream_id, found[-1].seq if found else 0, FIRST_LOOK_SECONDS):
            found += events
            if events[-1].data["type"] in TERMINAL:
                break
        return found
