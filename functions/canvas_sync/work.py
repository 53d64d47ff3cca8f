"""The threads of one run: several read pages of Canvas, one writes to the database.

What they bring is taken from one queue by the thread of the run. So the state of a run has one thread, and its
bookkeeping needs no locks. Threads rather than an event loop: everything under this module, from the guarded sockets to
the token store, is synchronous and is used by other services as well, and ten connections are all that Canvas allows.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeVar

from functions.shared.canvas.client import Canvas, Confirmation
from functions.shared.canvas.throttle import MAX_IN_FLIGHT, Stopped
from functions.shared.canvas.transport import Page

K = TypeVar("K")

MAX_WAITING_PAGES = 40  # that were read and are not written yet: they take memory
CHECK_SECONDS = 0.5  # how soon a thread notices that the run is over


@dataclass(eq=False, frozen=True)
class Chain:
    """Pages that lead to each other. ``is_single``: this page alone, because others are read beside it."""

    pages: Iterator[Page]
    is_single: bool = False


@dataclass(frozen=True)
class PageRead(Generic[K]):
    """The next page of a chain. It goes on when :meth:`Work.read` is called again."""

    listing: K
    page: Page
    chain: Chain


@dataclass(frozen=True)
class ChainEnded(Generic[K]):
    """A chain has no further page."""

    listing: K


@dataclass(frozen=True)
class Confirmed(Generic[K]):
    """What a second look found."""

    listing: K
    found: Confirmation


@dataclass(frozen=True)
class Written:
    """What the database answered."""

    answer: Any


@dataclass(frozen=True)
class Failed(Generic[K]):
    """What ended a chain or a second look of this listing, or a write (no listing)."""

    listing: K | None
    error: BaseException


Event = PageRead[K] | ChainEnded[K] | Confirmed[K] | Written | Failed[K]


class Work(Generic[K]):
    """A context manager; at its end, waiting threads give up and running requests are waited for."""

    def __init__(self, canvas: Canvas, is_wanted: Callable[[K], bool]) -> None:
        self._canvas = canvas
        self._is_wanted = is_wanted
        self._events: queue.SimpleQueue[Event[K]] = queue.SimpleQueue()
        self._room = threading.Semaphore(MAX_WAITING_PAGES)
        self._is_over = threading.Event()
        self._readers = ThreadPoolExecutor(MAX_IN_FLIGHT, thread_name_prefix="canvas-read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="canvas-write")

    def __enter__(self) -> Work[K]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._canvas.stop()
        for pool in (self._readers, self._writer):
            pool.shutdown(wait=True, cancel_futures=True)

    def chain(self, address: str, *, is_single: bool = False) -> Chain:
        """The pages from this address on, or this one alone."""
        return Chain(self._canvas.pages_from(address, is_single=is_single), is_single)

    def read(self, listing: K, chain: Chain) -> None:
        """Reads the next page of a chain: PageRead, ChainEnded or Failed."""
        self._readers.submit(self._guarded, listing, lambda: self._next(listing, chain))

    def confirm(self, listing: K, course_id: int, ids: Iterable[int]) -> None:
        """Looks again for missing assignments: Confirmed or Failed."""
        wanted = list(ids)

        def look() -> None:
            self._events.put(Confirmed(listing, self._canvas.confirm_gone(course_id, wanted)))

        self._readers.submit(self._guarded, listing, look)

    def write(self, call: Callable[[], Any]) -> None:
        """Calls the database: Written or Failed."""
        self._writer.submit(self._guarded, None, lambda: self._events.put(Written(call())))

    def page_done(self) -> None:
        """A page was handed on or dropped, so another one may be read."""
        self._room.release()

    def take(self, *, wait: bool) -> list[Event[K]]:
        """What has happened since; may wait for it for at most ``CHECK_SECONDS``."""
        events: list[Event[K]] = []
        try:
            if wait:
                events.append(self._events.get(timeout=CHECK_SECONDS))
            while True:
                events.append(self._events.get_nowait())
        except queue.Empty:
            return events

    def _guarded(self, listing: K | None, task: Callable[[], None]) -> None:
        try:
            task()
        except Stopped:
            return
        except BaseException as error:
            self._events.put(Failed(listing, error))

    def _next(self, listing: K, chain: Chain) -> None:
        page = next(chain.pages, None) if self._is_wanted(listing) else None
        if page is None:
            self._events.put(ChainEnded(listing))
        else:
            self._wait_for_room()
            self._events.put(PageRead(listing, page, chain))

    def _wait_for_room(self) -> None:
        while not self._room.acquire(timeout=CHECK_SECONDS):
            if self._is_over.is_set():
                raise Stopped
