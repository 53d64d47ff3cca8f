"""How many streams a process serves at once. Each holds a thread, and other calls need some, too."""

from __future__ import annotations

import threading

from functions.shared.errors import Unavailable

RETRY_SECONDS = 5


class TooManyStreams(Unavailable):
    """Too many streams are open at the moment. Wait for Retry-After, then try again."""

    code = "too_many_streams"


class Slots:
    """Counts the open streams of a process.

    :param count: how many there may be; WEB_STREAMS
    """

    def __init__(self, count: int) -> None:
        self._free = threading.Semaphore(count)

    def take(self) -> Slot:
        """One of them.

        :raise TooManyStreams: all are taken
        """
        if not self._free.acquire(blocking=False):
            raise TooManyStreams(retry_after=RETRY_SECONDS)
        return Slot(self._free)


class Slot:
    """The right to hold a thread. Give it back once; giving it back again changes nothing."""

    def __init__(self, free: threading.Semaphore) -> None:
        self._free: threading.Semaphore | None = free
        self._lock = threading.Lock()

    def give_back(self) -> None:
        """Frees it for another stream."""
        with self._lock:
            free, self._free = self._free, None
        if free is not None:
            free.release()
