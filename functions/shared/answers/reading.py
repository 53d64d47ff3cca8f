"""Reads the events of all streams that this process follows, in one call of the database at a time.

An open stream is read many times a second. Were each to ask for itself, fifty of them would ask a thousand times.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from functions.shared.clock import Clock
from functions.shared.database import Database, rpc
from functions.shared.errors import AppError
from functions.shared.events import Event

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.04
# the thread ends when nobody followed a stream for so long
MAX_IDLE_SECONDS = 5.0
MAX_STREAMS_IN_A_CALL = 200


@dataclass(eq=False)
class _Ask:
    """Somebody who waits for the events of a stream after a number."""

    stream_id: str
    after: int
    events: Sequence[Event] = ()
    error: AppError | None = None
    answered: threading.Event = field(default_factory=threading.Event)


class EventReader:
    """Reads for all threads of a process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._asks: dict[_Ask, None] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asked = threading.Event()

    def events(self, stream_id: str, after: int, wait_seconds: float) -> Sequence[Event]:
        """The next events of a stream after a number; none when nothing came within ``wait_seconds``.

        The caller must have checked that the stream's owner asks.

        :raise AppError: the database did not answer
        """
        ask = _Ask(stream_id, after)
        with self._lock:
            self._asks[ask] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="read_streams", daemon=True)
                self._thread.start()
        self._asked.set()
        ask.answered.wait(wait_seconds)
        with self._lock:
            self._asks.pop(ask, None)
        if ask.error is not None:
            raise ask.error
        return ask.events

    def _work(self) -> None:
        idle_since = self._clock.monotonic()
        while True:
            began = self._clock.monotonic()
            with self._lock:
                asks = list(self._asks)[:MAX_STREAMS_IN_A_CALL]
                if not asks and began - idle_since > MAX_IDLE_SECONDS:
                    self._thread = None
                    return
                self._asked.clear()
            if not asks:
                self._asked.wait(MAX_IDLE_SECONDS)
                continue
            self._read(asks)
            idle_since = self._clock.monotonic()
            # a slow database is not asked more often than it can answer
            self._clock.sleep(max(POLL_SECONDS - (idle_since - began), POLL_SECONDS / 4))

    def _read(self, asks: Sequence[_Ask]) -> None:
        """Asks once for all of them. Two who follow one stream may be at different numbers: the lower one is read."""
        after: dict[str, int] = {}
        for ask in asks:
            after[ask.stream_id] = min(ask.after, after.get(ask.stream_id, ask.after))
        try:
            found = rpc(self._database.service(), "svc_read_generations", {"p_streams": after}, safe=True)
        except AppError as error:
            self._answer([(ask, (), error) for ask in asks])
            return
        except Exception as error:
            log.error("reading_streams_failed", exc_info=error)
            self._answer([(ask, (), AppError()) for ask in asks])
            return
        answers = []
        for ask in asks:
            events = [Event(seq, part) for seq, part in found.get(ask.stream_id, ()) if seq > ask.after]
            if events:
                answers.append((ask, events, None))
        self._answer(answers)

    def _answer(self, answers: Sequence[tuple[_Ask, Sequence[Event], AppError | None]]) -> None:
        with self._lock:
            for ask, events, error in answers:
                self._asks.pop(ask, None)
                ask.events, ask.error = events, error
                ask.answered.set()
